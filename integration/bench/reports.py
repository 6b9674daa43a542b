"""What a day's reports cost: counting in memory, and closing the day of many domains beside mail."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
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


def _hand_in(over: Event, record: Path) -> None:
    """Hands in a message every now and then; a line for each: when its content was sent, and how
    many seconds later its 250 came."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=30) as connection, \
            connection.makefile("rb") as lines, record.open("w", buffering=1) as times:

        def command(text: bytes) -> None:
            connection.sendall(text)
            reply(text)

        def reply(to: bytes) -> None:
            line = b"   -"
            while line[3:4] == b"-":
                line = lines.readline()
                if line[:1] not in (b"2", b"3"):
                    raise RuntimeError(f"stsrelay said {line!r} to {to[:40]!r}")

        reply(b"")
        command(b"EHLO client.bench.test\r\n")
        while not over.wait(PACE_SECONDS):
            command(b"MAIL FROM:<a@origin.test>\r\n")
            command(f"RCPT TO:<timed@{world.ALONE}>\r\n".encode())
            command(b"DATA\r\n")
            start = time.monotonic()
            command(CONTENT)
            times.write(f"{start} {time.monotonic() - start}\n")


class Accepting:
    """Times the 250 of messages, in a process of its own: what else this one does delays nothing."""

    def __init__(self, record: Path) -> None:
        self._record = record
        processes = multiprocessing.get_context("fork")
        self._over = processes.Event()
        self._process = processes.Process(target=_hand_in, args=(self._over, record))
        self._process.start()

    def times(self, since: float, until: float) -> list[float]:
        """Of the messages sent meanwhile."""
        sent = [line.split() for line in self._record.read_text().splitlines()]
        return [float(took) for start, took in sent if since <= float(start) < until]

    def stop(self) -> None:
        self._over.set()
        self._process.join()
        if self._process.exitcode != 0:
            raise RuntimeError("the client that times 250s failed")


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
        timed = Accepting(folder / "times")
        time.sleep(2 + day.baseline_seconds)
        quiet_since = time.monotonic() - day.baseline_seconds
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
        end = time.monotonic()
        cpu = group.cpu_seconds() - cpu
        timed.stop()
    finally:
        relay.stop()
    before, during = timed.times(quiet_since, start), timed.times(start, end)
    seconds = end - start
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
