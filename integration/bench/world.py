"""The world of the benchmark: fifty-one enforce domains on the real ports 25, 53 and 443, in
network, mount and process namespaces of its own, which end with everything in them."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

from measure import SinkControl
from peers.ca import Authority, Leaf
from software import Nginx, Program, Unbound, find

ALONE = "single.test"
FIFTY = [f"d{number:02}.test" for number in range(50)]
DOMAINS = [ALONE, *FIFTY]
CONNECTIONS = 20
JOBS_PER_DOMAIN = 2  # with fifty domains: smtp-source runs, so that the load stays mixed
CONTROL_PORT = 2400
MARK = "STSRELAY_BENCH_FOLDER"


def enter_namespaces(script: Path, arguments: list[str], folder: Path) -> int:
    """Runs the script again inside; for a normal user in a user namespace as well."""
    unshare = [find("unshare"), "--mount", "--net", "--pid", "--fork", "--kill-child",
               "--mount-proc", "--propagation", "private"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    return subprocess.call(
        [*unshare, sys.executable, str(script), *arguments], env={**os.environ, MARK: str(folder)}
    )


def inside() -> Path | None:
    """The folder to work in, when this runs in the namespaces."""
    return Path(os.environ[MARK]) if MARK in os.environ else None


def _prepare_network(folder: Path) -> None:
    subprocess.run([find("ip"), "link", "set", "lo", "up"], check=True)
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    resolver.chmod(0o644)
    target = os.path.realpath("/etc/resolv.conf")
    subprocess.run([find("mount"), "--bind", str(resolver), target], check=True)


class World:
    """DNS, policy host and sink; sink is its control port, ca_file what the relays must trust."""

    def __init__(self, folder: Path, sink: Path) -> None:
        _prepare_network(folder)
        authority = Authority(folder / "ca")
        self.ca_file = authority.ca_file
        self._programs: list[Program] = []
        records = []
        policies = {}
        host_pem = authority.pem_file(Leaf.good(*(f"mta-sts.{name}" for name in DOMAINS)))
        mx_pem = authority.pem_file(Leaf.good(*(f"mx.{name}" for name in DOMAINS)))
        for number, name in enumerate(DOMAINS):
            records += [
                f"{name}. 3600 IN MX 10 mx.{name}.",
                f"mx.{name}. 3600 IN A 127.1.0.{number + 1}",
                f'_mta-sts.{name}. 3600 IN TXT "v=STSv1; id=1;"',
                f"mta-sts.{name}. 3600 IN A 127.2.0.1",
            ]
            policies[name] = (
                host_pem,
                f"version: STSv1\r\nmode: enforce\r\nmx: mx.{name}\r\nmax_age: 86400\r\n".encode(),
            )
        try:
            # Each of these zones has any number of domains that want reports.
            wanting = {f"load{number:02}.test": f'TXT "v=TLSRPTv1; rua=mailto:tls@{name}"'
                       for number, name in enumerate(FIFTY)}
            self._add(lambda: Unbound(folder / "unbound", "127.0.0.1", 53, local_data=records,
                                      redirects=wanting))
            self._add(lambda: Nginx(folder / "nginx", "127.2.0.1", 443, policies))
            program = self._add(
                lambda: Program(
                    folder,
                    "sink",
                    [str(sink), "--listen", "0.0.0.0:25", "--control", f"127.0.0.1:{CONTROL_PORT}",
                     "--cert", str(mx_pem), "--key", str(mx_pem)],
                )
            )
            program.wait_for_port("127.0.0.1", CONTROL_PORT)
            self.sink = SinkControl("127.0.0.1", CONTROL_PORT)
        except BaseException:
            self.stop()
            raise

    def _add(self, start) -> Program:
        program = start()
        self._programs.append(program)
        return program

    def stop(self) -> None:
        for program in reversed(self._programs):
            program.stop()


def _source(port: int, sessions: int, messages: int, octets: int, domain: str) -> None:
    subprocess.run(
        [find("smtp-source"), "-4", "-d", "-s", str(sessions), "-m", str(messages),
         "-l", str(octets), "-M", "client.bench.test", "-f", "sender@origin.test",
         "-t", f"user@{domain}", f"127.0.0.1:{port}"],
        check=True,
        stdin=subprocess.DEVNULL,
    )


def send(port: int, messages: int, octets: int, domains: list[str]) -> None:
    """Hands in the messages with smtp-source over 20 connections; returns when all are accepted.

    One domain: one smtp-source with 20 sessions. Several: each run has one session and one domain,
    20 run at a time, two runs for each domain.
    """
    if len(domains) == 1:
        _source(port, min(CONNECTIONS, messages), messages, octets, domains[0])
        return
    jobs: queue.SimpleQueue = queue.SimpleQueue()
    turns = [domain for _ in range(JOBS_PER_DOMAIN) for domain in domains]
    for number, domain in enumerate(turns):
        share = messages // len(turns) + (number < messages % len(turns))
        if share:
            jobs.put((domain, share))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                domain, share = jobs.get_nowait()
                _source(port, 1, share, octets, domain)
        except queue.Empty:
            pass
        except subprocess.CalledProcessError as failure:
            failures.append(failure)

    workers = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
