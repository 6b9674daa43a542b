"""The relays that are compared: each starts with its own queue and takes mail on its own port."""

from __future__ import annotations

import os
from pathlib import Path

from measure import Group, SyncTrace
from software import Postfix, Program, find

SESSIONS = 20  # connections to one destination, for every contestant


class Stsrelay:
    name = "stsrelay"
    port = 2500

    def __init__(self, folder: Path, binary: Path, ca_file: Path) -> None:
        self._folder = folder
        self._binary = binary
        self._ca_file = ca_file

    def start(self, trace: SyncTrace | None = None) -> None:
        folder = self._folder
        folder.mkdir(parents=True)
        (folder / "relay.yaml").write_text(
            f"""hostname: relay.bench.test
listen:
  - address: 127.0.0.1:{self.port}
queue:
  path: {folder}/queue
delivery:
  connections_per_destination: {SESSIONS}
limits:
  connections_per_client: 200
test_world:
  ca_file: {self._ca_file}
  allow_private_addresses: true
"""
        )
        (folder / "queue").mkdir()
        self.group = Group(f"{folder.parent.name}-{folder.name}")
        self._program = Program(
            folder,
            self.name,
            [*(trace.command() if trace else []), str(self._binary), "run", "--config",
             str(folder / "relay.yaml")],
            before=self.group.join,
        )
        self.group.add(self._program.pid)
        self._program.wait_for_port("127.0.0.1", self.port)

    def log_tail(self) -> str:
        return self._program.log_tail()

    def stop(self) -> None:
        self._program.stop()


class PostfixRelay:
    """Postfix with postfix-mta-sts-resolver, both as Debian ships them.

    What differs from Debian's defaults helps it: full concurrency at once, more processes, a TLS
    session cache, no chroot.
    """

    settings: dict[str, str] = {}
    name = "postfix"
    port = 2600
    resolver_port = 8461

    def __init__(self, folder: Path, ca_file: Path) -> None:
        self._folder = folder
        self._ca_file = ca_file

    def start(self, trace: SyncTrace | None = None) -> None:
        folder = self._folder
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        self.group = Group(f"{folder.parent.name}-{folder.name}")
        (folder / "mta-sts-daemon.yml").write_text(
            f"""host: 127.0.0.1
port: {self.resolver_port}
reuse_port: true
shutdown_timeout: 20
cache:
  type: internal
  options:
    cache_size: 10000
default_zone:
  strict_testing: false
  timeout: 4
"""
        )
        self._resolver = Program(
            folder,
            "mta-sts-daemon",
            [find("mta-sts-daemon"), "-c", str(folder / "mta-sts-daemon.yml")],
            environment={"SSL_CERT_FILE": str(self._ca_file)},
            before=self.group.join,
        )
        self.group.add(self._resolver.pid)
        self._resolver.wait_for_port("127.0.0.1", self.resolver_port)
        self._postfix = Postfix(
            folder / "postfix",
            {f"127.0.0.1:{self.port}": {}},
            {
                "myhostname": "relay.bench.test",
                "mydestination": "",
                "mynetworks": "127.0.0.0/8",
                "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
                "smtpd_client_connection_count_limit": "0",
                "smtp_tls_security_level": "may",
                "smtp_tls_policy_maps": f"socketmap:inet:127.0.0.1:{self.resolver_port}:postfix",
                "smtp_tls_CAfile": str(self._ca_file),
                "smtp_tls_session_cache_database": "btree:${data_directory}/smtp_scache",
                "default_process_limit": "200",
                "default_destination_concurrency_limit": str(SESSIONS),
                "initial_destination_concurrency": str(SESSIONS),
                **self.settings,
            },
            wrapper=trace.command() if trace else (),
            before=self.group.join,
        )
        self.group.add(self._postfix.pid)

    def log_tail(self) -> str:
        return self._postfix.log_tail() + "\n" + self._resolver.log_tail()

    def stop(self) -> None:
        self._postfix.stop()
        self._resolver.stop()


class PostfixReuseRelay(PostfixRelay):
    """The same, told to send several messages over one TLS connection."""

    settings = {"smtp_tls_connection_reuse": "yes"}
    name = "postfix-reuse"
    port = 2700
    resolver_port = 8462


def make(name: str, folder: Path, binary: Path, ca_file: Path):
    if name == Stsrelay.name:
        return Stsrelay(folder, binary, ca_file)
    for kind in (PostfixRelay, PostfixReuseRelay):
        if name == kind.name:
            return kind(folder, ca_file)
    raise ValueError(f"no contestant is called {name}")


def unavailable(name: str) -> str:
    """Why a contestant cannot take part, or nothing."""
    if name == Stsrelay.name:
        return ""
    absent = [program for program in ("postfix", "mta-sts-daemon") if not find(program)]
    if absent:
        return f"not installed: {', '.join(absent)}"
    with open("/proc/self/uid_map", encoding="ascii") as mapping:
        whole = int(mapping.read().split()[2]) > 65536
    return "" if os.geteuid() == 0 and whole else "Postfix needs root"
