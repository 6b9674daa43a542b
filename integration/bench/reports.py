"""What a day's reports cost: counting in memory, and closing the day of many domains beside mail."""

from __future__ import annotations

import dataclasses
import os
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import world
from measure import Group
from software import Program

PORT = 2700
PACE_SECONDS = 0.02  # between the messages whose 250 is timed
CONTENT = b"From: a@origin.test\r\nSubject: timed\r\n\r\n" + b"x" * 70 + b"\r\n.\r\n"


@dataclasses.dataclass(frozen=True)
class Day:
    domains: int
    sessions: int
    baseline_seconds: float
    limit_seconds: float  # when measuring is given up


FULL = Day(100_000, 5_000_000, 15, 1800)
QUICK = Day(2_000, 100_000, 4, 300)
CLOSE_SECONDS = 180  # the goal for a full day


class Accepting:
    """Hands in a message every now and then and times its 250."""

    def __init__(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", PORT), timeout=30)
        self._lines = self._socket.makefile("rb")
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._times: list[float] = []
        self._reply(b"")
        self._reply(b"EHLO client.bench.test\r\n")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _reply(self, command: bytes) -> None:
        if command:
            self._socket.sendall(command)
        while True:
            line = self._lines.readline()
            if line[:1] not in (b"2", b"3"):
                raise RuntimeError(f"stsrelay said {line!r} to {command[:40]!r}")
            if line[3:4] != b"-":
                return

    def _run(self) -> None:
        while not self._over.wait(PACE_SECONDS):
            for command in (b"MAIL FROM:<a@origin.test>\r\n",
                            f"RCPT TO:<timed@{world.ALONE}>\r\n".encode(), b"DATA\r\n"):
                self._reply(command)
            start = time.monotonic()
            self._reply(CONTENT)
            with self._lock:
                self._times.append(time.monotonic() - start)

    def taken(self) -> list[float]:
        """The times since the last call."""
        with self._lock:
            times, self._times = self._times, []
        return times

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()


def percentile(times: list[float], share: float) -> float:
    return statistics.quantiles(times, n=1000, method="inclusive")[int(share * 1000) - 1]


def _write_config(folder: Path, ca_file: Path, reports: str) -> Path:
    path = folder / "relay.yaml"
    path.write_text(f"""hostname: relay.bench.test
listen:
  - address: 127.0.0.1:{PORT}
queue:
  path: {folder}/queue
limits:
  connections_per_client: 200
test_world:
  ca_file: {ca_file}
  allow_private_addresses: true
  clock_offset: 1d
{reports}""")
    return path


def _reporting(folder: Path) -> str:
    keys = "".join(f"    - selector: {name}\n      key_file: {folder}/{name}.pem\n"
                   for name in ("mail", "tlsrpt"))
    return f"""reports:
  contact: tls@origin.test
  grace: 0s
  window: 0s
  dkim:
{keys}"""


class _Log:
    """Counts the reports that were handed over, as they are logged."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self.count = 0

    def read(self) -> int:
        text = self._rest + self._file.read()
        whole, _, self._rest = text.rpartition(b"\n")
        self.count += whole.count(b"stage=handed-over")
        return self.count


def close_day(binary: Path, load: Path, place: world.World, folder: Path, day: Day,
              goal: Callable[[str, bool], None]) -> None:
    """Fills a queue with a day's counts, lets the day end, and times mail beside that."""
    folder.mkdir()
    print(f"a day of {day.domains} domains, {day.sessions} sessions: storing it", flush=True)
    subprocess.run([load, "fill", folder / "queue", str(day.domains), str(day.sessions)],
                   check=True)
    config = _write_config(folder, place.ca_file, _reporting(folder))
    subprocess.run([binary, "report", "setup", "--generate-keys", "--config", config],
                   check=False, capture_output=True)
    _write_config(folder, place.ca_file, "")
    group = Group(f"{folder.parent.name}-{folder.name}")
    relay = Program(folder, "stsrelay", [str(binary), "run", "--config", str(config)],
                    before=group.join)
    group.add(relay.pid)
    try:
        relay.wait_for_port("127.0.0.1", PORT)
        timed = Accepting()
        time.sleep(2)
        timed.taken()
        time.sleep(day.baseline_seconds)
        before = timed.taken()
        _write_config(folder, place.ca_file, _reporting(folder))
        log = _Log(relay.log)
        log.read()
        cpu = group.cpu_seconds()
        start = time.monotonic()
        subprocess.run([binary, "config", "reload", "--config", config], check=True,
                       capture_output=True)
        while log.read() < day.domains:
            if time.monotonic() > start + day.limit_seconds or relay.process.poll() is not None:
                raise RuntimeError(f"{log.count} of {day.domains} reports were handed over:\n"
                                   f"{relay.log_tail()}")
            time.sleep(0.1)
        seconds = time.monotonic() - start
        during = timed.taken()
        cpu = group.cpu_seconds() - cpu
        timed.stop()
    finally:
        relay.stop()
    quiet, busy = percentile(before, 0.99), percentile(during, 0.99)
    print(f"closed, rendered, signed and handed over in {seconds:.1f} s "
          f"({day.domains / seconds:.0f} reports/s, {cpu / day.domains * 1000:.2f} ms of CPU each, "
          f"their delivery included, on {os.cpu_count()} cores)")
    if day == FULL:
        goal(f"a day of {day.domains} domains closed within {CLOSE_SECONDS} s: {seconds:.0f}",
             seconds <= CLOSE_SECONDS)
    goal(f"p99 of 250 meanwhile at most doubled: {quiet * 1000:.1f} ms before, {busy * 1000:.1f} "
         f"ms during ({len(before)} and {len(during)} messages)", busy <= 2 * quiet)


def count_in_memory(load: Path, quick: bool) -> bool:
    arguments = ["500000", "20000"] if quick else []
    return subprocess.run([load, "tally", *arguments], check=False).returncode == 0
