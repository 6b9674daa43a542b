"""Mail clients that nobody here wrote, each sending one given message over STARTTLS with the relay's
certificate verified."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from software import Postfix, free_port

NODEMAILER = """
const mail = require('nodemailer');
const told = JSON.parse(require('fs').readFileSync(0));
const ca = require('fs').readFileSync(told.ca);
mail.createTransport({host: told.host, port: told.port, requireTLS: true, name: 'client.test',
                      tls: {servername: told.name, ca: ca}})
  .sendMail({envelope: {from: told.sender, to: told.to}, raw: told.raw, dsn: told.dsn})
  .catch(error => { console.error(error); process.exit(1); });
"""


@dataclass
class Mail:
    """A message and what is asked for it."""

    sender: str
    to: list[str]
    subject: str
    body: str  # LF line ends
    asks: set[str] = field(default_factory=set)  # of 8BITMIME, SMTPUTF8 and DSN

    @property
    def text(self) -> str:
        return (f"From: <{self.sender}>\nTo: undisclosed-recipients:;\nSubject: {self.subject}\n"
                f"Message-ID: <{self.subject}@client.test>\nMIME-Version: 1.0\n"
                "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
                f"{self.body}")

    @property
    def octets(self) -> bytes:
        return self.text.replace("\n", "\r\n").encode()


@dataclass(frozen=True)
class Relay:
    """Where the clients hand in their mail."""

    host: str
    port: int
    name: str  # in its certificate
    ca: Path


def _run(*command: str, text: str, environment: dict[str, str] | None = None) -> None:
    result = subprocess.run(command, input=text.encode(), capture_output=True, timeout=60,
                            check=False, env={**os.environ, **(environment or {})})
    assert result.returncode == 0, (command, result.stdout[-3000:], result.stderr[-3000:])


def by_python(relay: Relay, mail: Mail) -> None:
    with smtplib.SMTP(relay.host, relay.port, local_hostname="client.test", timeout=60) as client:
        client._host = relay.name  # the name to verify
        client.starttls(context=ssl.create_default_context(cafile=relay.ca))
        client.ehlo()
        _submit(client, mail)


def _submit(client: smtplib.SMTP, mail: Mail) -> None:
    options = [word for wanted, word in (("8BITMIME", "BODY=8BITMIME"), ("SMTPUTF8", "SMTPUTF8"))
               if wanted in mail.asks]
    recipient_options = []
    if "DSN" in mail.asks:
        options += ["RET=HDRS", f"ENVID={mail.subject}"]
        recipient_options = ["NOTIFY=SUCCESS", f"ORCPT=rfc822;{mail.to[0]}"]
    client.command_encoding = "utf-8" if "SMTPUTF8" in mail.asks else "ascii"
    for code, said in [client.mail(mail.sender, options),
                       *(client.rcpt(to, recipient_options) for to in mail.to),
                       client.data(mail.octets)]:
        assert code == 250, (code, said)


def by_swaks(relay: Relay, mail: Mail) -> None:
    _run("swaks", "--server", f"{relay.host}:{relay.port}", "--ehlo", "client.test", "-tls",
         "--tls-verify", "--tls-ca-path", str(relay.ca), "--from", mail.sender, "--to",
         ",".join(mail.to), "--data", "-", text=mail.text)


def by_msmtp(relay: Relay, mail: Mail) -> None:
    _run("msmtp", "--file=/dev/null", f"--host={relay.host}", f"--port={relay.port}", "--tls=on",
         "--tls-starttls=on", f"--tls-trust-file={relay.ca}", f"--tls-host-override={relay.name}",
         "--domain=client.test", f"--from={mail.sender}",
         *(("--dsn-notify=success", "--dsn-return=headers") if "DSN" in mail.asks else ()),
         "--", *mail.to, text=mail.text)


def by_s_nail(relay: Relay, mail: Mail) -> None:
    _run("s-nail", "-:/", "-Sv15-compat", f"-Smta=smtp://{relay.host}:{relay.port}",
         "-Ssmtp-use-starttls", "-Ssmtp-auth=none", "-Shostname=client.test", "-Stls-verify=strict",
         f"-Stls-ca-file={relay.ca}", "-Stls-ca-no-defaults", "-Sttycharset=utf-8",
         "-Smime-encoding=8b", "-Sexpandaddr=fail,-all,+addr", f"-r{mail.sender}",
         f"-s{mail.subject}", "-.", *mail.to, text=mail.body,
         environment={"LC_ALL": "C.UTF-8", "HOME": "/nonexistent"})


def by_nodemailer(relay: Relay, mail: Mail) -> None:
    told = {"host": relay.host, "port": relay.port, "name": relay.name, "ca": str(relay.ca),
            "sender": mail.sender, "to": mail.to, "raw": mail.text}
    if "DSN" in mail.asks:
        told["dsn"] = {"id": mail.subject, "return": "headers", "notify": ["success"],
                       "recipient": mail.to[0]}
    _run("nodejs", "-e", NODEMAILER, text=json.dumps(told),
         environment={"NODE_PATH": "/usr/share/nodejs"})


class PostfixClient:
    """A Postfix whose relayhost is the relay."""

    def __init__(self, folder: Path, relay: Relay, address: str) -> None:
        self._at = (address, free_port(address))
        self.program = Postfix(folder, {"%s:%d" % self._at: {}}, {
            "myhostname": "client.test",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "relayhost": f"[{relay.host}]:{relay.port}",
            "smtp_host_lookup": "native",
            "smtp_tls_security_level": "secure",
            "smtp_tls_secure_cert_match": relay.name,
            "smtp_tls_CAfile": str(relay.ca),
            "smtp_destination_recipient_limit": "1000",
            "smtpd_recipient_limit": "1000",
            "message_size_limit": "50000000",
        })

    def __call__(self, _relay: Relay, mail: Mail) -> None:
        with smtplib.SMTP(*self._at, local_hostname="app.test", timeout=60) as client:
            client.ehlo()
            _submit(client, mail)


# Each with what it asks for by itself; octets over 127 can be sent by all of them. None: the Postfix
# of a test.
CLIENTS = {
    "python": (by_python, {"8BITMIME", "SMTPUTF8", "DSN"}),
    "swaks": (by_swaks, {"8BITMIME"}),
    "msmtp": (by_msmtp, {"8BITMIME", "DSN"}),
    "s-nail": (by_s_nail, {"8BITMIME"}),
    "nodemailer": (by_nodemailer, {"8BITMIME", "SMTPUTF8", "DSN"}),
    "postfix": (None, {"8BITMIME", "SMTPUTF8", "DSN"}),
}
