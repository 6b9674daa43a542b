"""Runs a command that asks the system's resolver, with a scripted DNS server in its place.

    unshare --net --mount -- python3 -m peers.with_dns RECORDS.json COMMAND...

Needs namespaces of its own for the network and for mounts. RECORDS.json holds TXT records by name.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from peers.dns import DnsServer


def character_strings(text: str) -> str:
    """A TXT record's presentation format, divided as DNS needs it."""
    return " ".join(f'"{text[at:at + 255]}"' for at in range(0, len(text), 255))


async def run(records: dict[str, str], command: list[str]) -> int:
    server = DnsServer()
    for name, text in records.items():
        server.set(name, "TXT", character_strings(text))
    await server.start("127.0.0.1", 53)
    return await (await asyncio.create_subprocess_exec(*command)).wait()


def main() -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as resolver:
        resolver.write("nameserver 127.0.0.1\n")
        resolver.flush()
        subprocess.run(["mount", "--bind", resolver.name, "/etc/resolv.conf"], check=True)
        return asyncio.run(run(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
