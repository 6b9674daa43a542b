"""A relay in staging: where its mail goes, what it says of itself, and what it never lets out."""

from __future__ import annotations

import email
import mailbox
import smtplib
import time
import urllib.request

import pytest

from peers.client import Client
from peers.daemon import wait_until
from peers.network import free_port

STAGING = "X-Stsrelay-Staging"
ORIGINAL = "X-Stsrelay-Original-To"


@pytest.fixture
def staged(make_world):
    """Makes a running world whose relay is in staging."""

    def make(start: bool = True, metrics: bool = False, **staging):
        world = make_world(start=False)
        changes = {"staging": {"confirm": "relay.test", **staging}}
        if metrics:
            changes["metrics"] = {"address": f"127.0.0.1:{free_port('127.0.0.1')}"}
        world.write_config(**changes)
        return world.start() if start else world

    return make


def restart(world, **staging) -> None:
    """With these changes to the section; none: without it."""
    world.daemon.stop()
    if staging:
        world.write_config(staging=staging)
    else:
        del world.config["staging"]
        world.write_config()
    world.daemon.start()


def notices(host) -> list[email.message.Message]:
    return [email.message_from_bytes(message.content) for message in host.messages
            if message.sender == ""]


# --- what it says of itself -------------------------------------------------------------------------
def test_staging_is_announced_wherever_somebody_could_look(staged):
    world = staged(metrics=True, redirect_to="qa@test.example", soft_bounce=True)
    qa = world.add_domain("test.example")
    with Client(world.listener, greet=False) as client:
        assert client.reply().text.endswith("STAGING: redirect,soft-bounce")
        assert client.command("EHLO c").lines[0] == "relay.test STAGING: redirect,soft-bounce"
        assert client.command("HELO c").text == "relay.test STAGING: redirect,soft-bounce"
    assert world.daemon.ctl("status")["staging"]["mode"] == "redirect,soft-bounce"
    assert "STAGING (redirect,soft-bounce): mail is redirected to qa@test.example" in (
        world.daemon.run("status").stdout)
    started = world.daemon.log("staging", level="warning")
    assert [entry["mode"] for entry in started] == ["redirect,soft-bounce"]
    world.daemon.ctl("config", "reload")
    wait_until(lambda: len(world.daemon.log("staging", level="warning")) == 2)
    with urllib.request.urlopen("http://" + world.config["metrics"]["address"] + "/metrics") as got:
        text = got.read().decode()
    assert "\nstsrelay_staging 1" in text
    assert 'stsrelay_staged_recipients_total{result="sinked"} 0' in text

    id = world.send("x@real.example")
    world.wait_for_delivery(id, "delivered")
    arrived = email.message_from_bytes(qa.messages[0].content)
    assert arrived[STAGING] == "redirect,soft-bounce; relay=relay.test"
    accepted, = world.daemon.log("accepted", id=id)
    assert accepted["staging"] == "redirect,soft-bounce"
    assert (accepted["to"], accepted["original_to"]) == ("qa@test.example", "x@real.example")


def test_productive_relay_says_nothing_of_staging(make_world):
    world = make_world()
    mx = world.add_domain("real.example")
    with Client(world.listener, greet=False) as client:
        assert "STAGING" not in client.reply().text
        assert "STAGING" not in client.command("EHLO c").lines[0]
    world.wait_for_delivery(world.send("x@real.example"), "delivered")
    assert STAGING.encode() not in mx.messages[0].content
    assert world.daemon.ctl("status")["staging"] is None


@pytest.mark.parametrize("change, complaint", [
    ({"hostname": "mail.example"}, "staging.confirm: must repeat the hostname"),
    ({"test_world": None, "routes": [{"match": "*", "host": "smtp.provider.example"}]},
     "routes[0]: leads to smtp.provider.example"),
    ({"reports": {"contact": "tls@example.org"}}, "reports.contact: would have a relay for staging"),
    ({"staging": {"confirm": "relay.test", "sink": True, "redirect_to": "a@b.test"}},
     "staging: can do only one of")])
def test_staging_does_not_start_where_it_may_not_belong(staged, change, complaint):
    world = staged(start=False, redirect_to="qa@test.example")
    for key, value in change.items():
        world.config[key] = value
        if value is None:
            del world.config[key]
    world.write_config()
    result = world.daemon.run("run")
    assert result.returncode == 1 and complaint in result.stderr, result


# --- redirect -------------------------------------------------------------------------------------
def test_redirected_mail_arrives_once_and_names_its_recipients(staged):
    world = staged(redirect_to="qa@test.example", allow_recipients=["*@ours.example"])
    qa, ours = world.add_domain("test.example"), world.add_domain("ours.example")
    real = world.add_domain("real.example")
    id = world.send(["a@real.example", "b@elsewhere.example", "c@ours.example"])
    wait_until(lambda: len(world.deliveries(id=id, result="delivered")) == 2)
    assert [message.to for message in qa.messages] == [["qa@test.example"]]
    assert [message.to for message in ours.messages] == [["c@ours.example"]]
    arrived = email.message_from_bytes(qa.messages[0].content)
    assert arrived.get_all(ORIGINAL) == ["<a@real.example>", "<b@elsewhere.example>",
                                         "<c@ours.example>"]
    assert real.sessions == []


def test_redirected_mail_is_seen_in_the_queue_and_stays_redirected(staged):
    world = staged(redirect_to="qa@test.example")
    qa = world.add_domain("test.example", rules={"MAIL": "451 4.3.0 later"})
    real = world.add_domain("real.example")
    world.wait_for_delivery(world.send("x@real.example"), "deferred")
    assert world.queue()[0]["recipients"][0]["address"] == "qa@test.example"
    qa.script.rules.clear()
    world.daemon.kill()
    del world.config["staging"]
    world.write_config()
    world.daemon.start()
    world.daemon.ctl("queue", "retry", "--all")
    wait_until(lambda: qa.messages)
    assert real.sessions == []


def test_notice_about_redirected_mail_is_redirected_and_names_whom_it_was_for(staged):
    world = staged(redirect_to="qa@test.example")
    qa = world.add_domain("test.example", rules={
        "RCPT": lambda session, _: "550 5.1.1 who" if any(
            command.upper().startswith("MAIL FROM:<ALICE") for command in session.commands[-2:])
        else None})
    sender = world.add_domain("sender.example")
    world.wait_for_delivery(world.send("x@real.example"), "failed")
    notice = wait_until(lambda: notices(qa))[0]
    assert notice[ORIGINAL] == "<alice@sender.example>" and notice[STAGING]
    assert "x@real.example" in notice.as_string()
    assert sender.sessions == []


# --- sink and capture -------------------------------------------------------------------------------
def test_sinked_mail_is_accepted_seen_counted_and_never_leaves(staged):
    world = staged(sink=True, sink_keep="1h")
    real = world.add_domain("real.example", "enforce")
    id = world.send(["a@real.example", "b@real.example"])
    wait_until(lambda: len(world.deliveries(id=id, staging="sinked")) == 2)
    recipients = world.queue()[0]["recipients"]
    assert [each["address"] for each in recipients] == ["a@real.example", "b@real.example"]
    assert all("sinked: nothing leaves" in each["last_result"] for each in recipients)
    assert world.daemon.ctl("status")["staging"]["recipients"]["sinked"] == 2
    restart(world)  # as a productive relay
    world.daemon.ctl("queue", "retry", "--all")
    wait_until(lambda: world.queue() == [])
    assert len(world.deliveries(id=id, result="sinked")) == 2
    assert real.sessions == []


def test_sinked_mail_survives_a_kill_and_leaves_the_queue_when_it_was_seen(staged):
    world = staged(sink=True, sink_keep="1h")
    real = world.add_domain("real.example")
    id = world.send("a@real.example")
    world.daemon.kill()
    world.daemon.start()
    assert [message["id"] for message in world.queue()] == [id]
    restart(world, sink_keep="0s")
    world.daemon.ctl("queue", "retry", "--all")
    wait_until(lambda: world.queue() == [])
    assert real.sessions == []


def test_captured_mail_is_a_file_of_a_maildir(staged, tmp_path):
    folder = tmp_path / "mail"
    world = staged(capture=str(folder))
    real = world.add_domain("real.example")
    # Of several slices, so that one ends between CR and LF.
    id = world.send(["a@real.example", "b@x.example"],
                    body=b"..dot\r\n" + b"0123456789abcdef\r\n" * 8192)
    wait_until(lambda: len(world.deliveries(id=id, result="captured")) == 2)
    assert world.queue() == [] and real.sessions == []
    box = mailbox.Maildir(folder, create=False)
    (key, message), = box.items()
    assert key.split(".")[1] == id
    assert message["Return-Path"] == "<alice@sender.example>"
    assert message["X-Stsrelay-Id"] == id
    assert message.get_all("Delivered-To") == ["a@real.example", "b@x.example"]
    assert message[STAGING] == "capture; relay=relay.test"
    assert message.get_payload().count("0123456789abcdef\n") == 8192
    assert list((folder / "tmp").iterdir()) == []


def test_capture_that_fails_keeps_the_mail_queued(staged, tmp_path):
    (tmp_path / "file").touch()
    world = staged(capture=str(tmp_path / "file"))
    id = world.send("a@real.example")
    wait_until(lambda: world.deliveries(id=id, result="deferred"))
    assert world.daemon.log("capture-failed", id=id)
    (tmp_path / "file").unlink()
    world.daemon.ctl("queue", "retry", "--all")
    wait_until(lambda: world.deliveries(id=id, result="captured"))
    assert world.queue() == [] and len(mailbox.Maildir(tmp_path / "file")) == 1


# --- dry run --------------------------------------------------------------------------------------
def test_dry_run_asks_the_destination_and_sends_nothing(staged):
    world = staged(dry_run=True)
    real = world.add_domain("real.example", "enforce", rules={
        "RCPT": lambda _, argument: "550 5.1.1 who" if "nobody" in argument else None})
    sender = world.add_domain("sender.example")
    id = world.send(["a@real.example", "nobody@real.example"])
    taken = world.wait_for_delivery(id, "dry-run")
    assert taken["to"] == "a@real.example" and "verified" in taken["tls"]
    refused, = world.deliveries(id=id, result="failed")
    assert refused["reply"].startswith("550 5.1.1") and refused["staging"] == "dry-run"
    wait_until(lambda: sender.sessions and sender.sessions[0].ended)  # the notice, a dry run, too
    for session in real.sessions + sender.sessions:
        assert session.messages == [] and "DATA" not in session.verbs() and session.tls
        assert "RSET" in session.verbs()
    wait_until(lambda: world.queue() == [])


def test_dry_run_is_as_strict_about_tls_as_a_delivery(staged):
    world = staged(dry_run=True)
    real = world.add_domain("real.example", "enforce", starttls="no")
    refused = world.wait_for_delivery(world.send("a@real.example"), "deferred")
    assert refused["dsn"] == "4.7.5"
    assert all("MAIL" not in session.verbs() for session in real.sessions)
    restart(world)  # what was accepted for a dry run is delivered by nobody
    real.script.starttls = "yes"
    world.daemon.ctl("queue", "retry", "--all")
    wait_until(lambda: world.queue() == [])
    assert real.messages == []


# --- faults ---------------------------------------------------------------------------------------
def test_faults_at_submission_are_what_the_application_sees(staged):
    world = staged(sink=True, faults=[
        {"recipient": "tempfail@*", "reply": "451 4.3.0 Try again later"},
        {"recipient": "nouser@*", "reply": "550 5.1.1 No such user"},
        {"recipient": "slow@*", "delay": "1200ms"},
        {"recipient": "drop@*", "connection": "dropped"},
        {"recipient": "bye@*", "reply": "421 4.3.2 Bye"}])
    with Client(world.listener) as client:
        client.commands("EHLO c", "MAIL FROM:<a@b.example>")
        assert client.command("RCPT TO:<tempfail@x.example>").text == "4.3.0 Try again later"
        assert client.command("RCPT TO:<nouser@x.example>").code == 550
        before = time.monotonic()
        assert client.command("RCPT TO:<slow@x.example>").code == 250
        assert time.monotonic() - before >= 1.1
        client.send(b"RCPT TO:<drop@x.example>\r\n")
        with pytest.raises((EOFError, ConnectionError)):
            client.reply()
    with Client(world.listener) as client:
        client.commands("EHLO c", "MAIL FROM:<a@b.example>")
        assert client.command("RCPT TO:<bye@x.example>").code == 421
        assert client.closed()
    reasons = [line["to"] for line in world.daemon.log("closed", reason="staging")]
    assert reasons == ["drop@x.example", "bye@x.example"]
    assert world.daemon.log("rejected", to="nouser@x.example")


def test_faults_at_delivery_come_back_as_real_notices(staged):
    world = staged(faults=[
        {"recipient": "bounce@*", "at": "delivery", "reply": "550 5.1.1 No such user"},
        {"recipient": "later@*", "at": "delivery", "reply": "451 4.2.1 Mailbox busy"},
        {"recipient": "lost@*", "at": "delivery", "connection": "dropped"},
        {"recipient": "badtls@*", "at": "delivery", "connection": "tls_failed"}])
    real, sender = world.add_domain("real.example"), world.add_domain("sender.example")
    id = world.send([f"{name}@real.example" for name in (
        "bounce", "later", "lost", "badtls", "fine")])
    world.wait_for_delivery(id, "delivered")
    notice = wait_until(lambda: notices(sender))[0]
    assert "No such user" in notice.as_string() and "bounce@real.example" in notice.as_string()
    assert notice.get_content_type() == "multipart/report"
    found = {entry["to"].split("@")[0]: (entry["result"], entry["dsn"])
             for entry in world.deliveries(id=id, staging="simulated")}
    assert found == {"bounce": ("failed", "5.1.1"), "later": ("deferred", "4.2.1"),
                     "lost": ("deferred", "4.4.2"), "badtls": ("deferred", "4.7.5")}
    assert [message.to for message in real.messages] == [["fine@real.example"]]
    assert sorted(each["address"] for each in world.queue()[0]["recipients"]) == [
        "badtls@real.example", "later@real.example", "lost@real.example"]


def test_faults_are_reloaded_and_the_rest_waits_for_a_restart(staged):
    world = staged(redirect_to="qa@test.example")
    qa = world.add_domain("test.example")
    world.write_config(staging={"faults": [{"recipient": "no@*", "reply": "550 5.1.1 no"}]})
    assert world.daemon.ctl("config", "reload")["needs_restart"] == []
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        with world.smtp() as client:
            client.sendmail("a@b.example", ["no@x.example"], "Subject: x\r\n\r\n")
    world.write_config(staging={"redirect_to": "other@test.example"})
    assert world.daemon.ctl("config", "reload")["needs_restart"] == ["staging"]
    world.wait_for_delivery(world.send("x@real.example"), "delivered")
    assert qa.messages[0].to == ["qa@test.example"]


# --- soft_bounce, and what was there before ---------------------------------------------------------
def test_soft_bounce_tries_again_what_would_fail(staged):
    world = staged(soft_bounce=True)
    world.add_domain("real.example", rules={"RCPT": "550 5.1.1 who"})
    sender = world.add_domain("sender.example")
    entry = world.wait_for_delivery(world.send("x@real.example"), "deferred")
    assert (entry["dsn"], entry["reply"]) == ("4.1.1", "550 5.1.1 who")
    with Client(world.listener) as client:
        client.commands("EHLO c", "MAIL FROM:<a@b.example>")
        assert client.command("RCPT TO:<x@[192.0.2.1]>").code == 450
    assert sender.sessions == []


@pytest.mark.parametrize("staging", [{"sink": True}, {"dry_run": True},
                                     {"redirect_to": "qa@test.example"}])
def test_mail_accepted_before_staging_waits_until_it_is_over(make_world, staging):
    world = make_world()
    real = world.add_domain("real.example", rules={"MAIL": "451 4.3.0 later"})
    id = world.send("x@real.example")
    world.wait_for_delivery(id, "deferred")
    world.config["staging"] = {}
    restart(world, confirm="relay.test", **staging)
    real.script.rules.clear()
    before = len(real.sessions)
    world.daemon.ctl("queue", "retry", "--all")
    wait_until(lambda: world.deliveries(id=id, staging="held-back"))
    assert "accepted before" in world.queue()[0]["recipients"][0]["last_result"]
    assert len(real.sessions) == before
    restart(world)
    world.daemon.ctl("queue", "retry", "--all")
    world.wait_for_delivery(id, "delivered")
    assert len(real.messages) == 1


# --- notices ----------------------------------------------------------------------------------------
def test_a_bounce_that_staging_cannot_deliver_goes_round_no_circle(make_world):
    world = make_world(start=False)
    world.write_config(staging={"confirm": "relay.test", "redirect_to": "qa@test.example"},
                       notices={"postmaster": "post@office.example"})
    world.start()
    world.add_domain("test.example", rules={"RCPT": "550 5.1.1 unknown"})
    world.send("x@real.example")
    wait_until(lambda: world.queue() == [] and world.daemon.log("notice-dropped"))
    assert len(world.daemon.log("notice")) == 1
