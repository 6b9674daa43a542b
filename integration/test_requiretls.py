"""REQUIRETLS and TLS-Required: No (RFC 8689) from the listener through the queue to bounces."""

import email
import re
import sqlite3
from pathlib import Path

import pytest

from peers.ca import Leaf
from peers.client import Client
from peers.daemon import wait_until
from peers.mx import EXTENSIONS
from peers.world import submit

LATER = {"MAIL": "451 4.3.0 later"}
REQUIRED_FLAG = 4  # in the queue's column "flags"


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


def _submit(world, to: str, header: str, **options) -> str:
    content = f"Subject: test\r\n{header}\r\nsecret body\r\n".encode()
    with world.smtp() as client:
        return submit(client, "alice@sender.example", [to], content, **options)


def _waiting(world, to: str, header: str = "", **options) -> str:
    """A message in the queue of a world whose host for it answers 451."""
    id = _submit(world, to, header, **options)
    world.wait_for_delivery(id, "deferred")
    return id


def _require_tls(world, id: str) -> None:
    """Makes a waiting message one that came with REQUIRETLS, for which a client needs TLS to us."""
    world.daemon.stop()
    with sqlite3.connect(Path(world.config["queue"]["path"]) / "spool.db") as queue:
        assert queue.execute("UPDATE messages SET flags = flags | ?", (REQUIRED_FLAG,)).rowcount == 1
    queue.close()
    world.start()
    assert world.daemon.ctl("queue", "show", id)["tls"] == "required"


def _retried(world, id: str, result: str) -> dict:
    world.daemon.ctl("queue", "retry", id)
    return world.wait_for_delivery(id, result)


def _required_message(world, domain: str, **options) -> str:
    """A waiting REQUIRETLS message; every host is sound again."""
    hosts = [host for name, host in world.mx.items() if name.endswith(domain)]
    for host in hosts:
        host.script.rules.update(LATER)
    id = _waiting(world, f"x@{domain}", **options)
    _require_tls(world, id)
    for host in hosts:
        host.script.rules.clear()
        host.sessions.clear()
    return id


def _home(world):
    """Where bounces go."""
    host = world.add_domain("sender.example", "enforce")
    host.script.extensions = (*EXTENSIONS, "REQUIRETLS")
    return host


def _bounce(home):
    return wait_until(lambda: home.messages and home.messages[-1], "the bounce to arrive")


def _text(bounce) -> str:
    parts = email.message_from_bytes(bounce.content).get_payload()
    return re.sub(r"\s+", " ", parts[0].get_payload())


# --- on the way in -----------------------------------------------------------------------------
def test_plain_listener_neither_announces_nor_takes_requiretls(world):
    with Client(world.listener) as client:
        assert "REQUIRETLS" not in client.command("EHLO client.test").lines
        refusal = client.command("MAIL FROM:<a@b.example> REQUIRETLS")
        assert refusal.code == 530 and refusal.text.startswith("5.7.10 ")
        assert client.commands("MAIL FROM:<a@b.example> REQUIRETLS=yes") == [501]
        assert client.commands("MAIL FROM:<a@b.example>") == [250]


@pytest.mark.parametrize("label, header, tls", [
    ("R01", "TLS-Required: No\r\n", "optional"),
    ("R01-case-and-comment", "tls-required:\r\n (quickly) NO\r\n", "optional"),
    ("R01-other-value", "TLS-Required: Yes\r\n", "normal"),
    ("R07", "TLS-Required: No\r\nTLS-Required: No\r\n", "normal"),
    ("in-the-body", "\r\nTLS-Required: No\r\n", "normal"),
    ("absent", "", "normal")])
def test_queue_shows_what_the_header_asks_for(world, label, header, tls):
    domain = f"{label.lower()}.header.example"
    world.add_domain(domain, rules=LATER)
    id = _waiting(world, f"x@{domain}", header)
    assert world.daemon.ctl("queue", "show", id)["tls"] == tls
    assert re.search(rf"^tls +{tls}\b", world.daemon.run("queue", "show", id).stdout, re.MULTILINE)
    (accepted,) = world.daemon.log("accepted", id=id)
    assert accepted.get("tls", "normal") == tls


def test_tls_required_no_survives_a_restart_and_the_field_is_relayed(make_world):
    world = make_world()
    mx = world.add_domain("restart.example", rules=LATER)
    id = _waiting(world, "x@restart.example", "TLS-Required: No\r\n")
    world.daemon.stop()
    world.start()
    assert world.daemon.ctl("queue", "show", id)["tls"] == "optional"
    mx.script.rules.clear()
    _retried(world, id, "delivered")
    assert b"\r\nTLS-Required: No\r\n" in mx.messages[0].content


# --- bounces -----------------------------------------------------------------------------------
def test_bounce_of_a_requiretls_message_holds_only_headers(make_world):
    world = make_world()
    home = _home(world)
    mx = world.add_domain("refusing.example", "enforce")
    mx.script.extensions = (*EXTENSIONS, "REQUIRETLS")
    id = _required_message(world, "refusing.example", options=["RET=FULL"])
    mx.script.rules["RCPT"] = "550 5.1.1 no such user"
    _retried(world, id, "failed")
    bounce = _bounce(home)
    assert bounce.sender == ""
    assert b"Subject: test\r\n" in bounce.content and b"secret body" not in bounce.content


def test_bounce_of_a_requiretls_message_waits_as_one(make_world):
    world = make_world()
    home = _home(world)
    home.script.rules.update(LATER)
    mx = world.add_domain("refusing.example", "enforce")
    mx.script.extensions = (*EXTENSIONS, "REQUIRETLS")
    id = _required_message(world, "refusing.example")
    home.script.rules.update(LATER)
    mx.script.rules["RCPT"] = "550 5.1.1 no such user"
    _retried(world, id, "failed")
    (notice,) = wait_until(lambda: [m for m in world.queue() if m["origin"] == "notice"])
    assert world.daemon.ctl("queue", "show", notice["id"])["tls"] == "required"


# --- on the way out ----------------------------------------------------------------------------
def test_R01_tls_required_no_is_delivered_where_enforce_fails(make_world):
    world = make_world()
    mx = world.add_domain("broken.example", "enforce", leaf=Leaf.faulty("expired", "other.test"))
    world.wait_for_delivery(_submit(world, "x@broken.example", ""), "deferred")
    world.wait_for_delivery(_submit(world, "x@broken.example", "TLS-Required: No\r\n"), "delivered")
    assert mx.messages[0].session.tls, "TLS was not tried first"


def test_requiretls_goes_on_to_a_host_that_offers_it(make_world):
    world = make_world()
    mx = world.add_domain("offering.example", "enforce")
    mx.script.extensions = (*EXTENSIONS, "REQUIRETLS")
    id = _required_message(world, "offering.example")
    _retried(world, id, "delivered")
    assert "REQUIRETLS" in mx.messages[0].parameters.split() and mx.messages[0].session.tls


def test_R04_the_next_host_is_tried_when_one_lacks_requiretls(make_world):
    world = make_world()
    first, second = (world.add_mx(f"mx{n}.two.example") for n in (1, 2))
    second.script.extensions = (*EXTENSIONS, "REQUIRETLS")
    world.set_mx("two.example", first, second)
    world.publish("two.example", "enforce", [first.name, second.name])
    id = _required_message(world, "two.example")
    _retried(world, id, "delivered")
    assert "REQUIRETLS" in second.messages[0].parameters.split()
    assert first.sessions and "MAIL" not in first.sessions[0].verbs()


def test_R04_a_domain_without_requiretls_bounces_with_5_7_30(make_world):
    world = make_world()
    home = _home(world)
    mx = world.add_domain("lacking.example", "enforce")
    id = _required_message(world, "lacking.example")
    assert _retried(world, id, "failed")["dsn"] == "5.7.30"
    assert not mx.messages and all("MAIL" not in session.verbs() for session in mx.sessions)
    bounce = _bounce(home)
    assert "REQUIRETLS" in bounce.parameters.split()
    assert b"Status: 5.7.30\r\n" in bounce.content
    text = _text(bounce)
    assert "(REQUIRETLS, RFC 8689)" in text and "send it again without REQUIRETLS" in text


@pytest.mark.parametrize("label, mode, options", [
    ("R05", "enforce", {"starttls": "no"}),
    ("unauthenticated-mx", "", {}),
    ("testing-is-not-enough", "testing", {}),
    ("certificate", "testing", {"leaf": Leaf.faulty("expired", "other.test")})])
def test_requiretls_without_proven_tls_bounces_with_5_7_10(make_world, label, mode, options):
    world = make_world()
    home = _home(world)
    domain = f"{label.lower()}.example"
    mx = world.add_domain(domain, **options)
    mx.script.extensions = (*EXTENSIONS, "REQUIRETLS")
    id = _required_message(world, domain)
    if mode:
        world.publish(domain, mode, [mx.name])
    assert _retried(world, id, "failed")["dsn"] == "5.7.10"
    assert not mx.messages
    bounce = _bounce(home)
    assert b"Status: 5.7.10\r\n" in bounce.content and "REQUIRETLS" in bounce.parameters.split()


def test_a_bounce_is_not_lost_where_requiretls_is_not_to_be_had(make_world):
    world = make_world()
    home = world.add_domain("sender.example", starttls="no")
    mx = world.add_domain("lacking.example", "enforce")
    id = _required_message(world, "lacking.example")
    _retried(world, id, "failed")
    bounce = _bounce(home)
    assert "REQUIRETLS" not in bounce.parameters and b"secret body" not in bounce.content
    assert not mx.messages
