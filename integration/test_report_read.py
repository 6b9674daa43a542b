"""stsrelay report read: reports as the senders of the field shape them, in every wrapping."""

import csv
import gzip
import io
import json
import mailbox
import os
import pty
import re
import subprocess
import zipfile
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

import pytest

from peers.daemon import binary

SAMPLES = Path(__file__).parent.parent / "tests" / "data" / "reports"
ALL = ["google.eml", "microsoft.json.gz", "mailru.json", "stalwart.json", "postfix.json"]
DONE, FAILED, USAGE = range(3)


def run(*arguments, stdin: bytes = b"") -> subprocess.CompletedProcess:
    result = subprocess.run([str(binary()), "report", "read", *map(str, arguments)], input=stdin,
                            capture_output=True, timeout=60, check=False)
    assert b"Sanitizer" not in result.stderr and b"runtime error" not in result.stderr
    return result


def read(*arguments, stdin: bytes = b"", code: int = DONE) -> dict:
    result = run("--json", *arguments, stdin=stdin)
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout)


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def totals(answer: dict) -> tuple[int, int]:
    summaries = [policy["summary"] for entry in answer["reports"]
                 for policy in entry["report"]["policies"]]
    return (sum(s["total-successful-session-count"] for s in summaries),
            sum(s["total-failure-session-count"] for s in summaries))


def codes(entry: dict) -> set[str]:
    return {warning["code"] for warning in entry["warnings"]}


def mail_with(octets: bytes, subtype: str, name: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@sender.example", "b@rcpt.example", "report"
    mail.set_content("A report is attached.\n")
    mail.add_attachment(octets, maintype="application", subtype=subtype, filename=name)
    return mail


def wrapped_in_zip(folder: Path, names: list[str]) -> Path:
    path = folder / "reports.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(f"inside/{name}", sample(name))
    return path


def wrapped_in_mbox(folder: Path, names: list[str]) -> Path:
    box = mailbox.mbox(folder / "mbox")
    box.add(b"Subject: no report\n\nFrom here on, nothing.\n")
    for name in names:
        subtype = "tlsrpt+gzip" if name.endswith(".gz") else "tlsrpt+json"
        box.add(sample(name) if name.endswith(".eml") else mail_with(sample(name), subtype, name))
    box.close()
    return folder / "mbox"


def wrapped_in_maildir(folder: Path, names: list[str]) -> Path:
    box = mailbox.Maildir(folder / "Maildir")
    box.add(b"Subject: no report\n\nNothing.\n")
    for name in names:
        box.add(sample(name) if name.endswith(".eml") else
                mail_with(sample(name), "octet-stream", name))
    return folder / "Maildir"


def wrapped_in_folder(folder: Path, names: list[str]) -> Path:
    path = folder / "plain"
    path.mkdir()
    for name in names:
        (path / name).write_bytes(sample(name))
    (path / "README").write_text("no report\n")
    return path


def test_all_files_at_once():
    answer = read(*(SAMPLES / name for name in ALL))
    assert [Path(entry["source"]).name for entry in answer["reports"]] == ALL
    assert totals(answer) == (1842, 37)
    assert {entry["domain"] for entry in answer["reports"]} == {"rcpt.example"}
    assert {name: codes(entry) for name, entry in zip(ALL, answer["reports"])} == {
        "google.eml": {"empty-field", "id-without-at"},
        "microsoft.json.gz": {"date-no-zone", "id-without-at"},
        "mailru.json": {"end-next-midnight", "detail-sum-exceeds-total"},
        "stalwart.json": {"end-next-midnight", "null-field", "id-without-at"},
        "postfix.json": {"id-without-at", "missing-field"},
    }


@pytest.mark.parametrize("wrap", [wrapped_in_zip, wrapped_in_mbox, wrapped_in_maildir,
                                  wrapped_in_folder])
def test_every_wrapping_holds_the_same_reports(tmp_path, wrap):
    answer = read(wrap(tmp_path, ALL))
    assert len(answer["reports"]) == len(ALL)
    assert totals(answer) == (1842, 37)
    assert answer["other_messages"] == (0 if wrap is wrapped_in_zip else 1)
    assert not answer["unreadable"]


@pytest.mark.parametrize("name", ALL)
def test_standard_input(name):
    assert len(read("-", stdin=sample(name))["reports"]) == 1


def test_a_report_forwarded_and_zipped_in_mail(tmp_path):
    forward = EmailMessage()
    forward["Subject"] = "Fwd"
    forward.set_content("See below.\n")
    inner = mail_with(wrapped_in_zip(tmp_path, ["mailru.json"]).read_bytes(), "zip", "r.zip")
    forward.add_attachment(inner)
    (entry,) = read("-", stdin=forward.as_bytes())["reports"]
    assert entry["submitter"] == "corp.mail.ru"


def test_copies_count_once_whatever_they_are_wrapped_in(tmp_path):
    answer = read(SAMPLES / "google.eml", SAMPLES / "mailru.json", wrapped_in_mbox(tmp_path, ALL),
                  wrapped_in_zip(tmp_path, ALL))
    assert totals(answer) == (1842, 37)
    assert len(answer["duplicates"]) == 7
    text = run(SAMPLES / "google.eml", SAMPLES / "google.eml").stdout.decode()
    assert "Counted once:" in text and "1200 sessions" in text


def test_the_report_wins_over_what_its_mail_says():
    changed = sample("google.eml").replace(b"TLS-Report-Domain: rcpt.example",
                                           b"TLS-Report-Domain: other.example")
    (entry,) = read("-", stdin=changed)["reports"]
    assert entry["domain"] == "rcpt.example"
    assert "metadata-mismatch" in codes(entry)


def test_text_says_what_failed_where_and_what_helps():
    result = run(*(SAMPLES / name for name in ALL))
    text = result.stdout.decode()
    assert result.returncode == DONE
    assert text.startswith("rcpt.example: 1879 sessions, 98.03 % ok, 37 failed; 5 reports from 5 "
                           "reporters, 2026-08-18 to 2026-08-20\n")
    assert re.search(r"14 +certificate-expired +mx1\.rcpt\.example", text)
    assert "have renewal done by a program" in text
    assert "\x1b" not in text


def test_colour_only_on_a_terminal():
    def on_terminal(environment: dict) -> bytes:
        master, slave = pty.openpty()
        subprocess.run([str(binary()), "report", "read", str(SAMPLES / "mailru.json")],
                       stdout=slave, env=environment, timeout=60, check=True)
        os.close(slave)
        output = b""
        try:
            while piece := os.read(master, 65536):
                output += piece
        except OSError:
            pass
        os.close(master)
        return output

    plain = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    assert b"\x1b[31m" in on_terminal(plain)
    assert b"\x1b" not in on_terminal(plain | {"NO_COLOR": "1"})


def test_csv_adds_up_and_holds_no_formula():
    report = json.loads(sample("mailru.json"))
    report["report-id"] = "other@mail.ru"
    report["organization-name"] = "=HYPERLINK(\"http://x\")"
    result = run("--csv", "-", *(SAMPLES / name for name in ALL), stdin=json.dumps(report).encode())
    rows = list(csv.DictReader(io.StringIO(result.stdout.decode(), newline="")))
    assert result.returncode == DONE
    assert sum(int(r["successful_sessions"]) for r in rows if r["row"] == "total") == 1882
    assert sum(int(r["failed_sessions"]) for r in rows if r["row"] == "failure") == 38 + 4
    assert {r["domain"] for r in rows} == {"rcpt.example"}
    assert not any(value[:1] in tuple("=+-@") for r in rows for value in r.values() if value)


class Page(HTMLParser):
    """Checks that elements close in order, and collects tags and addresses."""

    VOID = {"meta", "br", "rect", "line"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_takes_nothing_from_elsewhere():
    report = json.loads(sample("mailru.json"))
    report["report-id"], report["organization-name"] = "other@mail.ru", "<script>alert(1)</script>"
    result = run("--html", "-", *(SAMPLES / name for name in ALL), stdin=json.dumps(report).encode())
    page = Page()
    page.feed(result.stdout.decode())
    assert result.returncode == DONE and not page.open
    assert {"svg", "section", "table"} <= page.tags and not {"script", "link", "img"} & page.tags
    assert not page.links
    assert b"&lt;script&gt;alert(1)" in result.stdout


def test_strict_fails_on_what_is_odd(tmp_path):
    sound = {
        "organization-name": "S", "contact-info": "a@s.example", "report-id": "1@s.example",
        "date-range": {"start-datetime": "2026-08-20T00:00:00Z",
                       "end-datetime": "2026-08-20T23:59:59Z"}, "policies": []}
    (tmp_path / "sound.json").write_text(json.dumps(sound))
    assert run("--strict", tmp_path / "sound.json").returncode == DONE
    assert run("--strict", SAMPLES / "mailru.json").returncode == FAILED
    assert run(SAMPLES / "mailru.json").returncode == DONE


def test_what_cannot_be_read_is_told_and_the_rest_is_read(tmp_path):
    (tmp_path / "cut.json.gz").write_bytes(sample("microsoft.json.gz")[:-10])
    (tmp_path / "note.eml").write_text("Subject: hello\n\nNo report.\n")
    (tmp_path / "bomb.json.gz").write_bytes(gzip.compress(b" " * (200 << 20)))
    (tmp_path / "damaged.zip").write_bytes(b"PK\x03\x04" + b"\xff" * 100)
    names = ["cut.json.gz", "note.eml", "bomb.json.gz", "damaged.zip", "absent.json"]
    answer = read(*(tmp_path / name for name in names), SAMPLES / "mailru.json", code=FAILED)
    assert [entry["code"] for entry in answer["unreadable"]] == [
        "truncated", "no-report", "too-large", "damaged", "cannot-open"]
    assert len(answer["reports"]) == 1
    message = run(tmp_path / "absent.json").stderr.decode()
    assert "absent.json: it cannot be opened" in message


def test_a_zip_bomb_is_no_trouble(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.json", b" " * (100 << 20))
        archive.writestr("mailru.json", sample("mailru.json"))
    answer = read(tmp_path / "bomb.zip", code=FAILED)
    assert [entry["code"] for entry in answer["unreadable"]] == ["too-large"]
    assert len(answer["reports"]) == 1


@pytest.mark.parametrize("arguments", [[], ["--json", "--csv", "x"], ["--nonsense", "x"]])
def test_wrong_usage(arguments):
    assert run(*arguments).returncode == USAGE


def test_an_empty_maildir_holds_no_report(tmp_path):
    mailbox.Maildir(tmp_path / "Maildir")
    result = run(tmp_path / "Maildir")
    assert result.returncode == FAILED and b"no TLS report was found" in result.stderr
