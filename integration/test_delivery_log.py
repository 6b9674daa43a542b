"""What the log says of a delivery: the TLS of the session that brought each recipient's outcome."""

import pytest

from peers.daemon import wait_until


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


def test_a_refused_connection_does_not_show_the_tls_of_the_host_before(world):
    first = world.add_mx("mx1.behind.example", rules={"MAIL": "451 4.3.0 later"})
    world.dns.set("mx2.behind.example", "A", world.address())
    world.set_mx("behind.example", first, "mx2.behind.example")
    line = world.wait_for_delivery(world.send("x@behind.example"), "deferred")
    assert first.sessions[0].tls
    assert line["host"] == "mx2.behind.example"
    assert "tls" not in line


def test_each_recipient_shows_the_tls_of_its_own_session(world):
    def rcpt(_session, argument):
        return "550 5.1.1 unknown" if argument[4] == "a" else None

    first = world.add_mx("mx1.two-tls.example", rules={"RCPT": rcpt, "DATA": "451 4.3.0 later"})
    second = world.add_mx("mx2.two-tls.example", starttls="no")
    world.set_mx("two-tls.example", first, second)
    id = world.send(["a@two-tls.example", "b@two-tls.example"])
    lines = wait_until(lambda: len(found := world.deliveries(id=id)) == 2 and found, "two lines")
    tls = {line["to"]: line["tls"] for line in lines}
    assert tls["a@two-tls.example"].startswith("TLSv1.")
    assert tls["b@two-tls.example"].startswith("none")


def test_a_plaintext_retry_shows_the_handshake_that_failed(world):
    world.add_domain("clear-retry.example", starttls="close")
    line = world.wait_for_delivery(world.send("x@clear-retry.example"), "delivered")
    assert line["tls"].startswith("failed")
