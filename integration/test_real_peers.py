"""Deliveries into software nobody here wrote: unbound before nsd, nginx, Postfix and chasquid as
MX hosts, swaks and smtp-source as clients."""

from __future__ import annotations

import email
import email.policy
import os
import smtplib
import subprocess
from email.message import EmailMessage
from pathlib import Path

import pytest
import yaml

import software
from peers.ca import Leaf
from peers.daemon import Daemon, wait_until
from peers.network import Network
from peers.world import submit

pytestmark = pytest.mark.needs("nsd", "unbound", "nginx", "postfix", root="Postfix")

GOOD = "enforced.test"  # Postfix, certificate for its MX host
WRONG = "mismatch.test"  # Postfix, certificate for another name
STRANGER = "stranger.test"  # Postfix, certificate of an unknown authority
GO = "go.test"  # chasquid
PLAIN = "nopolicy.test"  # Postfix, no policy


class Inbox:
    """A folder with one file per message."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def messages(self) -> list[EmailMessage]:
        files = [path for path in self._folder.glob("*") if not path.name.startswith(".")]
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
                for path in sorted(files)]

    def raw(self, subject: str) -> bytes:
        needle = f"Subject: {subject}\n".encode()
        return wait_until(
            lambda: next((data for data in (path.read_bytes().replace(b"\r\n", b"\n")
                                            for path in self._folder.glob("[!.]*"))
                          if needle in data), None), f"a message with subject {subject}")

    def with_subject(self, subject: str) -> list[EmailMessage]:
        return [message for message in self.messages() if message["Subject"] == subject]

    def wait_for(self, subject: str) -> EmailMessage:
        return wait_until(lambda: self.with_subject(subject), f"a message {subject!r}")[0]


class RealWorld:
    """The servers and a daemon that delivers to them."""

    def __init__(self, folder: Path, authority) -> None:
        self._network = Network()
        self._programs: list[software.Program] = []
        self.folder = folder
        here = self._network.address()
        postfix_ip, wrong_ip, stranger_ip, go_ip = (self._network.address() for _ in range(4))
        self.smtp_port = software.free_port(postfix_ip, wrong_ip, stranger_ip, go_ip)
        self.https_port = software.free_port(here)
        addresses = {GOOD: postfix_ip, WRONG: wrong_ip, STRANGER: stranger_ip, GO: go_ip,
                     PLAIN: postfix_ip}
        try:
            self._start_dns(here, addresses)
            self._add(software.Nginx(folder / "nginx", here, self.https_port, {
                domain: (authority.pem_file(Leaf.good(f"mta-sts.{domain}")),
                         f"version: STSv1\nmode: enforce\nmx: mx.{domain}\nmax_age: 86400\n"
                         .encode())
                for domain in addresses if domain != PLAIN}))
            self._start_postfix({
                postfix_ip: authority.pem_file(Leaf.good(f"mx.{GOOD}")),
                wrong_ip: authority.pem_file(Leaf.good("elsewhere.test")),
                stranger_ip: authority.pem_file(Leaf.faulty("unknown-ca", f"mx.{STRANGER}")),
            })
            if not software.missing("chasquid"):
                chasquid = software.Chasquid(folder / "chasquid", go_ip, self.smtp_port,
                                             f"mx.{GO}", GO, authority.pem_file(
                                                 Leaf.good(f"mx.{GO}")))
                self._add(chasquid)
                self.go_inbox = Inbox(chasquid.inbox)
            self._start_daemon(here, authority)
        except BaseException:
            self.close()
            raise

    def _add(self, program: software.Program) -> None:
        self._programs.append(program)

    def _start_dns(self, here: str, addresses: dict[str, str]) -> None:
        records = []
        for domain, address in addresses.items():
            records += [f"{domain}. MX 10 mx.{domain}.", f"mx.{domain}. A {address}"]
            if domain != PLAIN:
                records += [f'_mta-sts.{domain}. TXT "v=STSv1; id=20261101T000000;"',
                            f"mta-sts.{domain}. A {here}"]
        port = software.free_port(here)
        self._add(software.Nsd(self.folder / "nsd", here, port, "test", records))
        self.dns_port = software.free_port(here)
        self._add(software.Unbound(self.folder / "unbound", here, self.dns_port,
                                   stubs={"test": (here, port)}))

    def _start_postfix(self, certificates: dict[str, Path]) -> None:
        folder = self.folder / "postfix"
        mailboxes = folder / "mailboxes"
        for name in ("new", "cur", "tmp"):
            (mailboxes / "inbox" / name).mkdir(parents=True)
        for path in (mailboxes, *mailboxes.rglob("*")):
            os.chown(path, 65534, 65534)
        self.inbox = Inbox(mailboxes / "inbox" / "new")
        listeners = {f"{address}:{self.smtp_port}": {"smtpd_tls_chain_files": str(pem)}
                     for address, pem in certificates.items()}
        self.postfix = software.Postfix(folder, listeners, {
            "myhostname": f"mx.{GOOD}",
            "mydestination": "",
            "virtual_mailbox_domains": f"{GOOD}, {WRONG}, {STRANGER}, {PLAIN}, sender.test",
            "virtual_mailbox_base": str(mailboxes),
            "virtual_mailbox_maps": "static:inbox/",
            "virtual_uid_maps": "static:65534",
            "virtual_gid_maps": "static:65534",
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_received_header": "yes",
            "smtpd_tls_loglevel": "1",
            "smtpd_client_connection_count_limit": "0",
        })
        self._add(self.postfix)

    def _start_daemon(self, here: str, authority) -> None:
        listener = (self._network.address(), 0)
        listener = (listener[0], software.free_port(listener[0]))
        config = self.folder / "relay.yaml"
        config.write_text(yaml.safe_dump({
            "hostname": "relay.test",
            "listen": [{"address": "%s:%d" % listener}],
            "queue": {"path": str(self.folder / "spool"), "min_free": "1MiB"},
            "test_world": {
                "resolvers": [f"{here}:{self.dns_port}"],
                "smtp_port": self.smtp_port,
                "https_port": self.https_port,
                "ca_file": str(authority.ca_file),
                "allow_private_addresses": True,
            },
        }))
        self.daemon = Daemon(config, self.folder, listener)
        self.daemon.start()

    @property
    def server(self) -> str:
        return "%s:%d" % self.daemon.listener

    def smtp(self) -> smtplib.SMTP:
        client = smtplib.SMTP(*self.daemon.listener, local_hostname="client.test", timeout=30)
        client.ehlo()
        return client

    def send(self, to: str, subject: str, *, sender: str = "alice@sender.test",
             body: bytes = b"Hello.\r\n", options=(), recipient_options=()) -> str:
        content = f"From: <{sender}>\r\nSubject: {subject}\r\n\r\n".encode() + body
        with self.smtp() as client:
            client.command_encoding = "utf-8"
            return submit(client, sender, [to], content, list(options), list(recipient_options))

    def wait_for_attempt(self, id: str) -> dict[str, str]:
        return wait_until(lambda: self.daemon.log("delivery", id=id), f"an attempt of {id}")[0]

    def close(self) -> None:
        try:
            if hasattr(self, "daemon"):
                self.daemon.stop()
        finally:
            for program in reversed(self._programs):
                program.stop()
            self._network.close()


@pytest.fixture(scope="module")
def real(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    for parent in (folder, *list(folder.parents)[:-1]):  # Postfix's own user must get there
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    world = RealWorld(folder, authority)
    yield world
    world.close()


def last_hop(message: EmailMessage) -> str:
    return " ".join(message.get_all("Received")[0].split())


def test_enforce_is_delivered_verified_to_postfix(real):
    id = real.send(f"bob@{GOOD}", "verified")
    message = real.inbox.wait_for("verified")
    assert message["X-Original-To"] == f"bob@{GOOD}"
    assert "using TLSv1.3" in last_hop(message)
    assert "from relay.test" in last_hop(message)
    attempt = real.wait_for_attempt(id)
    assert attempt["result"] == "delivered", attempt
    assert attempt["host"] == f"mx.{GOOD}", attempt
    policy = real.daemon.ctl("policy", "show", GOOD)
    assert f"mx.{GOOD}" in str(policy), policy


@pytest.mark.parametrize("domain", [WRONG, STRANGER])
def test_a_wrong_certificate_of_postfix_is_refused_under_enforce(real, domain):
    id = real.send(f"bob@{domain}", f"refused {domain}")
    attempt = real.wait_for_attempt(id)
    assert attempt["result"] == "deferred", attempt
    assert id in str(real.daemon.ctl("queue", "list"))
    assert not real.inbox.with_subject(f"refused {domain}")
    assert f"refused {domain}" not in real.postfix.maillog
    assert real.daemon.run("queue", "remove", id).returncode == 0


def test_without_a_policy_a_wrong_certificate_is_accepted(real):
    id = real.send(f"bob@{PLAIN}", "opportunistic")
    assert "using TLSv1.3" in last_hop(real.inbox.wait_for("opportunistic"))
    assert real.wait_for_attempt(id)["result"] == "delivered"


@pytest.mark.needs("chasquid")
def test_enforce_is_delivered_verified_to_chasquid(real):
    id = real.send(f"bob@{GO}", "to a server in Go")
    message = real.go_inbox.wait_for("to a server in Go")
    assert message["Return-Path"] == "<alice@sender.test>"
    assert "tls_cipher" in last_hop(message).lower() or "TLS" in last_hop(message)
    attempt = real.wait_for_attempt(id)
    assert attempt["result"] == "delivered" and attempt["host"] == f"mx.{GO}", attempt


def test_eight_bit_text_arrives_octet_by_octet(real):
    body = bytes(range(128, 256)) + b"\r\n.\r\n..two\r\n.dot\r\nlast line\r\n"
    # smtplib stuffs the dots itself.
    real.send(f"bob@{GOOD}", "eight bits", body=body, options=["BODY=8BITMIME"])
    raw = real.inbox.raw("eight bits")
    assert raw.split(b"\n\n", 1)[1] == body.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("domain", [
    GOOD, pytest.param(GO, marks=pytest.mark.needs("chasquid"))])
def test_internationalized_addresses_arrive(real, domain):
    to = f"jürgen@{domain}"
    inbox = real.inbox if domain == GOOD else real.go_inbox
    real.send(to, f"grüße an {domain}", sender="añejo@sender.test",
              options=["SMTPUTF8", "BODY=8BITMIME"])
    raw = inbox.raw(f"grüße an {domain}").decode()
    assert "Return-Path: <añejo@sender.test>" in raw
    recipient = "X-Original-To: jürgen@" if domain == GOOD else "Delivered-To: "
    assert recipient in raw


def test_dsn_parameters_reach_postfix_which_reports_success(real):
    real.send(f"bob@{GOOD}", "tell me", options=["RET=HDRS", "ENVID=order+2B66"],
              recipient_options=["NOTIFY=SUCCESS", "ORCPT=rfc822;robert+2Bx@old.test"])
    real.inbox.wait_for("tell me")

    def report() -> bytes | None:
        return next((message.as_bytes() for message in real.inbox.messages()
                     if message.get_content_type() == "multipart/report"
                     and b"order+66" in message.as_bytes()), None)

    text = wait_until(report, "Postfix's report of success").decode()
    assert "Original-Recipient: rfc822;robert+x@old.test" in text
    assert "Action: delivered" in text
    assert "Hello." not in text  # RET=HDRS


@pytest.mark.needs("smtp-source")
def test_many_messages_arrive_exactly_once(real):
    count = 400
    subprocess.run(
        [software.find("smtp-source"), "-4", "-d", "-s", "10", "-m", str(count), "-l", "4096", "-N",
         "-f", "alice@sender.test", "-S", "one of many", "-t", f"user@{GOOD}", real.server],
        check=True, timeout=120)
    wait_until(lambda: not real.daemon.ctl("queue", "list")["messages"], "an empty queue", 60)
    arrived = wait_until(
        lambda: (found := real.inbox.with_subject("one of many")) and len(found) >= count and found,
        "all messages", 60)
    recipients = [message["X-Original-To"] for message in arrived]
    assert len(recipients) == count
    assert len(set(recipients)) == count


@pytest.mark.needs("swaks")
def test_swaks_pipelines_its_commands(real):
    result = subprocess.run(
        [software.find("swaks"), "--server", real.server, "--pipeline", "--ehlo", "client.test",
         "--from", "alice@sender.test", "--to", f"bob@{GOOD},eve@{GOOD}",
         "--header", "Subject: by swaks", "--body", "one\n.\ntwo"],
        capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout
    # Pipelined: all commands were written before the first of their replies was read.
    assert result.stdout.index("DATA") < result.stdout.index("250 2.1.0"), result.stdout
    message = real.inbox.wait_for("by swaks")
    wait_until(lambda: len(real.inbox.with_subject("by swaks")) == 2, "a copy for each recipient")
    assert message.get_content().splitlines()[:3] == ["one", ".", "two"]
