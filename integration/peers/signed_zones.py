"""Really signed DNS: nsd serves zones that ldns-signzone signed, from a root of the test's own down,
and unbound validates before it with that root's key as its trust anchor."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import software

PROGRAMS = ("nsd", "unbound", "ldns-keygen", "ldns-signzone")
ALGORITHM = "ECDSAP256SHA256"  # 13


@dataclass(frozen=True)
class Zone:
    """A zone below its parent among the zones given; records are zone-file lines.

    fault: "" none; "unsigned", the parent proves that it is; "expired", signatures of years ago;
    "broken", signatures over all but the keys do not fit; "wrong-ds", the parent names another key.
    denial: nsec | nsec3 | opt-out
    """

    name: str  # "." is the root
    records: tuple[str, ...] = ()
    fault: str = ""
    denial: str = "nsec"


def tlsa(host: str, usage: int, selector: int, matching_type: int, data: bytes) -> str:
    """The record for SMTP at host."""
    return f"_25._tcp.{host}. IN TLSA {usage} {selector} {matching_type} {data.hex()}"


def _labels(name: str) -> list[str]:
    return [label for label in name.split(".") if label]


def _absolute(name: str) -> str:
    return name if name == "." else f"{name}."


class SignedZones:
    """The name server and the resolver; a context manager. Zones for the root and "test" are added
    where they are not given.

    address: a loopback address; the resolver is at (address, port), the server at server_port.
    port: 0 for any that is free.
    anchors: a file with the root's DS record, as unbound and the relay read it.
    """

    def __init__(self, folder: Path, address: str, zones: Sequence[Zone], port: int = 0) -> None:
        self.folder = folder
        self.address = address
        self.anchors = folder / "anchors"
        self._programs: list[software.Program] = []
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        given = {zone.name: zone for zone in zones}
        for name in (".", "test"):
            given.setdefault(name, Zone(name))
        # Children first: their parents hold their DS records.
        self._zones = sorted(given.values(), key=lambda zone: -len(_labels(zone.name)))
        self._ds: dict[str, list[str]] = {}
        for zone in self._zones:
            self._make(zone)
        self.anchors.write_text("\n".join(self._ds["."]) + "\n")
        self.server_port = software.free_port(address)
        self.port = port
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> "SignedZones":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for program in reversed(self._programs):
            program.stop()
        self._programs.clear()

    def _file(self, zone: Zone) -> Path:
        return self.folder / f"zone.{zone.name.strip('.') or 'root'}"

    def _make(self, zone: Zone) -> None:
        origin = _absolute(zone.name)
        lines = [
            f"{origin} 300 IN SOA ns.invalid. root.invalid. 1 3600 600 86400 60",
            f"{origin} 300 IN NS ns.invalid.",
        ]
        for child in self._zones:
            if child is not zone and self._parent(child) is zone:
                lines.append(f"{child.name}. 300 IN NS ns.invalid.")
                lines += self._ds.get(child.name, [])
        path = self._file(zone)
        path.write_text("$TTL 300\n" + "\n".join([*lines, *zone.records]) + "\n")
        if zone.fault != "unsigned":
            self._sign(zone, path)

    def _parent(self, child: Zone) -> Zone | None:
        labels = _labels(child.name)
        by_name = {zone.name: zone for zone in self._zones}
        for start in range(1, len(labels) + 1):
            found = by_name.get(".".join(labels[start:]) or ".")
            if found is not None and found is not child:
                return found
        return None

    def _sign(self, zone: Zone, path: Path) -> None:
        key = self._run("ldns-keygen", "-a", ALGORITHM, "-k", zone.name)
        ds = (self.folder / f"{key}.ds").read_text().strip()
        if zone.fault == "wrong-ds":
            fields = ds.split()
            ds = " ".join([*fields[:-1], "".join(reversed(fields[-1]))])
        self._ds[zone.name] = [ds]
        options = {"nsec": [], "nsec3": ["-n"], "opt-out": ["-n", "-p"]}[zone.denial]
        if zone.fault == "expired":
            options += ["-i", "20200101", "-e", "20200201"]
        plain = path.with_suffix(path.suffix + ".plain")
        path.rename(plain)
        self._run("ldns-signzone", *options, "-o", zone.name, "-f", str(path), str(plain), key)
        if zone.fault == "broken":
            path.write_text("\n".join(map(_spoil, path.read_text().splitlines())) + "\n")

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run([software.find(program), *arguments], cwd=self.folder, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, f"{program} {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def _start(self) -> None:
        self._programs.append(_Nsd(self.folder / "nsd", self.address, self.server_port,
                                   {zone.name: self._file(zone).resolve()
                                    for zone in self._zones}))
        self.port = self.port or software.free_port(self.address)
        self._programs.append(_Unbound(self.folder / "unbound", self.address, self.port,
                                       self.server_port, [zone.name for zone in self._zones],
                                       self.anchors.resolve()))


def _spoil(line: str) -> str:
    """Another signature of the same length, unless it is the keys'."""
    fields = line.split()
    if len(fields) < 13 or fields[3] != "RRSIG" or fields[4] == "DNSKEY":
        return line
    signature = fields[-1]
    return " ".join([*fields[:-1], ("B" if signature[0] == "A" else "A") + signature[1:]])


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    path.chmod(0o755)
    return path.resolve()


class _Nsd(software.Program):
    def __init__(self, folder: Path, address: str, port: int, zones: dict[str, Path]) -> None:
        folder = _folder(folder)
        served = "".join(f'zone:\n  name: "{name}"\n  zonefile: "{path}"\n'
                         for name, path in zones.items())
        (folder / "nsd.conf").write_text(f"""server:
  ip-address: {address}@{port}
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  xfrdir: "{folder}"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  pidfile: ""
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
{served}""")
        super().__init__(folder, "nsd",
                         [software.find("nsd"), "-d", "-c", str(folder / "nsd.conf")])
        self.wait_for_port(address, port)


class _Unbound(software.Program):
    def __init__(self, folder: Path, address: str, port: int, server_port: int,
                 zones: Sequence[str], anchors: Path) -> None:
        folder = _folder(folder)
        stubs = "".join(f'stub-zone:\n  name: "{_absolute(name)}"\n'
                        f"  stub-addr: {address}@{server_port}\n" for name in zones)
        (folder / "unbound.conf").write_text(f"""server:
  interface: {address}
  port: {port}
  access-control: 127.0.0.0/8 allow
  do-ip6: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  val-log-level: 2
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor-file: "{anchors}"
  trust-anchor-signaling: no
  num-threads: 1
  root-hints: ""
  local-zone: "test." nodefault
remote-control:
  control-enable: no
{stubs}""")
        super().__init__(folder, "unbound", [software.find("unbound"), "-d", "-p", "-c",
                                             str(folder / "unbound.conf")])
        self.wait_for_port(address, port)
