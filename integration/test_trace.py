"""`stsrelay trace`: one message from its acceptance to its end, and the dialogue of sessions."""

import re

import pytest

from peers.daemon import wait_until


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


def _events(world, id: str) -> list[str]:
    return [line["event"] for line in world.daemon.ctl("trace", id)["lines"]]


def test_a_message_is_followed_from_acceptance_to_delivery(world):
    world.add_domain("traced.example", "enforce")
    id = world.send("x@traced.example")
    world.wait_for_delivery(id, "delivered")
    wait_until(lambda: len(_events(world, id)) == 3)
    assert sorted(_events(world, id)) == ["accepted", "delivery", "session"]
    wait_until(lambda: world.daemon.ctl("trace", id)["message"] is None)
    text = world.daemon.run("trace", id).stdout
    assert re.search(r"^\S+Z  delivery .*host=mx1\.traced\.example .*result=delivered", text, re.M)
    assert text.endswith(f"{id} is not in the queue any more.\n")


def test_a_message_that_waits_says_when_it_is_tried_again(world):
    world.add_domain("waits.example", rules={"RCPT": "451 4.7.1 come back later"})
    id = world.send("x@waits.example")
    world.wait_for_delivery(id, "deferred")
    wait_until(lambda: "after 1 attempt;" in world.daemon.run("trace", id).stdout)
    text = world.daemon.run("trace", id).stdout
    assert "451 4.7.1 come back later" in text
    assert re.search(r"^still waits: x@waits\.example, after 1 attempt; next try .* \(in ", text,
                     re.M)


def test_a_bounce_leads_to_its_notice(world):
    world.add_domain("sender.example")
    world.add_domain("bounced.example", rules={"RCPT": "550 5.1.1 unknown"})
    id = world.send("x@bounced.example")
    wait_until(lambda: "notice" in _events(world, id))


def test_of_an_unknown_message_it_says_where_else_to_look(world):
    result = world.daemon.run("trace", "3KX0W7QZ2H")
    assert result.returncode == 1
    assert "log.trace_memory" in result.stderr
    assert world.daemon.run("trace").returncode == 2
    assert world.daemon.run("trace", "3KX0W7QZ2H", "--domain", "a.example").returncode == 2
    assert world.daemon.run("trace", "--domain", "a.example", "--for", "3d").returncode == 2


def test_the_dialogue_of_a_domain_is_traced_without_content(world):
    world.add_domain("spoken.example")
    other = world.add_domain("silent.example")
    started = world.daemon.run("trace", "--domain", "spoken.example", "--for", "10m")
    assert started.returncode == 0 and "traced for 600 s" in started.stdout
    id = world.send("x@spoken.example", body=b"the secret of the message\r\n", subject="hidden")
    world.wait_for_delivery(id, "delivered")
    world.wait_for_delivery(world.send("x@silent.example"), "delivered")
    text = world.daemon.run("trace", "--domain", "spoken.example").stdout
    for part in ("-> EHLO relay.test", "-> STARTTLS", "TLS TLSv1.3 ", "TLS certificate 0: subject",
                 "-> MAIL FROM:<alice@sender.example>", "-> RCPT TO:<x@spoken.example>",
                 "<- 250", "<- 354"):
        assert part in text, text
    assert "secret" not in text and "hidden" not in text.replace("(hidden)", "")
    assert "dialogue" in _events(world, id)
    assert other.messages and not world.daemon.log("dialogue", domain="silent.example")


def test_a_failed_handshake_shows_its_alert_in_the_trace_of_a_message(world):
    world.add_domain("alert.example", "enforce", starttls="alert")
    id = world.send("x@alert.example")
    world.wait_for_delivery(id, "deferred")
    world.daemon.run("trace", id, "--for", "1m")
    world.daemon.run("queue", "retry", id)
    wait_until(lambda: "dialogue" in _events(world, id))
    assert "TLS failed (tls-alert-" in world.daemon.run("trace", id).stdout
