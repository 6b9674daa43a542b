"""stsrelay report setup and selftest: keys, DNS records, and whether receivers would take reports;
and report read --verify, which asks the same of reports that others sent.
"""

from __future__ import annotations

import base64
import email.message
import json
import os
import pwd
import stat
from pathlib import Path

import pytest

from peers.world import World

dkim = pytest.importorskip("dkim")

CONTACT = "tls@sender.example"
GOOD, FINDINGS, REFUSED, UNDETERMINED = range(4)
SELECTORS = ["mail", "ed25519", "tlsrpt"]
SAMPLES = Path(__file__).parent.parent / "tests" / "data" / "reports"


@pytest.fixture
def world(make_world, tmp_path) -> World:
    """Not started: none of this needs a daemon. Its keys do not exist yet."""
    tmp_path.chmod(0o755)
    return make_world(start=False, reports={
        "contact": CONTACT,
        "dkim": [{"selector": name, "key_file": str(tmp_path / f"{name}.pem")}
                 for name in SELECTORS]})


def _setup(world: World, *options: str, code: int = GOOD) -> dict:
    result = world.daemon.run("report", "setup", "--json", *options)
    assert result.returncode == code, (result.stdout, result.stderr)
    return json.loads(result.stdout)


def _codes(answer: dict) -> set[str]:
    return {finding["code"] for finding in answer["findings"]}


def _publish(world: World, name: str, text: str) -> None:
    world.dns.set(name, "TXT",
                  " ".join(f'"{text[at:at + 255]}"' for at in range(0, len(text), 255)))


def _publish_all(world: World, answer: dict) -> None:
    for record in answer["records"]:
        _publish(world, record["name"], record["text"])


def test_keys_are_made_published_and_found_good(world):
    missing = _setup(world, code=REFUSED)
    assert _codes(missing) == {"key-file"}
    made = _setup(world, "--generate-keys", code=REFUSED)
    assert _codes(made) == {"key-not-published"}
    kinds = {record["name"].split(".")[0]: record["text"] for record in made["records"]}
    assert "k=rsa; p=" in kinds["mail"] and "k=ed25519; p=" in kinds["ed25519"]
    assert "k=rsa; s=tlsrpt; p=" in kinds["tlsrpt"]
    _publish_all(world, made)
    assert _setup(world)["good_keys"] == 3
    assert "All is in place." in world.daemon.run("report", "setup").stdout


def test_made_keys_are_their_owners_alone_and_never_made_twice(world, tmp_path):
    _setup(world, "--generate-keys", code=REFUSED)
    files = {name: tmp_path / f"{name}.pem" for name in SELECTORS}
    before = {name: path.read_bytes() for name, path in files.items()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    _setup(world, "--generate-keys", code=REFUSED)
    assert {name: path.read_bytes() for name, path in files.items()} == before
    # Not even where a file is no key, or a link leads to nowhere.
    files["mail"].write_text("something else")
    files["tlsrpt"].unlink()
    files["tlsrpt"].symlink_to(tmp_path / "elsewhere")
    assert "key-file" in _codes(_setup(world, "--generate-keys", code=REFUSED))
    assert files["mail"].read_text() == "something else"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_made_keys_belong_to_the_daemons_account(world, tmp_path):
    world.write_config(user="nobody")
    _setup(world, "--generate-keys", code=REFUSED)
    owner = pwd.getpwnam("nobody")
    for name in SELECTORS:
        status = (tmp_path / f"{name}.pem").stat()
        assert (status.st_uid, status.st_gid) == (owner.pw_uid, owner.pw_gid)


def test_without_configured_keys_some_are_proposed(world):
    world.config["reports"]["dkim"] = []
    world.write_config()
    text = world.daemon.run("report", "setup", "--generate-keys").stdout
    assert "no-keys" in text and "selector: tlsrpt-mail" in text
    assert str(world.folder / "tlsrpt.pem") in text and (world.folder / "tlsrpt.pem").exists()


@pytest.mark.parametrize("name, published, code", [
    ("another key", "v=DKIM1; k=ed25519; p=" + "A" * 43 + "=", "key-kind"),
    ("revoked", "v=DKIM1; p=", "key-revoked"), ("no key at all", "v=spf1 -all", "key-malformed")])
def test_a_record_that_differs_is_named_with_its_remedy(world, name, published, code):
    made = _setup(world, "--generate-keys", code=REFUSED)
    _publish_all(world, made)
    _publish(world, "mail._domainkey.sender.example", published)
    answer = _setup(world, code=FINDINGS)
    [finding] = [finding for finding in answer["findings"] if finding["severity"] == "error"]
    assert finding["code"] == code and finding["where"] == "mail._domainkey.sender.example"
    assert made["records"][0]["text"][:255] in finding["remedy"]


def test_what_dns_does_not_answer_is_not_determined(world):
    _publish_all(world, _setup(world, "--generate-keys", code=REFUSED))
    for name in SELECTORS:
        world.dns.fail(f"{name}._domainkey.sender.example", "TXT", "servfail")
    assert _codes(_setup(world, code=UNDETERMINED)) == {"lookup-failed"}


def test_reports_that_are_off_say_what_to_set(world):
    world.config["reports"] = {}
    world.write_config()
    result = world.daemon.run("report", "setup")
    assert result.returncode == REFUSED and "reports.contact" in result.stdout
    assert world.daemon.run("report", "selftest").returncode == UNDETERMINED


# --- the self-test -------------------------------------------------------------------------------
def _selftest(world: World, *options: str, code: int = GOOD) -> dict:
    result = world.daemon.run("report", "selftest", "--json", *options)
    assert result.returncode == code, (result.stdout, result.stderr)
    return json.loads(result.stdout)


def test_the_self_test_tells_what_a_receiver_would(world):
    made = _setup(world, "--generate-keys", code=REFUSED)
    assert _selftest(world, "--local")["dkim"]["verdict"] == "pass"
    assert _selftest(world, code=REFUSED)["dkim"]["verdict"] == "fail"
    _publish_all(world, made)
    answer = _selftest(world)
    assert answer["dkim"]["verdict"] == "pass" and answer["oddities"] == []
    assert [one["declares_reports"] for one in answer["dkim"]["signatures"]] == [
        False, False, True]
    _publish(world, "mail._domainkey.sender.example", "v=DKIM1; p=")
    assert _selftest(world, code=FINDINGS)["dkim"]["verdict"] == "pass"
    world.dns.fail("mail._domainkey.sender.example", "TXT", "timeout")
    text = world.daemon.run("report", "selftest").stdout
    assert "mail._domainkey.sender.example (rsa): temporary" in text and "Nothing was sent" in text


def test_the_self_tests_mail_is_good_for_others_too(world):
    made = _setup(world, "--generate-keys", code=REFUSED)
    records = {f"{record['name']}.".encode(): record["text"].encode()
               for record in made["records"]}
    mail = world.daemon.run("report", "selftest", "--mail").stdout.encode()
    for index in range(3):
        assert dkim.DKIM(mail, tlsrpt=True).verify(
            index, dnsfunc=lambda name, timeout=5: records[name])


# --- reports of others ---------------------------------------------------------------------------
def _mail(content: bytes, signature: bytes = b"") -> bytes:
    mail = email.message.EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@sender.example", "b@rcpt.example", "a report"
    mail.set_content("Two  words,\n\n and a report.\n\n\n")
    mail.add_attachment(content, maintype="application", subtype="tlsrpt+json", filename="r.json")
    return signature + mail.as_bytes().replace(b"\n", b"\r\n")


def _sound_report() -> bytes:
    report = json.loads((SAMPLES / "mailru.json").read_text())
    report["contact-info"] = CONTACT
    return json.dumps(report).encode()


def _read(world: World, path: Path, *options: str) -> tuple[int, dict]:
    result = world.daemon.run("report", "read", "--json", *options, str(path))
    [entry] = json.loads(result.stdout)["reports"]
    return result.returncode, entry["dkim"]


@pytest.mark.parametrize("algorithm", ["rsa-sha256", "ed25519-sha256"])
@pytest.mark.parametrize("header", ["simple", "relaxed"])
@pytest.mark.parametrize("body", ["simple", "relaxed"])
def test_what_dkimpy_signs_is_verified(world, tmp_path, algorithm, header, body):
    made = _setup(world, "--generate-keys", code=REFUSED)
    _publish_all(world, made)
    selector = "ed25519" if algorithm.startswith("ed25519") else "tlsrpt"
    key = (tmp_path / f"{selector}.pem").read_bytes()
    if selector == "ed25519":  # dkimpy wants the seed alone
        der = base64.b64decode("".join(key.decode().splitlines()[1:-1]))
        key = base64.b64encode(der[-32:])
    mail = _mail(_sound_report())
    signature = dkim.sign(mail, selector.encode(), b"sender.example", key,
                          canonicalize=(header.encode(), body.encode()),
                          signature_algorithm=algorithm.encode())
    path = tmp_path / "mail.eml"
    path.write_bytes((signature + mail).replace(b"\r\n", b"\n"))  # as mailboxes keep it
    assert _read(world, path) == (0, {"verdict": "not-checked", "signatures": []})
    code, found = _read(world, path, "--verify")
    assert (code, found["verdict"]) == (0, "pass"), found
    assert found["signatures"][0]["declares_reports"] == (selector == "tlsrpt")
    path.write_bytes((signature + mail).replace(b"a report", b"no report", 1))
    assert _read(world, path, "--verify")[1]["verdict"] == "fail"


def test_strict_refuses_reports_of_doubtful_origin(world, tmp_path):
    path = tmp_path / "unsigned.eml"
    path.write_bytes(_mail(_sound_report()))
    assert _read(world, path, "--verify")[1]["verdict"] == "unsigned"
    result = world.daemon.run("report", "read", "--verify", "--strict", str(path))
    assert result.returncode == 1
    assert "Not shown to be from the domain that they name" in result.stdout
