"""Relayed mail with DKIM signatures of its author's domain, as dkimpy verifies them."""

from __future__ import annotations

import base64
import re
import subprocess
from pathlib import Path

import pytest

from peers.daemon import wait_until
from peers.world import submit

try:
    import dkim
except ImportError:
    dkim = None

pytestmark = pytest.mark.needs("openssl", modules=["dkim", "nacl"])  # dkimpy needs nacl for Ed25519


class Keys:
    """Keys made by OpenSSL, and the records that would be published."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[bytes, bytes] = {}

    def entry(self, domain: str, selector: str, kind: str = "rsa") -> dict:
        file = self.folder / f"{selector}.{domain}.pem"
        options = ["-pkeyopt", "rsa_keygen_bits:2048"] if kind == "rsa" else []
        subprocess.run(["openssl", "genpkey", "-algorithm", kind, *options, "-out", str(file)],
                       check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", str(file), "-pubout", "-outform", "DER"],
                             check=True, capture_output=True).stdout
        public = base64.b64encode(der if kind == "rsa" else der[-32:])
        self.records[f"{selector}._domainkey.{domain}.".encode()] = (
            b"v=DKIM1; k=%s; p=%s" % (kind.encode(), public))
        return {"domain": domain, "selector": selector, "key_file": str(file)}

    def look_up(self, name, **_options):
        return self.records.get(name)


@pytest.fixture
def signing(make_world):
    """A world that signs for example.org, and its keys."""
    world = make_world(start=False)
    keys = Keys(world.folder)
    world.write_config(dkim=[keys.entry("example.org", "one"),
                             keys.entry("example.org", "two", "ed25519"),
                             keys.entry("sub.example.org", "three")])
    world.start()
    world.keys = keys
    return world


def relayed(world, content: bytes, to: str = "bob@rcpt.test") -> bytes:
    """What arrives of a message."""
    host = world.mx.get("mx1.rcpt.test") or world.add_domain("rcpt.test")
    seen = len(host.messages)
    with world.smtp() as client:
        submit(client, "a@example.org", [to], content)
    wait_until(lambda: len(host.messages) > seen)
    return host.messages[-1].content + b"\r\n"


def signers(message: bytes) -> list[str]:
    return re.findall(r"s=(\w+);", message.split(b"\r\n\r\n")[0].decode("utf-8", "replace"))


@pytest.mark.parametrize("content", [
    b"From: Ann <a@example.org>\r\nTo: bob@rcpt.test\r\nSubject: x\r\n\r\nHello.\r\n",
    b"From: a@example.org\r\nSubject: folded\r\n\tsubject \r\n\r\n",
    b"From: a@example.org\r\n\r\n.dots\r\n..\r\n blanks  here\t\r\n\r\n\r\n",
    "From: Änne <a@example.org>\r\nSubject: Grüße\r\n\r\nGrüße\r\n".encode(),
    b"From: a@other.example.org\r\n\r\nof a domain below\r\n",
    b"From: a@example.org\r\n\r\n" + b"many lines \r\n" * 40_000,
], ids=["plain", "no body", "dots", "8 bit", "domain below", "large"])
def test_relayed_mail_is_signed_by_every_key_of_its_author_s_domain(signing, content):
    message = relayed(signing, content)
    assert signers(message) == ["one", "two"]
    for index in range(2):
        assert dkim.DKIM(message).verify(idx=index, dnsfunc=signing.keys.look_up)
    damaged = message.replace(b"\r\nFrom:", b"\r\nFrom: b@rcpt.test,", 1)
    assert not dkim.verify(damaged, dnsfunc=signing.keys.look_up)
    more = message.replace(b"\r\n\r\n", b"\r\nSubject: added\r\n\r\n", 1)
    assert not dkim.verify(more, dnsfunc=signing.keys.look_up)


def test_the_closest_domain_signs_and_strangers_mail_is_left_alone(signing):
    assert signers(relayed(signing, b"From: a@x.sub.example.org\r\n\r\nx\r\n")) == ["three"]
    for sender in (b"a@example.com", b"a@notexample.org"):
        assert not signers(relayed(signing, b"From: %s\r\n\r\nx\r\n" % sender))


def test_what_the_domain_has_signed_already_is_left_alone(signing):
    signed = relayed(signing, b"From: a@example.org\r\n\r\nx\r\n")
    again = relayed(signing, signed[:-2])
    assert signers(again) == ["one", "two"]
    assert dkim.verify(again, dnsfunc=signing.keys.look_up)


def test_a_reload_reads_the_keys_again_and_refuses_what_is_none(signing):
    entry = signing.keys.entry("example.org", "new")
    signing.write_config(dkim=[entry])
    signing.daemon.ctl("config", "reload")
    assert signers(relayed(signing, b"From: a@example.org\r\n\r\nx\r\n")) == ["new"]
    Path(entry["key_file"]).write_text("no key")
    result = signing.daemon.run("config", "reload")
    assert result.returncode == 1 and "dkim[0].key_file" in result.stderr
    assert signers(relayed(signing, b"From: a@example.org\r\n\r\ny\r\n")) == ["new"]
