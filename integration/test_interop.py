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

pytestmark = pytest.mark.needs("postfix", "apt-get", "unshare", "swaks", "msmtp", "s-nail", "nodejs",
                               root="Postfix")

# What each server announces; one that stopped would leave rows out in silence.
SERVERS = {
    "postfix": {"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "STARTTLS"},
    "exim": {"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "STARTTLS"},
    "opensmtpd": {"8BITMIME", "DSN"},
    "sendmail": {"PIPELINING", "8BITMIME", "DSN", "STARTTLS"},
    "chasquid": {"PIPELINING", "8BITMIME", "SMTPUTF8", "STARTTLS"},
    "aiosmtpd": {"8BITMIME", "SMTPUTF8", "STARTTLS"},
}
REPORTERS = ("postfix", "exim", "sendmail")  # of success; OpenSMTPD takes NOTIFY and reports to nobody
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


class Row:
    """One server, a relay, and a Postfix as client."""

    def __init__(self, folder: Path, authority, server: str) -> None:
        self.folder = folder
        self.server = server
        self.programs: list[software.Program] = []
        self.world = World(authority)
        own = authority.pem_file(Leaf.good("relay.test", self.world.listener[0]))
        self.world.write_config(
            listen=[{"address": "%s:%d" % self.world.listener,
                     "tls": {"mode": "starttls", "certificate": str(own)}}])
        self.relay = Relay(*self.world.listener, "relay.test", authority.ca_file)
        try:
            self._start_server()
            self.world.start()
            self.postfix = PostfixClient(folder / "client", self.relay, self.world.address())
            self.programs.append(self.postfix.program)
        except BaseException:
            self.close()
            raise

    def _start_server(self) -> None:
        at = (self.world.address(), self.world.smtp_port)
        domain, host = f"{self.server}.test", f"mx1.{self.server}.test"
        pem = self.world.authority.pem_file(Leaf.good(host))
        folder = self.folder / self.server
        match self.server:
            case "postfix":
                self.inbox, program = self._postfix(folder, "%s:%d" % at, domain, pem)
            case "exim":
                program = foreign.Exim(folder, self._packages("exim4-daemon-light", "exim4-base"),
                                       *at, host, pem)
                self.inbox = program.inbox / "new"
            case "opensmtpd":
                program = foreign.OpenSmtpd(folder, self._packages("opensmtpd"), *at, host)
                self.inbox = program.inbox / "new"
            case "sendmail":
                packages = self._packages("sendmail-bin", "sendmail-cf", "sendmail-base", "m4",
                                          "libwrap0", "liblockfile1")
                program = foreign.Sendmail(folder, packages, *at, host, domain, pem)
                self.inbox = program.inbox
            case "chasquid":
                program = software.Chasquid(folder, *at, host, domain, pem)
                self.inbox = program.inbox
            case "aiosmtpd":
                program = foreign.Aiosmtpd(folder, *at, pem)
                self.inbox = program.inbox / "new"
        self.programs.append(program)
        self._publish(domain, host, at)

    def _packages(self, *names: str) -> Path:
        folder = self.folder / "packages"
        if reason := foreign.download(folder, *names):
            pytest.skip(f"{self.server} is not to be had: {reason}")
        return folder

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

    def _publish(self, domain: str, host: str, at: tuple[str, int]) -> None:
        """DNS, and a policy where the server has TLS."""
        self.world.dns.set(host, "A", at[0])
        self.world.set_mx(domain, host)
        with smtplib.SMTP(*at, timeout=20) as client:
            client.ehlo()
            self.announced = {word.upper() for word in client.esmtp_features}
        if "STARTTLS" in self.announced:
            self.world.publish(domain, "enforce", [host])

    def send(self, client: str, mail: Mail) -> None:
        (CLIENTS[client][0] or self.postfix)(self.relay, mail)

    def arrived(self, token: str) -> list[bytes]:
        """What has this in its header section, with LF line ends."""
        found = []
        for path in self.inbox.glob("[!.]*"):
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


@pytest.fixture
def row(authority, request):
    folder = Path(tempfile.mkdtemp(prefix="stsrelay-interop-"))
    folder.chmod(0o755)
    made = Row(folder, authority, request.param)
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


def check_delivery(row: Row, mail: Mail) -> None:
    """By the relay's log: every recipient once, and verified where there is TLS."""
    lines = wait_until(
        lambda: (found := row.world.deliveries(**{"from": mail.sender}))
        and len(found) >= len(mail.to) and found, f"deliveries of {mail.subject}", 60)
    assert sorted(line["to"] for line in lines) == sorted(mail.to)
    for line in lines:
        assert line["result"] == "delivered", line
        assert ("verified" in line["tls"]) == ("STARTTLS" in row.announced), line


def check_arrival(row: Row, case: str, mail: Mail) -> None:
    subject = f"Subject: {mail.subject}\n"
    copies = wait_until(lambda: row.arrived(subject), f"{mail.subject} to arrive", 60)
    head, _, body = copies[0].partition(b"\n\n")
    assert body.rstrip(b"\n") == mail.body.encode().rstrip(b"\n"), body[:200]
    assert b"by relay.test" in head and b"(using TLSv1." in head, head.decode()
    if case == "many" and row.server != "chasquid":  # whose aliases hide whom they stand for
        wanted = {to.encode() for to in mail.to}
        wait_until(lambda: {name for text in row.arrived(subject) for name in re.findall(
            rb"user\d+@[a-z.]+", text.partition(b"\n\n")[0])} == wanted, "all recipients", 60)
    if case == "dsn" and row.server in REPORTERS:
        said = wait_until(lambda: reports(row, mail.sender), "the server's report", 60)
        assert any(mail.subject in text or mail.to[0] in text for text in said)


def reports(row: Row, sender: str) -> list[str]:
    parsed = [email.message_from_bytes(text, policy=email.policy.default)
              for text in row.arrived(sender)]
    return [message.as_string() for message in parsed
            if message.get_content_type() == "multipart/report"]


@pytest.mark.parametrize("row", SERVERS, indirect=True)
def test_mail_of_every_client_arrives_at(row):
    assert SERVERS[row.server] <= row.announced
    for client, (_, asks) in CLIENTS.items():
        batch = mails(client, row.server, asks & row.announced)
        assert {"dots", "empty", "large", "many"} <= set(batch)
        with ThreadPoolExecutor(3) as threads:
            for sent in [threads.submit(row.send, client, mail) for mail in batch.values()]:
                sent.result()
        for case, mail in batch.items():
            check_delivery(row, mail)
            check_arrival(row, case, mail)
