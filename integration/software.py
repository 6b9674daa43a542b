"""Servers that nobody here wrote, each with a private configuration in a folder of its own.

nsd, unbound, nginx, Postfix and chasquid start in the foreground on given loopback addresses,
touch nothing outside their folder and are ended by process id. Used by the tests against real
software and by the benchmark.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 10


def find(program: str) -> str | None:
    """Where a program is; server programs live outside a normal user's PATH."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def missing(*programs: str) -> str:
    """The reason why something that needs these programs cannot run, or nothing."""
    absent = [program for program in programs if find(program) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def free_port(*addresses: str) -> int:
    """A port nobody uses on any of the addresses, neither by TCP nor by UDP."""
    for _ in range(200):
        with socket.socket() as probe:
            probe.bind((addresses[0], 0))
            port = probe.getsockname()[1]
        if all(_free(address, port) for address in addresses):
            return port
    raise RuntimeError(f"no free port on {addresses}")


def _free(address: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def wait_for(what: str, condition, seconds: float = START_SECONDS):
    """Polls until condition() is true and returns its value; TimeoutError names what is missing."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def _open_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    return folder.resolve()


class Program:
    """A process in the foreground, in its own session, its output in folder/NAME.log."""

    def __init__(
        self,
        folder: Path,
        name: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        before=None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
                preexec_fn=before,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for_port(self, address: str, port: int) -> None:
        def answers() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at its start:\n{self.log_tail()}")
            try:
                socket.create_connection((address, port), timeout=1).close()
            except OSError:
                return False
            return True

        wait_for(f"{self.name} on {address}:{port}", answers)

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Nsd(Program):
    """An authoritative server of one zone, given as zone-file lines without the SOA."""

    def __init__(self, folder: Path, address: str, port: int, zone: str, records: Sequence[str]):
        folder = _open_folder(folder)
        (folder / "zone").write_text(
            f"$ORIGIN {zone}.\n$TTL 300\n"
            f"@ SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 300\n@ NS ns.{zone}.\n"
            f"ns.{zone}. A {address}\n" + "\n".join(records) + "\n"
        )
        (folder / "nsd.conf").write_text(
            f"""server:
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
remote-control:
  control-enable: no
zone:
  name: "{zone}"
  zonefile: "zone"
"""
        )
        super().__init__(folder, "nsd", [find("nsd"), "-d", "-c", str(folder / "nsd.conf")])
        self.wait_for_port(address, port)


class Unbound(Program):
    """A resolver: zones named in stubs come from the servers given there, all else is unknown.

    redirects: zone -> type and data of the record that every name in it has.
    """

    def __init__(
        self,
        folder: Path,
        address: str,
        port: int,
        *,
        stubs: Mapping[str, tuple[str, int]] | None = None,
        local_data: Sequence[str] = (),
        redirects: Mapping[str, str] | None = None,
    ):
        folder = _open_folder(folder)
        stub_zones = "".join(
            f'stub-zone:\n  name: "{zone}."\n  stub-addr: {server[0]}@{server[1]}\n'
            for zone, server in (stubs or {}).items()
        )
        exceptions = "".join(
            f'  domain-insecure: "{zone}."\n  local-zone: "{zone}." nodefault\n'
            for zone in stubs or {}
        )
        local = "".join(f"  local-data: '{record}'\n" for record in local_data)
        local += "".join(
            f"  local-zone: \"{zone}.\" redirect\n  local-data: '{zone}. 3600 IN {record}'\n"
            for zone, record in (redirects or {}).items()
        )
        (folder / "unbound.conf").write_text(
            f"""server:
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
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  num-threads: 1
  root-hints: ""
{exceptions}{'  local-zone: "." static' if local else ""}
{local}remote-control:
  control-enable: no
{stub_zones}"""
        )
        super().__init__(
            folder, "unbound", [find("unbound"), "-d", "-p", "-c", str(folder / "unbound.conf")]
        )
        self.wait_for_port(address, port)


class Nginx(Program):
    """A policy host: for each policy domain its certificate file and the policy's text."""

    def __init__(
        self, folder: Path, address: str, port: int, policies: Mapping[str, tuple[Path, bytes]]
    ):
        folder = _open_folder(folder)
        servers = []
        for domain, (pem, body) in policies.items():
            path = folder / domain / ".well-known"
            path.mkdir(parents=True)
            (path / "mta-sts.txt").write_bytes(body)
            servers.append(
                f"""  server {{
    listen {address}:{port} ssl;
    server_name mta-sts.{domain};
    ssl_certificate {pem};
    ssl_certificate_key {pem};
    root {folder}/{domain};
  }}"""
            )
        temporary = "\n".join(
            f"  {kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")
        )
        (folder / "nginx.conf").write_text(
            f"""daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  access_log {folder}/access.log;
  default_type text/plain;
  server_names_hash_bucket_size 128;
{temporary}
"""
            + "\n".join(servers)
            + "\n}\n"
        )
        super().__init__(
            folder,
            "nginx",
            [find("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")],
        )
        self.wait_for_port(address, port)


class NginxReports(Program):
    """Takes whatever is posted to a host and answers 201; bodies() has it, in order."""

    def __init__(self, folder: Path, address: str, port: int, name: str, pem: Path):
        self._folder = folder = _open_folder(folder)
        inner = free_port(address)
        temporary = "\n".join(f"  {kind}_temp_path {folder}/{kind};"
                              for kind in ("fastcgi", "proxy", "scgi", "uwsgi"))
        (folder / "nginx.conf").write_text(
            f"""daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 128; }}
http {{
  log_format posted '$request_method $uri $content_type $status $request_body_file';
  access_log {folder}/access.log posted;
{temporary}
  server {{
    listen {address}:{port} ssl;
    server_name {name};
    ssl_certificate {pem};
    ssl_certificate_key {pem};
    client_body_temp_path {folder}/bodies;
    client_body_in_file_only on;
    location / {{ proxy_pass http://{address}:{inner}; }}
  }}
  server {{
    listen {address}:{inner};
    access_log off;
    location / {{ return 201; }}
  }}
}}
"""
        )
        super().__init__(
            folder,
            "nginx",
            [find("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")],
        )
        self.wait_for_port(address, port)

    def posted(self) -> list[tuple[str, bytes]]:
        """Method, path and media type of each request that was answered 201, and its body."""
        log = self._folder / "access.log"
        rows = [line.rsplit(" ", 2) for line in log.read_text().splitlines()] if (
            log.exists()) else []
        return [(head, Path(body).read_bytes()) for head, status, body in rows if status == "201"]


# Postfix's own defaults for the services every instance needs, none of them chrooted.
POSTFIX_SERVICES = """\
pickup    unix  n  -  n  60    1  pickup
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
tlsmgr    unix  -  -  n  1000? 1  tlsmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
verify    unix  -  -  n  -     1  verify
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -     -  proxymap
proxywrite unix -  -  n  -     1  proxymap
smtp      unix  -  -  n  -     -  smtp
relay     unix  -  -  n  -     -  smtp
showq     unix  n  -  n  -     -  showq
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
discard   unix  -  -  n  -     -  discard
local     unix  -  n  n  -     -  local
virtual   unix  -  n  n  -     -  virtual
lmtp      unix  -  -  n  -     -  lmtp
anvil     unix  -  -  n  -     1  anvil
scache    unix  -  -  n  -     1  scache
tlsproxy  unix  -  -  n  -     0  tlsproxy
postlog   unix-dgram n - n -   1  postlogd
"""


class Postfix(Program):
    """An instance with its own configuration, queue and data; needs root.

    listeners: "ADDRESS:PORT" -> settings of that smtpd. settings: main.cf beyond the basics.
    """

    def __init__(
        self,
        folder: Path,
        listeners: Mapping[str, Mapping[str, str]],
        settings: Mapping[str, str],
        *,
        wrapper: Sequence[str] = (),
        before=None,
    ):
        self.folder = folder = _open_folder(folder)
        self.configuration = folder / "etc"
        owner = pwd.getpwnam("postfix")
        for name in ("etc", "queue", "data", "log"):
            (folder / name).mkdir(exist_ok=True)
        os.chown(folder / "data", owner.pw_uid, owner.pw_gid)
        main = {
            "compatibility_level": "3.6",
            "queue_directory": f"{folder}/queue",
            "data_directory": f"{folder}/data",
            "maillog_file": f"{folder}/log/maillog",
            "maillog_file_prefixes": f"{folder}/log",
            "inet_protocols": "ipv4",
            "inet_interfaces": "127.0.0.1",  # where it listens is said in master.cf
            "alias_maps": "",
            "alias_database": "",
            "smtpd_tls_session_cache_database": "",
            **settings,
        }
        (self.configuration / "main.cf").write_text(
            "".join(f"{key} = {value}\n" for key, value in main.items())
        )
        lines = []
        for address, options in listeners.items():
            lines.append(f"{address} inet n - n - - smtpd")
            lines += [f"  -o {key}={value}" for key, value in options.items()]
        (self.configuration / "master.cf").write_text("\n".join(lines) + "\n" + POSTFIX_SERVICES)
        super().__init__(
            folder,
            "postfix",
            [*wrapper, find("postfix"), "-c", str(self.configuration), "start-fg"],
            before=before,
        )
        try:
            for address in listeners:
                host, port = address.rsplit(":", 1)
                self.wait_for_port(host, int(port))
        except BaseException:
            self.stop()
            raise

    @property
    def maillog(self) -> str:
        path = self.folder / "log" / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    def log_tail(self, lines: int = 20) -> str:
        return super().log_tail(lines) + "\n" + "\n".join(self.maillog.splitlines()[-lines:])

    def command(self, program: str, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [find(program), "-c", str(self.configuration), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    def stop(self) -> None:
        # start-fg is a shell script that has become the master process, which ends its children.
        if self.process.poll() is None:
            self.command("postfix", "stop")
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class Chasquid(Program):
    """An MTA in Go: any recipient of its domain is delivered by a script into folder/inbox/."""

    def __init__(self, folder: Path, address: str, port: int, host: str, domain: str, pem: Path,
                 submission: tuple[int, int] = (0, 0)):
        """submission: ports with STARTTLS and with TLS from the beginning; postmaster may send."""
        folder = _open_folder(folder)
        certificates = folder / "certs" / host
        mailboxes = folder / "domains" / domain
        self.inbox = folder / "inbox"
        for path in (certificates, mailboxes, self.inbox, folder / "data"):
            path.mkdir(parents=True, exist_ok=True)
        for name in ("fullchain.pem", "privkey.pem"):
            (certificates / name).write_bytes(pem.read_bytes())
        agent = folder / "deliver"
        agent.write_text(
            "#!/bin/sh\nset -e\nfile=$(mktemp %s/.new.XXXXXX)\n"
            '{ printf "Delivered-To: %%s\\nReturn-Path: <%%s>\\n" "$2" "$1"; cat; } > "$file"\n'
            'mv "$file" "%s/${file##*.new.}"\n' % (self.inbox, self.inbox)
        )
        agent.chmod(0o755)
        (mailboxes / "aliases").write_text("*: postmaster\n")
        (folder / "chasquid.conf").write_text(
            f"""hostname: "{host}"
smtp_address: "{address}:{port}"
submission_address: "{address}:{submission[0]}"
submission_over_tls_address: "{address}:{submission[1]}"
data_dir: "{folder}/data"
mail_log_path: "<stderr>"
mail_delivery_agent_bin: "{agent}"
mail_delivery_agent_args: "%from%"
mail_delivery_agent_args: "%to%"
"""
        )
        subprocess.run(
            [find("chasquid-util"), f"-C={folder}", "user-add", f"postmaster@{domain}",
             "--password=unused"],
            check=True,
            capture_output=True,
        )
        super().__init__(
            folder, "chasquid", [find("chasquid"), f"-config_dir={folder}", "-logfile=/dev/stderr"]
        )
        self.wait_for_port(address, port)
