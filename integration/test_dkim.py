"""What we sign, others verify: dkimpy, OpenDKIM and Mail::DKIM; keys and DNS records are ours, too.

The service tag s=tlsrpt (RFC 8460, section 3) divides verifiers: one that knows nothing of reports
refuses the key, a strict receiver of reports takes no other. So reports carry two signatures.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from peers.daemon import binary

try:
    import dkim
except ImportError:
    dkim = None

pytestmark = pytest.mark.needs(modules=["dkim", "nacl"])  # dkimpy needs nacl for Ed25519

DOMAIN = "sender.example"
HERE = Path(__file__).parent

# selector: kind of key, service tag
SELECTORS = {"mail": ("rsa", ""), "tlsrpt": ("rsa", "tlsrpt"), "curve": ("ed25519", "")}

TEXTS = {
    "plain": b"All went well.\n",
    "empty": b"",
    "blank lines": b"\n\nAll  went\t well. \n\n \t\n\n",
    "CRLF": b"All went well.\r\n\r\nReally.\r\n",
    "dots and From": b".\n..\nFrom me\n",
    "not ASCII": "Grüße\n".encode(),
    "long": b"x" * 3000 + b"\n",
}

# Below a Date, without which OpenDKIM takes nothing for mail.
MESSAGES = {name: b"Date: Fri, 21 Aug 2026 00:00:00 +0000\r\n" + rest for name, rest in {
    "plain": b"From: a@sender.example\r\nSubject: x\r\n\r\nbody\r\n",
    "no body": b"From: a@sender.example\r\nSubject: x\r\n\r\n",
    "blank body": b"From: a@sender.example\r\nSubject: x\r\n\r\n\r\n \t\r\n\r\n",
    "blanks in the body": b"From: a@sender.example\r\n\r\n  a \t b\t\r\n\r\n\tc \r\n\r\n \r\n",
    "tabs and folds": b"From:\ta@sender.example\r\nSUBJECT: \t a\r\n\tb \r\n  \tc\t\r\n"
                      b"To:\r\n x@rcpt.example\r\n\r\nbody\r\n",
    "fields twice": b"TLS-Report-Domain: 1\r\nFrom: a@sender.example\r\nX: 1\r\n"
                    b"TLS-Report-Domain: 2\r\nX: 2\r\n\r\nbody\r\n",
    "empty field": b"From: a@sender.example\r\nSubject:\r\nTo: \r\n\r\nbody\r\n",
    "8 bit": "From: a@sender.example\r\nSubject: Grüße\r\n\r\nGrüße\r\n".encode(),
    "signed already": b"DKIM-Signature: v=1; a=rsa-sha256; d=other.example; s=x; h=from;\r\n"
                      b" bh=; b=\r\n"
                      b"From: a@sender.example\r\n\r\nbody\r\n",
}.items()}


def damaged(message: bytes) -> dict[str, bytes]:
    """The message as it must not verify any more."""
    header, _, body = message.partition(b"\r\n\r\n")
    return {
        "the body": message + b"P.S.\r\n",
        "a field": message.replace(b"\r\nFrom:", b"\r\nFrom: b@rcpt.example,", 1),
        "a second From": header + b"\r\nFrom: b@rcpt.example\r\n\r\n" + body,
        "a second Subject above": b"Subject: y\r\n" + message,
    }


class Signer:
    """Our signer with keys of its own making."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self.folder = folder
        for kind in ("rsa", "ed25519"):
            self._key(kind).write_bytes(self._run("key", kind))
        self.records = {
            f"{selector}._domainkey.{DOMAIN}": self._run("record", self._key(kind), tag).decode()
            for selector, (kind, tag) in SELECTORS.items()}

    def report(self, text: bytes, *selectors: str) -> bytes:
        return self._run("report", DOMAIN, *self._keys(selectors), given=text)

    def message(self, message: bytes, *selectors: str) -> bytes:
        return self._run("message", DOMAIN, *self._keys(selectors), given=message)

    def _keys(self, selectors):
        return [f"{one}={self._key(SELECTORS[one][0])}" for one in selectors]

    def _key(self, kind: str) -> Path:
        return self.folder / f"{kind}.pem"

    def _run(self, *arguments, given: bytes = b"") -> bytes:
        return subprocess.run([self._program, *arguments], input=given, stdout=subprocess.PIPE,
                              check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def signer(tmp_path_factory) -> Signer:
    program = binary().parent / "tests" / "sign_report"
    if not program.exists():
        pytest.skip(f"not built: {program}")
    return Signer(program, tmp_path_factory.mktemp("dkim"))


# --- dkimpy --------------------------------------------------------------------------------------
def dkimpy(signer: Signer, message: bytes, index: int = 0, tlsrpt=False) -> bool:
    def records(name: bytes, timeout: int = 5) -> bytes | None:
        record = signer.records.get(name.decode().rstrip("."))
        return None if record is None else record.encode()
    try:
        return dkim.DKIM(message, tlsrpt=tlsrpt).verify(index, dnsfunc=records)
    except dkim.ValidationError:
        return False


@pytest.mark.parametrize("text", TEXTS)
def test_dkimpy_verifies_reports(signer, text):
    message = signer.report(TEXTS[text], *SELECTORS)
    for index, (selector, (_, tag)) in enumerate(SELECTORS.items()):
        # As any mail, as mail that may be a report, as a report by a strict receiver.
        assert dkimpy(signer, message, index) == (tag == ""), selector
        assert dkimpy(signer, message, index, tlsrpt=True), selector
        assert dkimpy(signer, message, index, tlsrpt="strict") == (tag == "tlsrpt"), selector
        for what, wrong in damaged(message).items():
            assert not dkimpy(signer, wrong, index, tlsrpt=True), (selector, what)


@pytest.mark.parametrize("name", MESSAGES)
def test_dkimpy_verifies_any_message(signer, name):
    for selector in ("mail", "curve"):
        assert dkimpy(signer, signer.message(MESSAGES[name], selector)), selector


# --- verifiers that ask the system's resolver ----------------------------------------------------
namespaces = pytest.mark.needs("unshare", "ip", root="a name server on port 53")


def ask(signer: Signer, messages: list[bytes], command: str) -> list[list]:
    records = signer.folder / "records.json"
    records.write_text(json.dumps(signer.records))
    inputs = [signer.folder / f"{index}.eml" for index in range(len(messages))]
    for path, message in zip(inputs, messages):
        path.write_bytes(message)
    result = subprocess.run(
        ["unshare", "--net", "--mount", "--", sys.executable, "-m", "peers.with_dns", records,
         command, *inputs], stdout=subprocess.PIPE, check=True, timeout=120, cwd=HERE)
    return json.loads(result.stdout)


def opendkim(signer: Signer, messages: list[bytes]) -> list[str]:
    """What is wrong with each message; one signature that is good will do."""
    results = ask(signer, messages, "opendkim-testmsg -C")
    assert all((status == 0) == (error == "") for status, _, error in results), results
    return [error.strip().rpartition(": ")[2] for _, _, error in results]


def mail_dkim(signer: Signer, messages: list[bytes]) -> list[list[str]]:
    """For each message, the result of each signature whose algorithm Mail::DKIM knows."""
    results = ask(signer, messages, "dkimproxy-verify")
    assert all(status == 0 for status, _, _ in results), results
    return [re.findall(r"^verify result: (.*)$", output, re.MULTILINE) for _, output, _ in results]


needs_opendkim = pytest.mark.needs("opendkim-testmsg")
needs_mail_dkim = pytest.mark.needs("dkimproxy-verify")


@namespaces
@needs_opendkim
@pytest.mark.parametrize("selectors", [("mail",), ("curve",), ("mail", "tlsrpt", "curve")])
def test_opendkim_verifies_reports(signer, selectors):
    messages = [signer.report(text, *selectors) for text in TEXTS.values()]
    assert opendkim(signer, messages) == [""] * len(messages)
    for fault in opendkim(signer, list(damaged(messages[0]).values())):
        assert fault in ("Bad signature", "Syntax error")


@namespaces
@needs_opendkim
def test_opendkim_takes_no_key_that_is_for_reports_only(signer):
    assert opendkim(signer, [signer.report(b"", "tlsrpt")]) == ["Unable to verify"]


@namespaces
@needs_opendkim
@pytest.mark.parametrize("selector", ["mail", "curve"])
def test_opendkim_verifies_any_message(signer, selector):
    messages = [signer.message(message, selector) for message in MESSAGES.values()]
    assert dict(zip(MESSAGES, opendkim(signer, messages))) == dict.fromkeys(MESSAGES, "")


@namespaces
@needs_mail_dkim
def test_mail_dkim_verifies_reports(signer):
    messages = [signer.report(text, "mail") for text in TEXTS.values()]
    assert mail_dkim(signer, messages) == [["pass"]] * len(messages)
    for results in mail_dkim(signer, list(damaged(messages[0]).values())):
        assert results[0].startswith("fail")


@namespaces
@needs_mail_dkim
def test_mail_dkim_finds_its_signature_among_others(signer):
    [results] = mail_dkim(signer, [signer.report(b"text\n", *SELECTORS)])
    assert "pass" in results and not any(one.startswith("fail") for one in results)


@namespaces
@needs_mail_dkim
def test_mail_dkim_verifies_any_message(signer):
    messages = [signer.message(message, "mail") for message in MESSAGES.values()]
    for name, results in zip(MESSAGES, mail_dkim(signer, messages)):
        assert "pass" in results, name


# --- the message itself, as Python's parser reads it ---------------------------------------------
@pytest.mark.parametrize("text", TEXTS)
def test_a_report_is_read_back(signer, text):
    raw = signer.report(TEXTS[text], "mail", "tlsrpt")
    assert raw.isascii() and b"\n" not in raw.replace(b"\r\n", b"")
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "tlsrpt"
    assert [part.get_content_type() for part in message.iter_parts()] == [
        "text/plain", "application/tlsrpt+gzip"]
    assert not message.defects and not any(part.defects for part in message.walk())
    words, report = message.iter_parts()
    written = TEXTS[text].decode().replace("\r\n", "\n")
    assert words.get_content().replace("\r\n", "\n") == written
    assert report.get_content() == bytes(range(256)) * 4
    assert report.get_filename() == "sender.example!rcpt.example!1787184000!1787270399!001.json.gz"
    assert message["subject"] == ("Report Domain: rcpt.example Submitter: sender.example "
                                  "Report-ID: <2026-08-20.4f1c@sender.example>")
    assert message["from"].addresses[0].display_name == 'Example "Relay" Operations'
    assert message["from"].addresses[0].addr_spec == "tls-reports@sender.example"
    for name, value in {"to": "reports@rcpt.example", "tls-required": "No",
                        "auto-submitted": "auto-generated", "mime-version": "1.0",
                        "tls-report-domain": "rcpt.example",
                        "tls-report-submitter": DOMAIN}.items():
        assert message.get_all(name) == [value]
