"""Clients × stsrelay × servers, none of which was written here: each feature that both sides
announce is used, and what arrives is what was sent.

Left out of the servers' STARTTLS is OpenSMTPD's, which Debian 12's build cannot do.
"""

from __future__ import annotations

import email
import email.policy
import os
import re
import shutil
import smtplib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import foreign
import software
from interop_clients import CLIENTS, Mail, PostfixClient, Relay
from peers.ca import Leaf
from peers.daemon import wait_until
from peers.world import World
from software import missing

pytestmark = pytest.mark.needs("postfix", "apt-get", "unshare", root="Postfix")

SERVERS = ("postfix", "exim", "opensmtpd", "chasquid", "aiosmtpd")
REPORTERS = ("postfix", "exim")  # of success; OpenSMTPD takes NOTIFY and reports to nobody
MANY = 40
LARGE = "".join(f"{n:07d} " + "x" * 60 + "\n" for n in range(45_000))  # 3 MB
# What is sent: the body, and which extension it needs. What no row names goes with every client.
CASES = {
    "dots": (".\n..\n.dot\n...\nend\n", set()),
    "empty": ("", set()),
    "large": (LARGE, set()),
    "many": ("to many\n", set()),
    "eight-bit": ("Grüße – żółć\n.\nend\n", {"8BITMIME"}),
    "utf8": ("to jürgen\n", {"SMTPUTF8"}),
    "dsn": ("tell me\n", {"DSN"}),
}


class Matrix:
    """The servers, one relay, and a Postfix as client."""

    def __init__(self, folder: Path, authority) -> None:
        self.folder = folder
        self.programs: list[software.Program] = []
        self.inboxes: dict[str, Path] = {}
        self.absent: dict[str, str] = {}
        self.announced: dict[str, set[str]] = {}
        self.world = world = World(authority)
        own = authority.pem_file(Leaf.good("relay.test", world.listener[0]))
        world.write_config(
            listen=[{"address": "%s:%d" % world.listener,
                     "tls": {"mode": "starttls", "certificate": str(own)}}])
        self.relay = Relay(*world.listener, "relay.test", authority.ca_file)
        try:
            with ThreadPoolExecutor() as threads:
                for done in [threads.submit(self._start, name) for name in SERVERS]:
                    done.result()
            world.start()
            self.postfix = PostfixClient(folder / "client", self.relay, world.address())
            self.programs.append(self.postfix.program)
        except BaseException:
            self.close()
            raise

    def _start(self, name: str) -> None:
        address, port = self.world.address(), self.world.smtp_port
        domain, host = f"{name}.test", f"mx1.{name}.test"
        pem = self.world.authority.pem_file(Leaf.good(host))
        folder = self.folder / name
        if name == "postfix":
            inbox, program = self._postfix(folder, f"{address}:{port}", domain, pem)
        elif name == "chasquid":
            if reason := missing("chasquid"):
                self.absent[name] = reason
                return
            program = software.Chasquid(folder, address, port, host, domain, pem)
            inbox = program.inbox
        elif name == "aiosmtpd":
            program = foreign.Aiosmtpd(folder, address, port, pem)
            inbox = program.inbox / "new"
        else:
            packages = self.folder / f"{name}-packages"
            names = ("exim4-daemon-light", "exim4-base") if name == "exim" else ("opensmtpd",)
            if reason := foreign.download(packages, *names):
                self.absent[name] = reason
                return
            program = (foreign.Exim(folder, packages, address, port, host, pem) if name == "exim"
                       else foreign.OpenSmtpd(folder, packages, address, port, host))
            inbox = program.inbox / "new"
        self.programs.append(program)
        self.inboxes[name] = inbox
        self._enter(name, domain, host, (address, port))

    def _postfix(self, folder: Path, listener: str, domain: str, pem: Path):
        boxes = folder / "mailboxes"
        for part in ("new", "cur", "tmp"):
            (boxes / "inbox" / part).mkdir(parents=True)
        for path in (boxes, *boxes.rglob("*")):
            os.chown(path, 65534, 65534)
        return boxes / "inbox" / "new", software.Postfix(
            folder, {listener: {"smtpd_tls_chain_files": str(pem)}}, {
                "myhostname": f"mx1.{domain}",
                "mydestination": "",
                "virtual_mailbox_domains": domain,
                "virtual_mailbox_base": str(boxes),
                "virtual_mailbox_maps": "static:inbox/",
                "virtual_mailbox_limit": "0",
                "virtual_uid_maps": "static:65534",
                "virtual_gid_maps": "static:65534",
                "smtpd_relay_restrictions": "reject_unauth_destination",
                "smtpd_tls_security_level": "may",
                "message_size_limit": "50000000",
            })

    def _enter(self, name: str, domain: str, host: str, at: tuple[str, int]) -> None:
        """DNS, and a policy where the server has TLS."""
        self.world.dns.set(host, "A", at[0])
        self.world.set_mx(domain, host)
        with smtplib.SMTP(*at, timeout=20) as client:
            client.ehlo()
            self.announced[name] = {word.upper() for word in client.esmtp_features}
        if "STARTTLS" in self.announced[name]:
            self.world.publish(domain, "enforce", [host])

    def send(self, client: str, mail: Mail) -> None:
        (CLIENTS[client][0] or self.postfix)(self.relay, mail)

    def arrived(self, server: str, token: str) -> list[bytes]:
        found = []
        for path in self.inboxes[server].glob("[!.]*"):
            text = path.read_bytes().replace(b"\r\n", b"\n")
            if token.encode() in text.partition(b"\n\n")[0]:
                found.append(text)
        return found

    def close(self) -> None:
        try:
            self.world.close()
        finally:
            with ThreadPoolExecutor() as threads:
                for program in self.programs:
                    threads.submit(program.stop)


@pytest.fixture(scope="module")
def matrix(authority):
    folder = Path(tempfile.mkdtemp(prefix="stsrelay-interop-"))
    folder.chmod(0o755)
    made = Matrix(folder, authority)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


def mails(client: str, server: str, can: set[str]) -> dict[str, Mail]:
    """What the client sends to the server, by case."""
    made = {}
    for case, (body, needs) in CASES.items():
        if not needs <= can:
            continue
        token = f"{client}-{server}-{case}"
        to = [f"{'jürgen' if case == 'utf8' else 'user'}@{server}.test"]
        if case == "many":
            to = [f"user{n}@{server}.test" for n in range(MANY)]
        made[case] = Mail(f"{token}@{server}.test", to, token, body,
                          needs | ({"8BITMIME"} & can if case == "utf8" else set()))
    return made


def check_delivery(matrix: Matrix, server: str, mail: Mail) -> None:
    """By the relay's log: every recipient once, and verified where there is TLS."""
    lines = wait_until(
        lambda: (found := matrix.world.deliveries(**{"from": mail.sender}))
        and len(found) >= len(mail.to) and found, f"deliveries of {mail.subject}", 40)
    assert sorted(line["to"] for line in lines) == sorted(mail.to)
    for line in lines:
        assert line["result"] == "delivered", line
        assert ("verified" in line["tls"]) == ("STARTTLS" in matrix.announced[server]), line


def check_arrival(matrix: Matrix, server: str, case: str, mail: Mail) -> None:
    copies = wait_until(lambda: matrix.arrived(server, f"Subject: {mail.subject}\n"),
                        f"{mail.subject} to arrive", 40)
    head, _, body = copies[0].partition(b"\n\n")
    assert body.rstrip(b"\n") == mail.body.encode().rstrip(b"\n"), body[:200]
    assert b"by relay.test" in head and b"(using TLSv1." in head, head.decode()
    if case == "many" and server != "chasquid":  # whose aliases hide whom they stand for
        named = wait_until(
            lambda: (found := {name for text in matrix.arrived(server, f"Subject: {mail.subject}\n")
                               for name in re.findall(rb"user\d+@[a-z.]+",
                                                      text.partition(b"\n\n")[0])})
            and len(found) >= MANY and found, "all recipients", 40)
        assert named == {to.encode() for to in mail.to}
    if case == "dsn" and server in REPORTERS:
        said = wait_until(lambda: reports(matrix, server, mail.sender), "the server's report", 40)
        assert any(mail.subject in text or mail.to[0] in text for text in said)


def reports(matrix: Matrix, server: str, sender: str) -> list[str]:
    parsed = [email.message_from_bytes(text, policy=email.policy.default)
              for text in matrix.arrived(server, sender)]
    return [message.as_string() for message in parsed
            if message.get_content_type() == "multipart/report"]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_mail_of_client_arrives_at_server(matrix, client, server):
    _, asks, programs = CLIENTS[client]
    if reason := missing(*programs) or matrix.absent.get(server, ""):
        pytest.skip(reason)
    batch = mails(client, server, asks & matrix.announced[server])
    assert {"dots", "empty", "large", "many"} <= set(batch)
    with ThreadPoolExecutor(3) as threads:
        for sent in [threads.submit(matrix.send, client, mail) for mail in batch.values()]:
            sent.result()
    for case, mail in batch.items():
        check_delivery(matrix, server, mail)
        check_arrival(matrix, server, case, mail)


def test_servers_announce_what_the_matrix_is_about(matrix):
    """A server that stopped announcing would leave rows out in silence."""
    expected = {"postfix": {"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "STARTTLS"},
                "exim": {"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "STARTTLS"},
                "opensmtpd": {"8BITMIME", "DSN"},
                "chasquid": {"PIPELINING", "8BITMIME", "SMTPUTF8", "STARTTLS"},
                "aiosmtpd": {"8BITMIME", "SMTPUTF8", "STARTTLS"}}
    for server, announced in matrix.announced.items():
        assert expected[server] <= announced, server
