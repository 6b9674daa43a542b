"""The real stsrelay process: started, asked, stopped, and its log read."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|LeakSanitizer")
FIELD = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|\S*)')


def binary() -> Path:
    """The daemon under test: STSRELAY_BIN, else the newest build in the tree."""
    if "STSRELAY_BIN" in os.environ:
        return Path(os.environ["STSRELAY_BIN"])
    built = [REPOSITORY / "build" / preset / "stsrelay" for preset in ("asan", "debug", "release")]
    built = [path for path in built if path.exists()]
    if not built:
        raise FileNotFoundError("no stsrelay is built; run tests/run, or set STSRELAY_BIN")
    return max(built, key=lambda path: path.stat().st_mtime)


def sanitized() -> bool:
    """Whether the daemon is built with AddressSanitizer, whose allocator keeps memory back."""
    return b"__asan_init" in binary().read_bytes()


def wait_until(predicate: Callable[[], Any], what: str = "", seconds: float = 20) -> Any:
    """Polls predicate until it gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or predicate}")
        time.sleep(0.02)


class Daemon:
    """A stsrelay process: started, asked, stopped, and its log read."""

    def __init__(self, config_file: Path, folder: Path, listener: tuple[str, int]) -> None:
        self.config_file = config_file
        self.listener = listener
        self.log_file = folder / "daemon.log"
        self.process: subprocess.Popen | None = None
        self.environment = dict(os.environ)
        # Freed memory goes back soon, so that peaks mean something under a sanitizer too.
        options = [os.environ.get("ASAN_OPTIONS", ""), "quarantine_size_mb=1"]
        self.environment["ASAN_OPTIONS"] = ":".join(filter(None, options))
        self._entries: list[dict[str, str]] = []
        self._log_offset = 0

    def start(self, wait: bool = True, wrapper: Sequence[str] = ()) -> None:
        """wrapper: a program that becomes the daemon, with its options."""
        command = [*wrapper, str(binary()), "run", "--config", str(self.config_file)]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment,
                                            start_new_session=True)
        if wait:
            wait_until(self._ready, "the daemon to be ready", 30)

    def _ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon left with {self.process.returncode}:\n{self.text()}")
        try:
            with socket.create_connection(self.listener, 1):
                pass
        except OSError:
            return False
        return self.run("status", "--json").returncode == 0

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """A stsrelay command, with this daemon's configuration."""
        command = [str(binary()), *arguments, "--config", str(self.config_file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60,
                              env=self.environment)

    def ctl(self, *arguments: str) -> Any:
        """A command's --json output as a value."""
        result = self.run(*arguments, "--json")
        if result.returncode != 0:
            raise AssertionError(f"{arguments}: {result.returncode} {result.stderr}")
        return json.loads(result.stdout)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        self.process = None

    def stop(self, seconds: float = 30) -> None:
        """SIGTERM; the daemon must end well."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"SIGTERM did not end the daemon within {seconds} s") from None
        report = SANITIZER.search(self.text())
        assert report is None, self.text()[report.start():][:8000]
        assert status == 0, f"the daemon left with {status}:\n{self.text()[-4000:]}"

    def text(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log(self, event: str = "", **fields: str) -> list[dict[str, str]]:
        """Log lines of an event (all: "") with all these fields, parsed."""
        self._read_log()
        return [entry for entry in self._entries
                if (not event or entry.get("event") == event)
                and all(entry.get(key) == value for key, value in fields.items())]

    def _read_log(self) -> None:
        """Parses the whole lines that were written since the last time."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_offset)
            lines, _, _ = log.read().rpartition(b"\n")
        self._log_offset += len(lines) + 1 if lines else 0
        self._entries += [parse_logfmt(line) for line in
                          lines.decode(errors="replace").split("\n") if line]

    def memory_peak(self) -> int:
        """The process's VmHWM in octets."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


def parse_logfmt(line: str) -> dict[str, str]:
    entry = {}
    for key, value in FIELD.findall(line):
        if value.startswith('"'):
            value = re.sub(r"\\(x[0-9a-f]{2}|.)",
                           lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" and len(m[1]) == 3
                           else m[1], value[1:-1])
        entry[key] = value
    return entry
