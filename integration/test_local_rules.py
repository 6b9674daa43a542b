"""The operator's TLS rules: levels, pins, exemptions, preload and report-only, in the configuration
and by command."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import signal
import ssl

import pytest

from peers.ca import Leaf
from peers.daemon import wait_until

TICKET = "expired certificate, ticket 123"
LATER = (datetime.datetime.utcnow() + datetime.timedelta(days=30)).strftime("%Y-%m-%d")
YESTERDAY = (datetime.datetime.utcnow() - datetime.timedelta(days=2)).strftime("%Y-%m-%d")


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


def _override(world, *arguments: str):
    return world.daemon.ctl("policy", "override", *arguments)


def _refused(world, *arguments: str) -> str:
    result = world.daemon.run("policy", "override", *arguments)
    assert result.returncode == 1, result
    return result.stderr


def _overrides(world) -> dict[str, dict]:
    return {rule["domain"]: rule for rule in _override(world)["overrides"]}


def _exempt(world, domain: str, until: str = LATER):
    return _override(world, domain, "--level", "opportunistic", "--until", until, "--reason",
                     TICKET)


def _retried(world, id: str, result: str) -> dict[str, str]:
    """The attempt that follows `queue retry`, which must end with result."""
    before = len(world.deliveries(id=id))
    world.daemon.ctl("queue", "retry", id)
    line = wait_until(lambda: world.deliveries(id=id)[before:], f"another attempt of {id}")[0]
    assert line["result"] == result, line
    return line


def _status(world) -> dict:
    return world.daemon.ctl("status")["tls_policy"]


# --- commands -----------------------------------------------------------------------------------
def test_an_override_is_set_listed_shown_in_status_logged_and_removed(world):
    set_ = _exempt(world, "Set.Example")
    assert set_["domain"] == "set.example" and set_["by"] == f"uid:{os.getuid()}"
    assert _overrides(world)["set.example"] == set_
    text = world.daemon.run("policy", "override").stdout
    assert "set.example" in text and "opportunistic" in text and TICKET in text
    (exemption,) = [e for e in _status(world)["exemptions"] if e["domain"] == "set.example"]
    assert exemption["until"] == set_["until"] and exemption["reason"] == TICKET
    shown = world.daemon.run("status").stdout
    assert "set.example" in shown and TICKET in shown
    (line,) = world.daemon.log("policy-override", action="set", domain="set.example")
    assert line["by"] == f"uid:{os.getuid()}" and line["reason"] == TICKET
    assert line["until"] == LATER and line["tls_level"] == "opportunistic"

    _override(world, "set.example", "--remove")
    assert "set.example" not in _overrides(world)
    assert world.daemon.log("policy-override", action="removed", domain="set.example")
    assert "no override of set.example" in _refused(world, "set.example", "--remove")


@pytest.mark.parametrize("arguments, words", [
    (("--level", "none"), ["until", "2026-12-31"]),
    (("--level", "none", "--until", LATER), ["reason"]),
    (("--level", "none", "--until", YESTERDAY, "--reason", "x"), ["until", "is over already"]),
    (("--level", "strict"), ["strict", "opportunistic, encrypt"]),
    (("--mx", "192.0.2.1"), ["mx", "192.0.2.1"]),
    (("--mx", "mx.example", "--level", "encrypt"), ["encrypt contradicts mx"]),
    (("--fingerprint", "00:11"), ["fingerprint", "64 hex digits"]),
    (("--level", "fingerprint"), ["fingerprints", "at least one"]),
    (("--reason", "why not"), ["says nothing"])])
def test_an_override_that_is_wrong_is_refused(world, arguments, words):
    said = _refused(world, "wrong.example", *arguments)
    for word in words:
        assert word in said, (word, said)
    assert "wrong.example" not in _overrides(world)


@pytest.mark.parametrize("arguments", [
    ("--remove",), ("--level", "verify"), ("a.example",), ("a.example", "--remove", "--level", "verify")])
def test_wrong_usage_of_override_is_told(world, arguments):
    result = world.daemon.run("policy", "override", *arguments)
    assert result.returncode == 2 and result.stderr


def test_hosts_and_fingerprints_may_be_repeated_in_any_order(world):
    digest = "ab" * 32
    colons = ":".join(["AB"] * 32)
    set_ = _override(world, "--mx", "mx1.many.example", "many.example", "--mx", "*.many.example",
                     "--fingerprint", colons)
    assert set_["mx"] == ["mx1.many.example", "*.many.example"]
    assert set_["fingerprints"] == [digest] and set_["level"] == "fingerprint"
    _override(world, "many.example", "--remove")


def test_overrides_survive_kill_and_restart(make_world):
    world = make_world()
    set_ = _exempt(world, "kept.example")
    _override(world, "*.pinned.example", "--mx", "mx.pinned.example", "--report-only")
    world.daemon.kill()
    world.start()
    assert _overrides(world)["kept.example"] == set_
    pinned = _overrides(world)["*.pinned.example"]
    assert pinned["report_only"] is True and pinned["until"] is None
    assert world.daemon.log("tls-exemption", domain="kept.example", rule="override")


def test_an_override_ends_by_itself(make_world):
    world = make_world()
    end = datetime.datetime.utcnow() + datetime.timedelta(seconds=3)
    _exempt(world, "soon.example", end.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert _overrides(world)["soon.example"]["over"] is False
    (line,) = wait_until(
        lambda: world.daemon.log("policy-override", action="over", domain="soon.example"))
    assert line["by"] == f"uid:{os.getuid()}"
    assert _overrides(world)["soon.example"]["over"] is True
    assert not _status(world)["exemptions"]
    (ended,) = _status(world)["ended"]
    assert ended["domain"] == "soon.example" and ended["reason"] == TICKET
    world.daemon.stop()
    world.start()
    assert len(world.daemon.log("policy-override", action="over")) == 1


# --- configuration ------------------------------------------------------------------------------
def test_configured_exemptions_are_logged_shown_and_reloaded(make_world):
    exemption = {"level": "opportunistic", "until": LATER, "reason": TICKET}
    world = make_world(tls_policy={"default": "encrypt", "domains": {"old.example": exemption}})
    (line,) = world.daemon.log("tls-exemption")
    assert line["tls_level"] == "opportunistic" and line["domain"] == "old.example"
    assert line["rule"] == "tls_policy.domains.old.example" and line["until"] == LATER
    assert _status(world)["default"] == "encrypt" and _status(world)["rules"] == 1
    world.write_config(tls_policy={"default": "verify", "report_only": True})
    assert world.daemon.ctl("config", "reload")["needs_restart"] == []
    status = _status(world)
    assert status["default"] == "verify" and status["report_only"] is True
    assert len(world.daemon.log("tls-exemption")) == 2
    (loud,) = world.daemon.log("tls-report-only")
    assert "NO TLS POLICY IS ENFORCED" in loud["detail"]
    assert "REPORT-ONLY" in world.daemon.run("status").stdout


def test_config_check_warns_of_a_rule_that_is_over(make_world):
    world = make_world(start=False, tls_policy={"domains": {
        "old.example": {"level": "none", "until": YESTERDAY, "reason": "x"}}})
    result = world.daemon.run("config", "check")
    assert result.returncode == 0
    assert f"{world.config_file}:" in result.stderr and "old.example.until" in result.stderr
    assert "is over" in result.stderr
    (warning,) = world.daemon.ctl("config", "check")["warnings"]
    assert "old.example.until" in warning
    world.start()
    (line,) = world.daemon.log("tls-rule-over")
    assert line["domain"] == "old.example"
    assert not _status(world)["exemptions"]
    assert [rule["domain"] for rule in _status(world)["ended"]] == ["old.example"]


def test_a_missing_or_broken_preload_file_is_an_error_at_start(make_world):
    world = make_world(start=False)
    preload = world.folder / "preload.yaml"
    world.write_config(tls_policy={"preload": str(preload)})
    for command in (("config", "check"), ("run",)):
        result = world.daemon.run(*command)
        assert result.returncode == 1 and f"{preload}: " in result.stderr, result
    preload.write_text("a.example: [mx.a.example]\nb.example: [192.0.2.1]\n")
    for command in (("config", "check"), ("run",)):
        result = world.daemon.run(*command)
        assert result.returncode == 1 and f"{preload}:2: b.example.mx[0]" in result.stderr, result


def test_a_broken_preload_file_at_reload_keeps_the_old_rules(make_world):
    world = make_world(start=False)
    preload = world.folder / "preload.yaml"
    preload.write_text("a.example: [mx.a.example]\n")
    world.write_config(tls_policy={"preload": str(preload)})
    world.start()
    assert _status(world)["preloaded"] == 1
    preload.write_text("a.example: []\n")
    world.write_config(tls_policy={"default": "verify"})
    result = world.daemon.run("config", "reload")
    assert result.returncode == 1 and "preload.yaml:1" in result.stderr
    assert _status(world)["preloaded"] == 1 and _status(world)["default"] == "opportunistic"
    preload.write_text("a.example: [mx.a.example]\nb.example: [mx.b.example]\n")
    world.daemon.signal(signal.SIGHUP)
    wait_until(lambda: _status(world)["preloaded"] == 2)
    assert _status(world)["default"] == "verify"


def test_override_prints_json(world):
    json.loads(world.daemon.run("policy", "override", "--json").stdout)


# --- what attempts make of rules -----------------------------------------------------------------
def test_an_exemption_lets_mail_through_until_it_is_removed(world):
    domain = "expired.example"
    mx = world.add_domain(domain, "enforce", leaf=Leaf.faulty("expired", f"mx1.{domain}"))
    id = world.send(f"x@{domain}")
    world.wait_for_delivery(id, "deferred")
    _exempt(world, domain)
    _retried(world, id, "delivered")
    _override(world, domain, "--remove")
    world.wait_for_delivery(world.send(f"x@{domain}"), "deferred")
    assert len(mx.messages) == 1


def test_an_exemption_that_ends_by_itself_puts_the_policy_back_in_force(world):
    domain = "ending.example"
    world.add_domain(domain, "enforce", leaf=Leaf.faulty("expired", f"mx1.{domain}"))
    end = datetime.datetime.utcnow() + datetime.timedelta(seconds=4)
    _exempt(world, domain, end.strftime("%Y-%m-%dT%H:%M:%SZ"))
    world.wait_for_delivery(world.send(f"x@{domain}"), "delivered")
    wait_until(lambda: _overrides(world)[domain]["over"])
    world.wait_for_delivery(world.send(f"x@{domain}"), "deferred")


def test_a_pin_keeps_mail_from_foreign_hosts(world):
    foreign = world.add_mx("mx.thief.example")
    own = world.add_domain("pinned.example")
    world.set_mx("pinned.example", foreign, own)
    _override(world, "pinned.example", "--mx", "*.pinned.example", "--reason", "contract")
    world.wait_for_delivery(world.send("x@pinned.example"), "delivered")
    assert own.messages and not foreign.sessions
    world.set_mx("robbed.example", foreign)
    _override(world, "robbed.example", "--mx", "*.robbed.example", "--reason", "contract")
    world.wait_for_delivery(world.send("y@robbed.example"), "deferred")
    assert not foreign.sessions


@pytest.mark.parametrize("level, leaf, starttls, result, secured", [
    ("none", "good", "yes", "delivered", False),
    ("opportunistic", "self-signed", "yes", "delivered", True),
    ("opportunistic", "good", "no", "delivered", False),
    ("encrypt", "self-signed", "yes", "delivered", True),
    ("encrypt", "good", "no", "deferred", False),
    ("verify", "good", "yes", "delivered", True),
    ("verify", "self-signed", "yes", "deferred", False),
    ("dane", "self-signed", "yes", "delivered", True),
    ("dane-only", "good", "yes", "deferred", False)])
def test_a_level_demands_what_it_says(world, level, leaf, starttls, result, secured):
    domain = f"{level}-{leaf}-{starttls}.example"
    name = f"mx1.{domain}"
    certificate = Leaf.good(name) if leaf == "good" else Leaf.faulty(leaf, name)
    mx = world.add_domain(domain, leaf=certificate, starttls=starttls)
    exemption = ("--until", LATER, "--reason", "x") if level in ("none", "opportunistic") else ()
    _override(world, domain, "--level", level, *exemption)
    world.wait_for_delivery(world.send(f"x@{domain}"), result)
    assert len(mx.messages) == (result == "delivered")
    if mx.messages:
        assert bool(mx.sessions[0].tls) == secured


def test_a_fingerprint_is_the_certificates_and_nobody_elses(world):
    domain = "finger.example"
    leaf = Leaf.faulty("self-signed", f"mx1.{domain}")
    mx = world.add_domain(domain, leaf=leaf)
    pem = world.authority.pem_file(leaf).read_text()
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE"):])
    _override(world, domain, "--fingerprint", "00" * 32)
    id = world.send(f"x@{domain}")
    world.wait_for_delivery(id, "deferred")
    assert not mx.messages
    _override(world, domain, "--fingerprint", hashlib.sha256(der).hexdigest())
    _retried(world, id, "delivered")


def test_report_only_delivers_and_counts(world):
    domain = "trial.example"
    mx = world.add_domain(domain, leaf=Leaf.faulty("self-signed", f"mx1.{domain}"))
    _override(world, domain, "--level", "verify", "--report-only")
    before = _status(world)["would_refuse"]["total"]
    world.wait_for_delivery(world.send(f"x@{domain}"), "delivered")
    assert mx.messages
    refusals = _status(world)["would_refuse"]
    assert refusals["total"] == before + 1
    assert {"domain": domain, "count": 1} in refusals["domains"]
    said = world.daemon.run("status").stdout
    assert domain in said
    assert "verify, report-only" in said  # it waives what the domain publishes, too


def test_report_only_for_everything_lets_published_policies_be_counted_only(make_world):
    world = make_world(tls_policy={"report_only": True})
    domain = "enforced.example"
    world.add_domain(domain, "enforce", leaf=Leaf.faulty("expired", f"mx1.{domain}"))
    world.wait_for_delivery(world.send(f"x@{domain}"), "delivered")
    assert _status(world)["would_refuse"]["total"] == 1


def test_preload_protects_the_first_contact_and_yields_to_the_domains_policy(make_world):
    world = make_world(start=False)
    preload = world.folder / "preload.yaml"
    preload.write_text("first.example: [mx1.first.example]\nknown.example: [gone.example]\n")
    world.write_config(tls_policy={"preload": str(preload)})
    world.start()
    foreign = world.add_mx("mx.thief.example")
    world.set_mx("first.example", foreign)  # no policy can be found: all of DNS is forged
    world.wait_for_delivery(world.send("x@first.example"), "deferred")
    assert not foreign.sessions
    known = world.add_domain("known.example", "enforce")
    world.wait_for_delivery(world.send("x@known.example"), "delivered")
    assert known.messages


def test_rules_by_wildcard_hold_below_a_domain_and_not_for_it(make_world):
    world = make_world(tls_policy={"domains": {
        "*.wild.example": {"level": "verify"},
        "free.wild.example": {"level": "opportunistic", "until": LATER, "reason": "x"}}})
    for domain, result in (("wild.example", "delivered"), ("a.wild.example", "deferred"),
                           ("b.a.wild.example", "deferred"), ("free.wild.example", "delivered")):
        world.add_domain(domain, leaf=Leaf.faulty("self-signed", f"mx1.{domain}"))
        world.wait_for_delivery(world.send(f"x@{domain}"), result)
