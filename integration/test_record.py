"""What is written down: one log line per attempt, one result per session (RFC 8460)."""

import json
import re

import pytest

from peers.ca import Leaf
from peers.daemon import wait_until
from peers.mx import Drop, ThenDrop
from peers.policy_host import Reply


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


def _send(world, domain: str, result: str = "delivered") -> dict:
    return world.wait_for_delivery(world.send(f"x@{domain}"), result)


def _counts(world, domain: str):
    return wait_until(lambda: world.counts(domain), f"{domain} to be counted")


def test_delivery_line_holds_every_key(world):
    mx = world.add_domain("line.example", "enforce")
    line = _send(world, "line.example")
    assert line["level"] == "info" and line["from"] == "alice@sender.example"
    assert line["to"] == "x@line.example" and line["host"] == mx.name and line["ip"] == mx.ip
    assert re.match(r"TLSv1\.[23] \S+ verified", line["tls"])
    assert (line["policy_type"], line["policy_mode"], line["policy_id"]) == ("sts", "enforce", "1")
    assert line["policy_source"] == "fetched"
    assert line["dsn"] == "2.0.0" and line["reply"].startswith("250 2.0.0 taken")
    assert float(line["delay"]) >= 0 and "/" in line["delays"] and line["attempt"] == "1"
    assert _send(world, "line.example")["policy_source"] == "cache"


def test_deferral_line_says_when_it_is_tried_again(world):
    world.add_domain("later.example", rules={"MAIL": "451 4.3.0 come back"})
    line = _send(world, "later.example", "deferred")
    assert line["next"] and line["reply"] == "451 4.3.0 come back" and line["dsn"] == "4.3.0"


def test_acceptance_is_logged_with_the_same_id(world):
    world.add_domain("trail.example")
    id = world.send("x@trail.example")
    world.wait_for_delivery(id, "delivered")
    assert [line for line in world.daemon.log(id=id) if line["event"] not in (
        "delivery", "session")], world.daemon.log(id=id)


def test_peer_text_cannot_forge_log_lines(world):
    world.add_domain("forge.example", rules={
        "MAIL": b'451 4.3.0 x" level=error event=delivery id=FORGED\x1b[31m\r\n'})
    line = _send(world, "forge.example", "deferred")
    assert "FORGED" in line["reply"] and world.deliveries(id="FORGED") == []
    assert "\x1b" not in world.daemon.text()


def test_long_peer_text_is_capped(world):
    world.add_domain("long.example", rules={"MAIL": "451 4.3.0 " + "x" * 480})
    assert len(_send(world, "long.example", "deferred")["reply"]) <= 512


def test_json_log_lines_are_objects(make_world):
    world = make_world(log={"format": "json"})
    world.add_domain("json.example")
    world.send("x@json.example")

    def delivered():
        lines = [json.loads(line) for line in world.daemon.text().splitlines()
                 if line.startswith("{")]
        return [line for line in lines if line["event"] == "delivery"]

    assert wait_until(delivered)[0]["to"] == "x@json.example"


def test_message_content_is_never_logged(make_world):
    world = make_world(log={"level": "debug"})
    world.add_domain("secret.example")
    id = world.send("x@secret.example", body=b"the-secret-body\r\n", subject="the-secret-subject")
    world.wait_for_delivery(id, "delivered")
    assert "the-secret" not in world.daemon.text()


# --- counts (T13-T46) ---------------------------------------------------------------------------
def test_good_session_counts_as_success_of_its_policy(world):
    world.add_domain("good.example", "enforce")
    _send(world, "good.example")
    (count,) = _counts(world, "good.example")
    assert (count.policy, count.domain, count.successes, count.failures) == (
        "sts", "good.example", 1, 0)
    assert count.strings == ("version: STSv1", "mode: enforce", "mx: mx1.good.example",
                             "max_age: 86400")


def test_no_policy_sessions_are_counted_too(world):
    world.add_domain("plain.example", starttls="no")
    _send(world, "plain.example")
    (count,) = _counts(world, "plain.example")
    assert (count.policy, count.successes, count.types, count.reasons) == (
        "no-policy-found", 0, {"starttls-not-supported": 1}, {"not-advertised"})


@pytest.mark.parametrize("starttls, kind, reason", [
    ("no", "starttls-not-supported", "not-advertised"),
    ("454 4.7.0 no", "starttls-not-supported", "starttls-reply-454"),
    ("alert", "validation-failure", "tls-alert-40"),
    ("close", "validation-failure", "handshake-eof"),
    ("inject", "validation-failure", "starttls-injection")])
def test_reason_code_of_a_failed_starttls(world, starttls, kind, reason):
    domain = f"reason-{reason}.example"
    world.add_domain(domain, "enforce", starttls=starttls)
    _send(world, domain, "deferred")
    (count,) = _counts(world, domain)
    assert (count.types, count.reasons) == ({kind: 1}, {reason})


@pytest.mark.parametrize("fault, kind, reason", [
    ("expired", "certificate-expired", "X509_V_ERR_CERT_HAS_EXPIRED"),
    ("self-signed", "certificate-not-trusted", "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"),
    ("unknown-ca", "certificate-not-trusted", "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
    ("not-yet-valid", "certificate-not-trusted", "X509_V_ERR_CERT_NOT_YET_VALID"),
    ("no-server-auth", "certificate-not-trusted", "X509_V_ERR_INVALID_PURPOSE")])
def test_reason_code_of_a_bad_certificate(world, fault, kind, reason):
    domain = f"cert-{fault}.example"
    world.add_domain(domain, "enforce", leaf=Leaf.faulty(fault, f"mx1.{domain}"))
    _send(world, domain, "deferred")
    (count,) = _counts(world, domain)
    assert count.types == {kind: 1} and reason in count.reasons


def test_failure_detail_names_both_ends(world):
    mx = world.add_domain("ends.example", "enforce",
                          leaf=Leaf.faulty("expired", "mx1.ends.example"))
    _send(world, "ends.example", "deferred")
    (detail,) = _counts(world, "ends.example")[0].details
    assert detail["receiving_mx_hostname"] == mx.name and detail["receiving_ip"] == mx.ip
    assert detail["receiving_mx_helo"] == mx.name
    assert detail["sending_mta_ip"].startswith("127.")


def test_refused_connections_and_greetings_are_no_sessions(world):
    world.dns.set("mx.dead.example", "A", world.address())
    world.set_mx("dead.example", "mx.dead.example")
    world.add_domain("busy.example", rules={"GREETING": "421 4.3.2 busy"})
    world.add_domain("gone.example", rules={"EHLO": Drop()})
    for domain in ("dead.example", "busy.example", "gone.example"):
        _send(world, domain, "deferred")
        assert world.counts(domain) == []


def test_plaintext_retry_is_not_a_second_session(world):
    world.add_domain("retry.example", starttls="close")
    _send(world, "retry.example")
    (count,) = _counts(world, "retry.example")
    assert (count.successes, count.failures) == (0, 1)


def test_fetch_failure_without_cache_is_one_failed_session(world):
    world.add_domain("fetch.example", "enforce")
    world.policy_hosts["mta-sts.fetch.example"].reply = Reply(status=404)
    _send(world, "fetch.example")
    count = next(c for c in _counts(world, "fetch.example") if c.policy == "sts")
    assert (count.strings, count.successes, count.failures) == ((), 0, 1)
    assert (count.types, count.reasons) == ({"sts-policy-fetch-error": 1}, {"http-404"})


def test_two_policies_of_a_day_are_two_elements(make_world):
    world = make_world(delivery={"messages_per_connection": 1})
    world.add_domain("two.example")
    world.publish("two.example", "testing", ["mx1.two.example"], ttl=0)
    _send(world, "two.example")
    world.publish("two.example", "enforce", ["mx1.two.example"], id="2", ttl=0)
    _send(world, "two.example")
    counts = wait_until(lambda: len(c := world.counts("two.example")) == 2 and c)
    assert {count.strings[1] for count in counts} == {"mode: testing", "mode: enforce"}
    assert [(count.successes, count.failures) for count in counts] == [(1, 0), (1, 0)]


def test_counts_survive_kill_9_and_are_not_doubled(make_world):
    world = make_world(delivery={"messages_per_connection": 1})
    world.add_domain("durable.example", "enforce")
    for _ in range(5):
        _send(world, "durable.example")
    wait_until(lambda: world.queue() == [])
    world.daemon.kill()
    world.start()
    (count,) = world.counts("durable.example")
    assert (count.successes, count.failures) == (5, 0)


def test_every_attempt_on_every_host_is_a_session(world):
    hosts = [world.add_mx(f"mx{n}.walk.example", starttls="no") for n in (1, 2)]
    world.set_mx("walk.example", *hosts)
    world.publish("walk.example", "enforce", [host.name for host in hosts])
    _send(world, "walk.example", "deferred")
    (count,) = _counts(world, "walk.example")
    assert count.failures == 2
    assert {d["receiving_mx_hostname"] for d in count.details} == {host.name for host in hosts}


def test_session_dropped_after_tls_still_counts(world):
    world.add_domain("after.example", "enforce", rules={"MAIL": ThenDrop("421 4.3.2 bye")})
    _send(world, "after.example", "deferred")
    (count,) = _counts(world, "after.example")
    assert (count.successes, count.failures) == (1, 0)
