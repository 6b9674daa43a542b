"""What a benchmark round is measured with: processor time, memory, the sink's counts, syncs."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def processes() -> dict[int, int]:
    """Every process of this namespace with its parent."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            found[int(entry.name)] = int(stat.rsplit(")", 1)[1].split()[1])
    return found


class Group:
    """The processes of one contestant with all their descendants, also those that have ended.

    A cgroup counts exactly; without one the times in /proc are added up, which hold the times of
    children that were waited for.
    """

    def __init__(self, name: str) -> None:
        self._roots: list[int] = []
        self._folder = self._make(name)

    @staticmethod
    def _mounts() -> list[Path]:
        rows = [line.split(" ") for line in Path("/proc/mounts").read_text().splitlines()]
        return [Path(row[1]) for row in rows if row[2] == "cgroup2"]

    @classmethod
    def _make(cls, name: str) -> Path | None:
        for mount in cls._mounts():
            try:
                (mount / name).mkdir()
            except OSError:
                continue
            if (mount / name / "cpu.stat").exists():
                return mount / name
            (mount / name).rmdir()
        return None

    @classmethod
    def remove_all(cls, prefix: str) -> None:
        """Removes the cgroups whose names begin so; their processes have ended."""
        for mount in cls._mounts():
            for folder in mount.glob(f"{prefix}*"):
                try:
                    folder.rmdir()
                except OSError as failure:
                    print(f"{folder} stays: {failure.strerror}")

    def join(self) -> None:
        """Called in a new child, before its program starts."""
        if self._folder:
            (self._folder / "cgroup.procs").write_text("0")

    def add(self, pid: int) -> None:
        self._roots.append(pid)

    def members(self) -> list[int]:
        if self._folder:
            return [int(pid) for pid in (self._folder / "cgroup.procs").read_text().split()]
        parents = processes()
        found = [pid for pid in self._roots if pid in parents]
        for pid in found:  # grows while it is read: breadth first
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu_seconds(self) -> float:
        if self._folder:
            text = (self._folder / "cpu.stat").read_text()
            return int(re.search(r"usage_usec (\d+)", text)[1]) / 1e6
        ticks = 0
        for pid in self.members():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
            except OSError:
                continue
            ticks += sum(int(field) for field in stat.rsplit(")", 1)[1].split()[11:15])
        return ticks / TICK

    def memory(self) -> int:
        """Octets of memory now: the proportional set sizes, which count shared pages once."""
        total = 0
        for pid in self.members():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) * 1024
        return total


class PeakMemory:
    """The largest memory() seen while the block runs."""

    INTERVAL = 0.4

    def __init__(self, group: Group) -> None:
        self._group = group
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.octets = 0

    def _sample(self) -> None:
        while not self._ended.wait(self.INTERVAL):
            self.octets = max(self.octets, self._group.memory())

    def __enter__(self) -> "PeakMemory":
        self.octets = self._group.memory()
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()
        self.octets = max(self.octets, self._group.memory())


class SinkControl:
    """The sink's control port."""

    def __init__(self, address: str, port: int) -> None:
        self._socket = socket.create_connection((address, port))
        self._lines = self._socket.makefile("r")

    def _ask(self, line: str, seconds: float = 10) -> dict[str, int]:
        self._socket.settimeout(seconds)
        self._socket.sendall(line.encode() + b"\n")
        return json.loads(self._lines.readline())

    def reset(self) -> None:
        self._ask("reset")

    def stats(self) -> dict[str, int]:
        return self._ask("stats")

    def expect(self, messages: int, seconds: float) -> dict[str, int]:
        """Waits until that many messages were taken since the last reset."""
        deadline = time.monotonic() + seconds
        try:
            return self._ask(f"expect {messages}", max(0.1, deadline - time.monotonic()))
        except TimeoutError:
            raise TimeoutError(f"not all of {messages} messages arrived in {seconds:g} s") from None


class SyncTrace:
    """Counts the syncs that strace has written to its output."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def command(self) -> list[str]:
        """What to put before a program's command line; -D keeps the program our own child."""
        return ["strace", "-D", "-f", "-qq", "-o", str(self._output),
                "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-e", "signal=none"]

    def count(self) -> int:
        if not self._output.exists():
            return 0
        text = self._output.read_text(errors="replace")
        return len(re.findall(r"\b(?:fsync|fdatasync|sync_file_range|msync)\(", text))


@dataclass(frozen=True)
class Round:
    """One round's figures."""

    rate: float  # messages per second until all are delivered
    accept_rate: float  # messages per second until all are accepted
    cpu_ms: float  # processor time of the relay's processes per message
    peak: int  # octets
    connections: int
    full_handshakes: int
    resumed_handshakes: int
    plaintext: int
