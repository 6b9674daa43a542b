"""The conversation with an MX host, reuse of connections and sessions, retries and DSNs."""

import email
import re

import pytest

from peers.ca import Leaf
from peers.daemon import wait_until
from peers.mx import EXTENSIONS, Drop, Silence, ThenDrop
from peers.world import submit


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


def _without(*words: str) -> tuple[str, ...]:
    return tuple(e for e in EXTENSIONS if e.split()[0] not in words)


def _send(world, domain: str, result: str = "delivered", **options) -> dict:
    return world.wait_for_delivery(world.send(f"x@{domain}", **options), result)


def _counts(world, domain: str):
    return wait_until(lambda: world.counts(domain), f"{domain} to be counted")


# --- the conversation --------------------------------------------------------------------------
def test_envelope_and_data_go_in_one_write_when_pipelining_is_offered(world):
    mx = world.add_domain("pipelining.example")
    id = world.send(["x@pipelining.example", "y@pipelining.example"])
    world.wait_for_delivery(id, "delivered")
    batch = next(data for data in mx.sessions[0].reads if data.startswith(b"MAIL"))
    assert [line.split(b" ")[0] for line in batch.split(b"\r\n")] == [
        b"MAIL", b"RCPT", b"RCPT", b"DATA", b""]


def test_one_command_at_a_time_without_pipelining(world):
    mx = world.add_domain("lockstep.example")
    mx.script.extensions = _without("PIPELINING")
    _send(world, "lockstep.example")
    assert all(data.count(b"\r\n") == 1 for data in mx.sessions[0].reads)


def test_lone_dot_after_354_without_a_valid_recipient(world):
    mx = world.add_domain("lonely.example",
                          rules={"RCPT": "550 5.1.1 unknown", "DATA": "354 go ahead"})
    mx.script.rules["."] = "554 5.5.1 no valid recipients"
    _send(world, "lonely.example", "failed")
    assert mx.messages == []
    assert "." in mx.sessions[0].commands


def test_size_is_declared_only_when_offered(world):
    mx = world.add_domain("size.example")
    _send(world, "size.example")
    declared = int(re.search(r"SIZE=(\d+)", mx.messages[0].parameters).group(1))
    assert declared == len(mx.messages[0].content)
    other = world.add_domain("nosize.example")
    other.script.extensions = _without("SIZE")
    _send(world, "nosize.example")
    assert "SIZE" not in other.messages[0].parameters


def test_message_over_every_hosts_size_bounces_without_data(world):
    mx = world.add_domain("small.example")
    mx.script.extensions = (*_without("SIZE"), "SIZE 1000")
    line = _send(world, "small.example", "failed", body=b"x" * 70 + b"\r\n" + b"y\r\n" * 2000)
    assert "5.3.4" in str(line)
    assert all("DATA" not in session.verbs() for session in mx.sessions)


def test_message_too_big_for_one_host_goes_to_another(world):
    first = world.add_mx("mx1.sizes.example")
    first.script.extensions = (*_without("SIZE"), "SIZE 1000")
    second = world.add_mx("mx2.sizes.example")
    world.set_mx("sizes.example", first, second)
    _send(world, "sizes.example", body=b"y\r\n" * 2000)
    assert second.messages and not first.messages


def test_eight_bit_mail_to_a_seven_bit_host_bounces_with_words(world):
    mx = world.add_domain("seven.example")
    mx.script.extensions = _without("8BITMIME", "SMTPUTF8")
    line = _send(world, "seven.example", "failed", body=b"caf\xc3\xa9\r\n",
                 options=["BODY=8BITMIME"])
    assert "5.6.3" in str(line)


def test_force_8bit_sends_as_is(make_world):
    world = make_world(delivery={"force_8bit": True})
    mx = world.add_domain("forced.example")
    mx.script.extensions = _without("8BITMIME")
    _send(world, "forced.example", body=b"caf\xc3\xa9\r\n", options=["BODY=8BITMIME"])
    assert b"caf\xc3\xa9" in mx.messages[0].content
    assert "BODY" not in mx.messages[0].parameters


def test_internationalised_address_needs_smtputf8(world):
    mx = world.add_domain("eai.example")
    id = world.send("jürgen@eai.example", options=["SMTPUTF8", "BODY=8BITMIME"])
    world.wait_for_delivery(id, "delivered")
    assert "SMTPUTF8" in mx.messages[0].parameters
    assert mx.messages[0].to == ["jürgen@eai.example"]
    old = world.add_domain("ascii.example")
    old.script.extensions = _without("SMTPUTF8")
    id = world.send("jürgen@ascii.example", options=["SMTPUTF8"])
    assert "5.6.7" in str(world.wait_for_delivery(id, "failed"))


def test_dsn_parameters_are_passed_on_where_offered(world):
    mx = world.add_domain("dsn.example")
    id = world.send("x@dsn.example", options=["RET=HDRS", "ENVID=abc+2Bd"],
                    recipient_options=["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;X@dsn.example"])
    world.wait_for_delivery(id, "delivered")
    message = mx.messages[0]
    assert "RET=HDRS" in message.parameters and "ENVID=abc+2Bd" in message.parameters
    assert message.recipients[0][1] == "NOTIFY=FAILURE,DELAY ORCPT=rfc822;X@dsn.example"
    plain = world.add_domain("nodsn.example")
    plain.script.extensions = _without("DSN")
    id = world.send("x@nodsn.example", options=["RET=HDRS"], recipient_options=["NOTIFY=NEVER"])
    world.wait_for_delivery(id, "delivered")
    assert "RET" not in plain.messages[0].parameters and plain.messages[0].recipients[0][1] == ""


def test_helo_follows_a_refused_ehlo(world):
    mx = world.add_domain("ancient.example", rules={"EHLO": "502 5.5.1 what?"})
    _send(world, "ancient.example")
    assert mx.sessions[-1].verbs()[:2] == ["EHLO", "HELO"]


def test_one_transaction_for_all_recipients_of_a_domain(world):
    mx = world.add_domain("group.example")
    other = world.add_domain("group2.example")
    world.send([f"u{n}@group.example" for n in range(5)] + ["x@group2.example"])
    wait_until(lambda: mx.messages and other.messages)
    assert len(mx.messages) == 1 and len(mx.messages[0].recipients) == 5


def test_limits_of_the_server_are_kept(world):
    mx = world.add_domain("limits.example")
    mx.script.extensions = (*EXTENSIONS, "LIMITS RCPTMAX=2 MAILMAX=2")
    world.send([f"u{n}@limits.example" for n in range(5)])
    wait_until(lambda: sum(len(m.recipients) for m in mx.messages) == 5)
    assert [len(m.recipients) for m in mx.messages] == [2, 2, 1]
    assert [len(session.messages) for session in mx.sessions] == [2, 1]


def test_stricter_session_may_serve_mail_that_needs_less(world):
    mx = world.add_mx("mx.both.example")
    for domain in ("both-strict.example", "both-free.example"):
        world.set_mx(domain, mx)
    world.publish("both-strict.example", "enforce", [mx.name])
    _send(world, "both-strict.example")
    _send(world, "both-free.example")
    assert len(mx.messages) == 2


def test_long_reply_with_many_lines_is_read(world):
    world.add_domain("wordy.example", rules={
        "DOT": "\r\n".join(["250-2.0.0 line"] * 90 + ["250 2.0.0 end"])})
    _send(world, "wordy.example")


# --- reuse -------------------------------------------------------------------------------------
def test_connection_is_reused_for_the_same_destination(world):
    mx = world.add_domain("reuse.example", "enforce")
    for _ in range(5):
        _send(world, "reuse.example")
    assert len(mx.sessions) == 1 and len(mx.messages) == 5
    assert _counts(world, "reuse.example")[0].successes == 1  # one session, one count


def test_idle_connection_is_closed_with_quit(make_world):
    world = make_world(delivery={"connection_idle": "300ms"})
    mx = world.add_domain("idle.example")
    _send(world, "idle.example")
    wait_until(lambda: mx.sessions[0].ended)
    assert mx.sessions[0].verbs()[-1] == "QUIT"


def test_connection_carries_a_limited_number_of_messages(make_world):
    world = make_world(delivery={"messages_per_connection": 2})
    mx = world.add_domain("worn.example")
    for _ in range(5):
        _send(world, "worn.example")
    assert [len(session.messages) for session in mx.sessions] == [2, 2, 1]


def test_dead_pooled_connection_costs_no_attempt(world):
    mx = world.add_domain("stale.example",
                          rules={"DOT": lambda *_: ThenDrop("250 2.0.0 taken, bye")})
    for n in range(3):
        id = world.send("x@stale.example", subject=str(n))
        world.wait_for_delivery(id, "delivered")
        assert world.deliveries(id=id, result="deferred") == []
    assert len(mx.sessions) == 3


def test_refused_message_leaves_the_connection_usable(world):
    def mail(session, _argument):
        return "451 4.3.0 later" if not session.messages and len(session.commands) < 6 else None

    mx = world.add_domain("again.example", rules={"MAIL": mail})
    world.wait_for_delivery(world.send("x@again.example"), "deferred")
    _send(world, "again.example")
    assert mx.messages


def test_tls_session_is_resumed_with_its_verdict(make_world):
    world = make_world(delivery={"connection_idle": "100ms"})
    mx = world.add_domain("resume.example", "enforce")
    for n in range(3):
        _send(world, "resume.example")
        wait_until(lambda: mx.sessions[n].ended)
    assert [session.resumed for session in mx.sessions] == [False, True, True]
    (count,) = _counts(world, "resume.example")
    assert (count.successes, count.failures) == (3, 0)


def test_resumed_session_keeps_a_bad_verdict(make_world):
    world = make_world(delivery={"connection_idle": "100ms"})
    mx = world.add_domain("worse.example", "testing",
                          leaf=Leaf.faulty("expired", "mx1.worse.example"))
    for n in range(2):
        _send(world, "worse.example")
        wait_until(lambda: mx.sessions[n].ended)
    (count,) = _counts(world, "worse.example")
    assert (count.successes, count.failures) == (0, 2)
    assert count.types == {"certificate-expired": 2}


def test_connections_to_a_destination_are_limited(make_world):
    world = make_world(delivery={"connections_per_destination": 3})
    mx = world.add_domain("narrow.example")
    for _ in range(40):
        world.send("x@narrow.example")
    wait_until(lambda: len(mx.messages) == 40)
    assert 1 <= mx.peak <= 3


def test_messages_to_one_domain_do_not_hold_up_another(world):
    slow = world.add_domain("stuck.example", rules={"GREETING": Silence()})
    for _ in range(30):
        world.send("x@stuck.example")
    wait_until(lambda: slow.sessions)
    world.add_domain("brisk.example")
    _send(world, "brisk.example")


# --- retries, expiry, DSN -----------------------------------------------------------------------
def test_deferred_mail_is_retried_on_schedule_until_it_goes(make_world):
    world = make_world(queue={"retry": ["0s", "200ms", "200ms", "1h"]})
    attempts = []

    def mail(session, _argument):
        attempts.append(session)
        return "451 4.7.1 greylisted" if len(attempts) < 3 else None

    world.add_domain("grey.example", rules={"MAIL": mail})
    id = world.send("x@grey.example")
    world.wait_for_delivery(id, "delivered")
    assert len(world.deliveries(id=id, result="deferred")) == 2
    assert all("next" in line for line in world.deliveries(id=id, result="deferred"))


def _bounce(world, **send):
    """Sends to a domain whose sender's own domain receives the DSN; returns that message."""
    world.add_domain("sender.example")
    world.send(**send)
    home = world.mx["mx1.sender.example"]
    return wait_until(lambda: home.messages and home.messages[-1])


def test_permanent_failure_makes_a_dsn_with_a_plain_sentence(make_world):
    world = make_world()
    world.add_domain("bounce.example", rules={"RCPT": "550 5.1.1 no such user here"})
    bounce = _bounce(world, to="x@bounce.example", options=["ENVID=e1"],
                     recipient_options=["ORCPT=rfc822;X@bounce.example"])
    assert bounce.sender == "" and bounce.to == ["alice@sender.example"]
    dsn = email.message_from_bytes(bounce.content)
    assert dsn.get_content_type() == "multipart/report"
    assert dsn.get_param("report-type") == "delivery-status"
    assert dsn["Auto-Submitted"] and dsn["Message-ID"] and dsn["Date"] and dsn["MIME-Version"]
    assert "MAILER-DAEMON@relay.test" in dsn["From"]
    text, status, original = dsn.get_payload()
    sentence = text.get_payload(decode=True).decode()
    for word in ("x@bounce.example", "mx1.bounce.example", "no such user here"):
        assert word in sentence, sentence
    per_message, recipient = status.get_payload()
    assert per_message["Reporting-MTA"].endswith("relay.test")
    assert per_message["Original-Envelope-Id"] == "e1" and per_message["Arrival-Date"]
    assert recipient["Final-Recipient"] == "rfc822; x@bounce.example"
    assert recipient["Original-Recipient"].replace(" ", "") == "rfc822;X@bounce.example"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert "mx1.bounce.example" in recipient["Remote-MTA"]
    assert recipient["Diagnostic-Code"].startswith("smtp; 550")
    assert original.get_content_type() in ("message/rfc822", "text/rfc822-headers")
    assert "Subject: test" in original.as_string()


def test_expiry_under_enforce_makes_a_dsn_that_names_policy_and_rule(make_world):
    world = make_world(queue={"lifetime": "2s", "retry": ["0s", "500ms"]})
    mx = world.add_domain("expired.example", "enforce", starttls="no")
    bounce = _bounce(world, to="x@expired.example")
    text = email.message_from_bytes(bounce.content).get_payload()[0].get_payload(decode=True)
    sentence = re.sub(r"\s+", " ", text.decode())
    for word in ("expired.example", "mx1.expired.example", "MTA-STS", "enforce",
                 "does not offer TLS"):
        assert word in sentence, sentence
    assert mx.messages == []
    wait_until(lambda: world.queue() == [])


def test_recipients_that_fail_together_share_one_dsn(make_world):
    world = make_world()
    world.add_domain("several.example", rules={"RCPT": "550 5.1.1 unknown"})
    bounce = _bounce(world, to=[f"u{n}@several.example" for n in range(3)])
    status = email.message_from_bytes(bounce.content).get_payload()[1]
    assert len(status.get_payload()) == 1 + 3
    assert len(world.mx["mx1.sender.example"].messages) == 1


@pytest.mark.parametrize("option, sender", [([], ""), (["NOTIFY=NEVER"], "alice@sender.example")])
def test_no_dsn_for_the_null_sender_or_notify_never(make_world, option, sender):
    world = make_world()
    home = world.add_domain("sender.example")
    world.add_domain("quiet.example", rules={"RCPT": "550 5.1.1 unknown"})
    id = world.send("x@quiet.example", sender=sender, recipient_options=option)
    world.wait_for_delivery(id, "failed")
    wait_until(lambda: world.queue() == [])
    assert home.sessions == []


def test_bounce_that_bounces_is_dropped(make_world):
    world = make_world()
    home = world.add_domain("sender.example", rules={"RCPT": "550 5.1.1 gone"})
    world.add_domain("double.example", rules={"RCPT": "550 5.1.1 unknown"})
    world.send("x@double.example")
    wait_until(lambda: home.sessions and world.queue() == [])
    assert home.messages == []


def test_lost_connection_before_the_dot_tries_the_next_host(world):
    first = world.add_mx("mx1.cut.example", rules={"BODY": Drop()})
    second = world.add_mx("mx2.cut.example")
    world.set_mx("cut.example", first, second)
    _send(world, "cut.example", body=(b"x" * 70 + b"\r\n") * 300_000)
    assert second.messages and not first.messages


def test_many_messages_on_one_inbound_connection_all_arrive(world):
    mx = world.add_domain("stream.example")
    with world.smtp() as client:
        ids = [submit(client, "a@b.example", ["x@stream.example"], b"Subject: %d\r\n\r\nx\r\n" % n)
               for n in range(50)]
    wait_until(lambda: len(mx.messages) == 50)
    assert len(set(ids)) == 50
