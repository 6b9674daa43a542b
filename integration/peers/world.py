"""A small Internet on loopback and a real daemon that delivers into it.

Each world has a network 127.X.0.0/16 of its own, so that several can run at the same time.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import smtplib
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .ca import Authority, Leaf
from .daemon import Daemon, wait_until
from .dns import DnsServer
from .mx import MxHost, Script
from .network import Network, Ports, PublicNetwork, free_port
from .policy_host import PolicyHost, Reply, Traffic, policy_body

logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # scripted faults are no news


def merged(base: dict, changes: dict) -> dict:
    """base with changes put over it, maps merged key by key."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else (
            value)
    return result


@dataclass(frozen=True)
class Count:
    """Today's TLS results of one policy of one domain."""

    policy: str  # policy-type: sts | no-policy-found
    domain: str  # policy-domain
    strings: tuple[str, ...]
    successes: int
    failures: int
    types: dict[str, int]  # result-type -> sessions
    reasons: set[str]  # failure-reason-codes
    details: list[dict]


class World:
    """DNS, policy hosts, MX hosts and one daemon. config: merged over the world's own."""

    def __init__(self, authority: Authority, config: dict | None = None,
                 folder: Path | None = None, network: Network | PublicNetwork | None = None,
                 ports: Ports = Ports()) -> None:
        self.authority = authority
        self.folder = folder or Path(tempfile.mkdtemp(prefix="stsrelay-"))
        self._remove_folder = folder is None
        self._network = network or Network()
        first = self._network.address()
        self.smtp_port = ports.smtp or free_port(first)
        self.https_port = ports.https or free_port(first)
        self.dns = DnsServer()
        self.mx: dict[str, MxHost] = {}
        self.policy_hosts: dict[str, PolicyHost] = {}
        self.policy_traffic = Traffic()  # of all policy hosts
        self._servers: list[DnsServer | MxHost | PolicyHost] = [self.dns]
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda *_: None)  # scripted faults, all of them
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        dns_port = self.call(self.dns.start(first, ports.dns or free_port(first)))
        own = self._network.listener_address()
        self.listener = (own, ports.smtp or free_port(own))
        self.resolver = f"{first}:{dns_port}"
        self.config = merged(self._default_config(), config or {})
        self.config_file = self.folder / "relay.yaml"
        self.write_config()
        self.daemon = Daemon(self.config_file, self.folder, self.listener)

    def _default_config(self) -> dict:
        wait = "10s"
        return {
            "hostname": "relay.test",
            "workers": 2,
            "listen": [{"address": "%s:%d" % self.listener}],
            "queue": {"path": str(self.folder / "spool"), "retry": ["0s", "1h"],
                      "min_free": "1MiB"},
            # Hosts of tests die and come back within moments, and are to be tried each time.
            "delivery": {"host_retry": "0s", "timeouts": {key: wait for key in (
                "connect", "greeting", "ehlo", "starttls", "mail", "rcpt", "data", "body",
                "final_dot", "rset")}},
            "dns": {"timeout": "1s", "rounds": 2},
            "test_world": {
                "resolvers": [self.resolver],
                "smtp_port": self.smtp_port,
                "https_port": self.https_port,
                "ca_file": str(self.authority.ca_file),
                "allow_private_addresses": True,
            },
        }

    def write_config(self, **changes) -> None:
        self.config = merged(self.config, changes)
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False))

    # --- the Internet --------------------------------------------------------------------------
    def call(self, coroutine) -> Any:
        """Runs a coroutine on the peers' loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def address(self) -> str:
        return self._network.address()

    def add_mx(self, name: str, *, leaf: Leaf | None = None, script: Script | None = None,
               ip: str = "", starttls: str = "", rules: dict | None = None) -> MxHost:
        """A listening MX host with its address record."""
        script = script or Script()
        script.starttls = starttls or script.starttls
        script.rules.update(rules or {})
        host = MxHost(self.authority, name, leaf, script)
        ip = ip or self.address()
        self.call(host.start(ip, self.smtp_port))
        self._servers.append(host)
        self.dns.set(name, "AAAA" if ":" in ip else "A", ip)
        self.mx[name] = host
        return host

    def set_mx(self, domain: str, *hosts: MxHost | str, preferences: list[int] | None = None,
               **options) -> None:
        """The domain's MX records, in this order of preference unless told otherwise."""
        numbers = preferences or [10 * (n + 1) for n in range(len(hosts))]
        names = [host if isinstance(host, str) else host.name for host in hosts]
        self.dns.set(domain, "MX", [f"{n} {name}." for n, name in zip(numbers, names)], **options)

    def publish(self, domain: str, mode: str, mx: list[str], *, id: str = "1",
                max_age: int = 86400, body: bytes | None = None, leaf: Leaf | None = None,
                ttl: int = 300) -> PolicyHost:
        """The domain's TXT record and policy; replaces what was published before."""
        self.dns.set(f"_mta-sts.{domain}", "TXT", f"v=STSv1; id={id};", ttl=ttl)
        name = f"mta-sts.{domain}"
        host = self.policy_hosts.get(name) or self.add_policy_host(name, leaf)
        host.reply = Reply(policy_body(mode, mx, max_age) if body is None else body)
        return host

    def add_policy_host(self, name: str, leaf: Leaf | None = None, ip: str = "",
                        names: tuple[str, ...] = ()) -> PolicyHost:
        """A listening policy host with its address record; names: more that it serves."""
        host = PolicyHost(self.authority, name, leaf, names, self.policy_traffic)
        ip = ip or self.address()
        self.call(host.start(ip, self.https_port))
        self._servers.append(host)
        for each in (name, *names):
            self.dns.set(each, "AAAA" if ":" in ip else "A", ip)
            self.policy_hosts[each] = host
        return host

    def add_domain(self, domain: str, mode: str = "", **host_options) -> MxHost:
        """A domain with one MX host mx1 and, with a mode, a policy that lists it."""
        host = self.add_mx(f"mx1.{domain}", **host_options)
        self.set_mx(domain, host)
        if mode:
            self.publish(domain, mode, [host.name])
        return host

    # --- clients of the daemon -----------------------------------------------------------------
    def smtp(self, timeout: float = 30) -> smtplib.SMTP:
        client = smtplib.SMTP(*self.listener, local_hostname="client.test", timeout=timeout)
        client.ehlo()
        return client

    def send(self, to: str | list[str], *, sender: str = "alice@sender.example",
             body: bytes = b"Hello.\r\n", subject: str = "test", options: list[str] = [],
             recipient_options: list[str] = []) -> str:
        """Submits a message, which must be accepted; returns its queue id."""
        content = b"From: <alice@sender.example>\r\nSubject: %s\r\n\r\n" % subject.encode() + body
        with self.smtp() as client:
            return submit(client, sender, [to] if isinstance(to, str) else to, content, options,
                          recipient_options)

    def policies(self) -> dict[str, dict]:
        """The cached policies that are in force, by domain."""
        entries = self.daemon.ctl("policy", "list")["policies"]
        return {entry["domain"]: entry for entry in entries if not entry["expired"]}

    # --- what became of a message ---------------------------------------------------------------
    def queue(self) -> list[dict]:
        return self.daemon.ctl("queue", "list")["messages"]

    def deliveries(self, **fields: str) -> list[dict[str, str]]:
        """Log lines of delivery attempts."""
        return self.daemon.log("delivery", **fields)

    def wait_for_delivery(self, id: str, result: str = "", seconds: float = 20) -> dict[str, str]:
        """The first attempt's log line of a message (with that result)."""
        fields = {"id": id, **({"result": result} if result else {})}
        try:
            return wait_until(lambda: self.deliveries(**fields), f"delivery {fields}", seconds)[0]
        except AssertionError as error:
            raise AssertionError(f"{error}; instead {self.deliveries(id=id)}") from None

    def counts(self, domain: str) -> list[Count]:
        """Today's TLS result counts of a report domain, one per policy."""
        found = []
        for entry in self.daemon.ctl("results")["results"]:
            if entry["report_domain"] != domain:
                continue
            types: dict[str, int] = {}
            for failure in entry["failures"]:
                kind = failure["result_type"]
                types[kind] = types.get(kind, 0) + failure["count"]
            policy = entry["policy"]
            found.append(Count(
                policy["type"], policy["domain"], tuple(policy["strings"]),
                entry["successful_sessions"], entry["failed_sessions"], types,
                {f["reason_code"] for f in entry["failures"] if "reason_code" in f},
                entry["failures"]))
        return found

    def start(self) -> "World":
        self.daemon.start()
        return self

    def close(self, check: bool = True) -> None:
        """Stops the daemon (which must end well, when check) and the peers."""
        try:
            if check:
                self.daemon.stop()
            else:
                self.daemon.kill()
        finally:
            for server in self._servers:  # the next world may get their addresses
                self.call(server.stop())
            self.call(_cancel_everything())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._network.close()
            if self._remove_folder:
                shutil.rmtree(self.folder, ignore_errors=True)


async def _cancel_everything() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def submit(client: smtplib.SMTP, sender: str, to: list[str], content: bytes,
           options: list[str] = [], recipient_options: list[str] = []) -> str:
    """One transaction on an open connection; returns the queue id from the 250 reply."""
    code, text = client.mail(sender, options)
    assert code == 250, (code, text)
    for address in to:
        code, text = client.rcpt(address, recipient_options)
        assert code == 250, (code, text)
    code, text = client.data(content)
    assert code == 250, (code, text)
    return text.decode().split()[-1]
