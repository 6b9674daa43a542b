"""Runs a command that asks the system's resolver, with a scripted DNS server in its place.

    unshare --net --mount -- python3 -m peers.with_dns RECORDS.json COMMAND INPUT...

Needs namespaces of its own for the network and for mounts. RECORDS.json holds TXT records by name.
The command is run once for each INPUT, a file that it reads as its standard input. Prints JSON: a
list of [exit status, standard output, standard error].
"""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from peers.dns import DnsServer


def character_strings(text: str) -> str:
    """A TXT record's presentation format, divided as DNS needs it."""
    return " ".join(f'"{text[at:at + 255]}"' for at in range(0, len(text), 255))


async def run(records: dict[str, str], command: str, inputs: list[str]) -> list[list]:
    server = DnsServer()
    for name, text in records.items():
        server.set(name, "TXT", character_strings(text))
    await server.start("127.0.0.1", 53)
    results = []
    for path in inputs:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        output = await process.communicate(Path(path).read_bytes())
        results.append([process.returncode, *(text.decode() for text in output)])
    return results


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as resolver:
        resolver.write("nameserver 127.0.0.1\n")
        resolver.flush()
        subprocess.run(["mount", "--bind", resolver.name, "/etc/resolv.conf"], check=True)
        records = json.loads(Path(sys.argv[1]).read_text())
        print(json.dumps(asyncio.run(run(records, sys.argv[2], sys.argv[3:]))))


if __name__ == "__main__":
    main()
