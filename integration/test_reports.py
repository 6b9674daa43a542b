"""Reports of closed days, from traffic to what their receivers hold (RFC 8460)."""

from __future__ import annotations

import base64
import email
import email.policy
import gzip
import json
import subprocess
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import dkim
import pytest

from peers.daemon import wait_until
from peers.report_host import ReportHost

CONTACT = "tls@sender.example"
SINK = "reports.example"  # the domain whose mailboxes take reports


def _key(folder, kind: str) -> dict:
    """A signing key, made by someone else."""
    path = folder / f"{kind}.pem"
    options = ["-pkeyopt", "rsa_keygen_bits:2048"] if kind == "rsa" else []
    subprocess.run(["openssl", "genpkey", "-algorithm", kind, *options, "-out", path], check=True,
                   capture_output=True)
    path.chmod(0o644)
    return {"selector": kind, "key_file": str(path)}


@pytest.fixture
def reporting(make_world, tmp_path):
    """A world not yet started that reports to nobody else, a mail sink, and a report server."""
    tmp_path.chmod(0o755)
    world = make_world(start=False, reports={
        "organization": "Sender", "contact": CONTACT, "window": "0s", "grace": "0s",
        "dkim": [_key(tmp_path, "rsa"), _key(tmp_path, "ed25519")]})
    world.sink = world.add_domain(SINK)
    world.taker = ReportHost(world.authority, "taker.example")
    ip = world.address()
    world.call(world.taker.start(ip, world.https_port))
    world._servers.append(world.taker)
    world.dns.set("taker.example", "A", ip)
    world.rua = {"mail": f"mailto:tls@{SINK}",
                 "post": f"https://taker.example:{world.https_port}/v1"}
    return world


def _asks_for_reports(world, domain: str, *ways: str) -> None:
    world.dns.set(f"_smtp._tls.{domain}", "TXT",
                  "v=TLSRPTv1;rua=" + ",".join(world.rua[way] for way in ways))


def _traffic(world, *domains: str) -> None:
    """One session with each domain, counted."""
    for domain in domains:
        world.wait_for_delivery(world.send(f"x@{domain}"), "delivered")
        wait_until(lambda: world.counts(domain), f"{domain} to be counted")


def _next_day(world) -> str:
    """Kills the daemon; it is started when the day is over. Returns that day."""
    day = datetime.now(timezone.utc)
    world.daemon.kill()
    world.write_config(test_world={"clock_offset": "1d"})
    world.daemon.start()
    return f"{day:%Y-%m-%d}"


def _reports(world, day: str, state: str = "") -> dict[str, dict]:
    """The day's reports by domain."""
    entries = world.daemon.ctl("report", "list", "--all", "--day", day)["reports"]
    return {entry["domain"]: entry for entry in entries if state in ("", entry["state"])}


def _stages(world, day: str, domain: str) -> dict[str, str]:
    report = _reports(world, day).get(domain, {"deliveries": []})
    return {delivery["uri"]: delivery["stage"] for delivery in report["deliveries"]}


def _results_tomorrow(world) -> list[dict]:
    """What the daemon, whose clock is a day ahead, has counted since it was started."""
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    return world.daemon.ctl("results", "--day", f"{tomorrow:%Y-%m-%d}")["results"]


def _mails(world) -> list[bytes]:
    return [message.content for message in world.sink.messages]


def _report_in(mail: bytes) -> tuple[email.message.EmailMessage, dict]:
    message = email.message_from_bytes(mail, policy=email.policy.default)
    assert message.get_content_type() == "multipart/report"
    text, report = message.iter_parts()
    assert text.get_content_type() == "text/plain" and "TLS report for" in text.get_content()
    assert report.get_content_type() == "application/tlsrpt+gzip"
    return message, json.loads(gzip.decompress(report.get_content()))


def _key_record(key: dict) -> bytes:
    """The public key as DNS would have it, made by someone else."""
    der = subprocess.run(["openssl", "pkey", "-in", key["key_file"], "-pubout", "-outform", "DER"],
                         check=True, capture_output=True).stdout
    kind = key["selector"]
    raw = der[-32:] if kind == "ed25519" else der
    return b"v=DKIM1; k=" + kind.encode() + b"; p=" + base64.b64encode(raw)


def test_a_day_of_traffic_becomes_reports_by_mail_and_by_post(reporting, monkeypatch):
    world = reporting
    world.add_domain("good.example", "enforce")
    world.add_domain("plain.example", starttls="no")
    world.add_domain("silent.example")  # asks for no reports
    _asks_for_reports(world, "good.example", "mail", "post")
    _asks_for_reports(world, "plain.example", "post")
    world.start()
    _traffic(world, "good.example", "plain.example", "silent.example")
    assert _mails(world) == [] and world.taker.posted == []

    day = _next_day(world)
    accepted = {world.rua["mail"]: "accepted", world.rua["post"]: "accepted"}
    wait_until(lambda: _stages(world, day, "good.example") == accepted, "both deliveries")
    wait_until(lambda: len(world.taker.posted) == 2, "two reports by POST")
    wait_until(lambda: "silent.example" in _reports(world, day, "withdrawn"), "no third report")

    posted = {}
    for request in world.taker.posted:
        assert request.line == "POST /v1 HTTP/1.1"
        assert request.headers["content-type"] == "application/tlsrpt+gzip"
        report = json.loads(gzip.decompress(request.body))
        posted[report["policies"][0]["policy"]["policy-domain"]] = report
    message, mailed = _report_in(_mails(world)[0])
    assert mailed == posted["good.example"]
    assert mailed["contact-info"] == CONTACT and mailed["organization-name"] == "Sender"
    assert mailed["date-range"] == {"start-datetime": f"{day}T00:00:00Z",
                                    "end-datetime": f"{day}T23:59:59Z"}
    [policy] = mailed["policies"]
    assert policy["policy"]["policy-type"] == "sts"
    assert policy["policy"]["policy-string"][:2] == ["version: STSv1", "mode: enforce"]
    assert policy["summary"] == {"total-successful-session-count": 1,
                                 "total-failure-session-count": 0}
    [policy] = posted["plain.example"]["policies"]
    assert policy["policy"]["policy-type"] == "no-policy-found"
    assert policy["failure-details"][0]["result-type"] == "starttls-not-supported"

    assert message["TLS-Report-Domain"] == "good.example"
    assert message["TLS-Report-Submitter"] == "sender.example"
    assert message["TLS-Required"] == "No" and CONTACT in message["From"]
    # It was signed by a clock that is a day ahead.
    monkeypatch.setattr(dkim, "time", SimpleNamespace(time=lambda: time.time() + 86400))
    records = {f"{key['selector']}._domainkey.sender.example.".encode(): _key_record(key)
               for key in world.config["reports"]["dkim"]}
    for index in range(2):
        assert dkim.DKIM(_mails(world)[0]).verify(
            idx=index, dnsfunc=lambda name, timeout=5: records[name])

    # The session that carried the report is none of what is reported (RFC 8460 §3), others are.
    world.daemon.kill()  # and with it the connection, which would be used again
    world.daemon.start()
    world.wait_for_delivery(world.send(f"x@{SINK}"), "delivered")
    [count] = wait_until(lambda: _results_tomorrow(world), "the other session to be counted")
    assert (count["report_domain"], count["successful_sessions"]) == (SINK, 1)


def test_a_report_gets_through_where_tls_policy_keeps_other_mail_back(reporting):
    world = reporting
    host = world.add_domain("strict.example", "enforce", starttls="no")
    world.dns.set("_smtp._tls.strict.example", "TXT",
                  "v=TLSRPTv1;rua=mailto:tls@strict.example")
    world.start()
    world.wait_for_delivery(world.send("x@strict.example"), "deferred")
    wait_until(lambda: world.counts("strict.example"), "the session to be counted")
    day = _next_day(world)
    wait_until(lambda: _stages(world, day, "strict.example") == {
        "mailto:tls@strict.example": "accepted"}, "the report to be accepted")
    [mail] = host.messages  # RFC 8460 §3; the other message is not among them
    message, report = _report_in(mail.content)
    assert message["TLS-Report-Domain"] == "strict.example"
    [policy] = report["policies"]
    assert policy["policy"]["policy-type"] == "sts"
    assert policy["failure-details"][0]["result-type"] == "starttls-not-supported"
    assert all(entry["origin"] != "report" for entry in world.queue()) and world.queue()


def test_a_failing_server_is_asked_again_when_it_says_and_followed_where_it_points(reporting):
    world = reporting
    world.add_domain("a.example")
    world.rua["other"] = f"https://other.example:{world.https_port}/new"
    other = ReportHost(world.authority, "other.example")
    ip = world.address()
    world.call(other.start(ip, world.https_port))
    world._servers.append(other)
    world.dns.set("other.example", "A", ip)
    _asks_for_reports(world, "a.example", "post")
    world.start()
    _traffic(world, "a.example")

    def attempt(number: int) -> dict:
        [delivery] = wait_until(lambda: [each for each in _reports(world, day).get(
            "a.example", {"deliveries": []})["deliveries"]
            if each["attempts"] == number and each["result"]], f"attempt {number}")
        return delivery

    def pause(delivery: dict) -> timedelta:
        """From now, as the daemon's clock is a day ahead."""
        now = datetime.now(timezone.utc) + timedelta(days=1)
        return datetime.fromisoformat(delivery["next_attempt"].replace("Z", "+00:00")) - now

    world.taker.reply.status = 503
    day = _next_day(world)
    wait_until(lambda: attempt(1)["result"] == "503")
    assert attempt(1)["stage"] == "rendered"
    assert timedelta(minutes=4) < pause(attempt(1)) < timedelta(minutes=7)

    world.taker.reply.status, world.taker.reply.headers = 429, ["Retry-After: 7200"]
    world.daemon.ctl("report", "send", "a.example")
    wait_until(lambda: attempt(2)["result"] == "429")
    assert timedelta(minutes=119) < pause(attempt(2)) <= timedelta(minutes=120)

    world.taker.reply.status = 308
    world.taker.reply.headers = [f"Location: {world.rua['other']}"]
    world.daemon.ctl("report", "send", "a.example")
    wait_until(lambda: _stages(world, day, "a.example") == {world.rua["post"]: "accepted"},
               "the report to be accepted")
    assert [request.line for request in other.posted] == ["POST /new HTTP/1.1"]
    assert {request.body for request in world.taker.posted + other.posted} == {other.posted[0].body}
    assert len(world.taker.posted) == 3


def test_a_server_that_points_to_plain_http_gets_nothing_there(reporting):
    world = reporting
    world.add_domain("a.example")
    _asks_for_reports(world, "a.example", "post")
    world.start()
    _traffic(world, "a.example")
    world.taker.reply.status = 307
    world.taker.reply.headers = ["Location: http://taker.example/"]
    day = _next_day(world)
    wait_until(lambda: _stages(world, day, "a.example") == {world.rua["post"]: "refused"},
               "the delivery to be refused")
    [delivery] = _reports(world, day)["a.example"]["deliveries"]
    assert delivery["result"] == "307 redirect-not-https"


def test_a_planned_report_outlives_a_kill_and_can_be_sent_at_once(reporting):
    world = reporting
    world.write_config(reports={"window": "4h", "grace": "0s"})
    world.add_domain("a.example")
    _asks_for_reports(world, "a.example", "mail", "post")
    world.start()
    _traffic(world, "a.example")
    # Whether its moment in the window is over depends on the time of day.
    day = _next_day(world)
    wait_until(lambda: "a.example" in _reports(world, day), "the report to be planned")
    world.daemon.kill()
    world.daemon.start()
    world.daemon.ctl("report", "send")
    accepted = {world.rua["mail"]: "accepted", world.rua["post"]: "accepted"}
    wait_until(lambda: _stages(world, day, "a.example") == accepted, "both deliveries")
    assert len(_mails(world)) == 1 and len({each.body for each in world.taker.posted}) == 1


def test_what_is_counted_after_the_report_was_made_is_a_further_part(reporting):
    world = reporting
    world.add_domain("a.example")
    _asks_for_reports(world, "a.example", "post")
    world.start()
    _traffic(world, "a.example")
    day = _next_day(world)
    accepted = {world.rua["post"]: "accepted"}
    wait_until(lambda: _stages(world, day, "a.example") == accepted, "the report")
    # The clock is set right again, the day goes on.
    world.daemon.kill()
    world.write_config(test_world={"clock_offset": "0s"})
    world.daemon.start()
    world.wait_for_delivery(world.send("y@a.example"), "delivered")
    wait_until(lambda: world.counts("a.example")[0].successes == 2, "the session to be counted")
    assert _next_day(world) == day
    wait_until(lambda: len(world.taker.posted) == 2, "the further part")
    first, late = (json.loads(gzip.decompress(each.body)) for each in world.taker.posted)
    assert late["date-range"] == first["date-range"]
    assert late["report-id"] != first["report-id"]
    for report in (first, late):
        assert report["policies"][0]["summary"]["total-successful-session-count"] == 1
    shown = world.daemon.ctl("report", "show", "a.example", "--day", day, "--part", "2")
    assert shown["json"] == late and shown["file_name"].endswith("!002.json.gz")
    assert "part 2" in world.daemon.run("report", "list").stdout


def test_kill_between_any_two_steps_makes_no_second_report(reporting):
    world = reporting
    world.add_domain("a.example")
    _asks_for_reports(world, "a.example", "mail", "post")
    world.start()
    _traffic(world, "a.example")
    # The POST is not answered and the mail deferred: both are begun, neither is over.
    world.taker.reply.fault = "silent"
    world.sink.script.rules["MAIL"] = "451 4.3.0 later"
    day = _next_day(world)
    wait_until(lambda: world.taker.posted, "a POST")
    wait_until(lambda: world.daemon.log("delivery", to=f"tls@{SINK}", result="deferred"),
               "the mail to be deferred")

    world.daemon.kill()
    world.taker.reply.fault = ""
    world.sink.script.rules.clear()
    world.daemon.start()
    world.daemon.ctl("queue", "retry", "--all")
    accepted = {world.rua["mail"]: "accepted", world.rua["post"]: "accepted"}
    wait_until(lambda: _stages(world, day, "a.example") == accepted, "both deliveries")
    assert [request.body for request in world.taker.posted] == [world.taker.posted[0].body] * 2

    world.daemon.kill()
    world.daemon.start()
    world.daemon.ctl("report", "send")
    wait_until(lambda: _stages(world, day, "a.example") == accepted, "what was accepted to stay")
    assert len(_mails(world)) == 1 and len(world.taker.posted) == 2


def test_a_destination_that_refuses_is_left_alone_for_days(reporting):
    world = reporting
    world.add_domain("a.example")
    _asks_for_reports(world, "a.example", "mail")
    world.start()
    _traffic(world, "a.example")
    world.sink.script.rules["RCPT"] = "550 5.1.1 nobody here"
    day = _next_day(world)
    wait_until(lambda: _stages(world, day, "a.example") == {world.rua["mail"]: "refused"},
               "the delivery to be refused")
    [suppression] = world.daemon.ctl("report", "suppress")["suppressions"]
    assert suppression["uri"] == world.rua["mail"] and "nobody here" in suppression["why"]
    until = datetime.fromisoformat(suppression["until"].replace("Z", "+00:00"))
    assert timedelta(days=7) < until - datetime.now(timezone.utc) < timedelta(days=9)
    assert world.queue() == []  # and no notice about it

    world.daemon.ctl("report", "suppress", f"tls@{SINK}", "--lift")
    assert world.daemon.ctl("report", "suppress")["suppressions"] == []


def test_a_bounce_that_comes_back_as_mail_suppresses_its_destination(reporting, tmp_path):
    world = reporting
    world.add_domain("a.example")
    _asks_for_reports(world, "a.example", "mail")
    world.start()
    _traffic(world, "a.example")
    day = _next_day(world)
    wait_until(lambda: _stages(world, day, "a.example") == {world.rua["mail"]: "accepted"},
               "the report to be accepted")
    [mail] = _mails(world)
    status = (f"Reporting-MTA: dns; {SINK}\r\n\r\nFinal-Recipient: rfc822; tls@{SINK}\r\n"
              "Action: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 mailbox full\r\n")
    bounce = tmp_path / "bounce.eml"
    bounce.write_bytes((
        f"From: MAILER-DAEMON@{SINK}\r\nTo: {CONTACT}\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n"
        "--x\r\n\r\nIt came back.\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n"
        f"{status}\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n").encode()
        + mail + b"\r\n--x--\r\n")

    result = world.daemon.run("report", "bounced", str(bounce))
    assert result.returncode == 0, result.stderr
    assert "a.example" in result.stdout and "mailbox full" in result.stdout
    assert _stages(world, day, "a.example") == {world.rua["mail"]: "refused"}
    [suppression] = world.daemon.ctl("report", "suppress")["suppressions"]
    assert suppression["uri"] == world.rua["mail"] and "mailbox full" in suppression["why"]

    bounce.write_bytes(bounce.read_bytes().replace(b"Action: failed", b"Action: delayed"))
    result = world.daemon.run("report", "bounced", str(bounce))
    assert result.returncode == 1 and "holds no bounce of a report" in result.stderr


def test_preview_and_show_say_what_is_sent(reporting):
    world = reporting
    world.add_domain("a.example")
    _asks_for_reports(world, "a.example", "post")
    world.start()
    _traffic(world, "a.example")
    wait_until(lambda: world.daemon.ctl("report", "preview")["previews"][0]["destinations"],
               "the record to be seen")
    preview = world.daemon.ctl("report", "preview", "a.example")
    assert preview["withheld"] == "" and preview["destinations"] == [world.rua["post"]]
    text = world.daemon.run("report", "preview", "a.example").stdout
    assert world.rua["post"] in text and "organization-name" in text

    day = _next_day(world)
    wait_until(lambda: world.taker.posted, "the report")
    wait_until(lambda: _stages(world, day, "a.example") == {world.rua["post"]: "accepted"})
    shown = world.daemon.ctl("report", "show", "a.example", "--day", day)
    assert shown["json"] == json.loads(gzip.decompress(world.taker.posted[0].body))
    assert shown["json"] == preview["json"]
    text = world.daemon.run("report", "list").stdout
    assert "a.example" in text and "accepted" in text
    assert world.daemon.run("report", "show", "b.example", "--day", day).returncode == 1


def test_a_start_that_reports_without_a_signature_says_so(reporting):
    world = reporting
    world.config["reports"]["dkim"] = []
    world.write_config()
    world.start()
    assert world.daemon.log("reports-unsigned")


def test_a_key_that_cannot_be_read_keeps_the_daemon_from_starting(reporting):
    world = reporting
    world.config["reports"]["dkim"][0]["key_file"] = "/nowhere/key.pem"
    world.write_config()
    result = world.daemon.run("run")
    assert result.returncode == 1
    assert "reports.dkim: /nowhere/key.pem cannot be read: No such file" in result.stderr
