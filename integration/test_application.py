"""What a policy means for a delivery: hosts passed over, modes, routes (vectors A01-A30)."""

import pytest

from peers.ca import Leaf
from peers.daemon import wait_until
from peers.policy_host import Reply
from peers.vectors import rows



@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


def _two_hosts(world, domain: str, mode: str, listed: list[str], **first_host):
    """MX 10 mx1 (with first_host's faults), MX 20 mx2 (good)."""
    hosts = [world.add_mx(f"mx1.{domain}", **first_host), world.add_mx(f"mx2.{domain}")]
    world.set_mx(domain, *hosts)
    world.publish(domain, mode, [f"{name}.{domain}" for name in listed])
    return hosts


def _send(world, domain: str, result: str) -> dict:
    return world.wait_for_delivery(world.send(f"x@{domain}"), result)


def a01(world):
    first, second = _two_hosts(world, "a01.example", "enforce", ["mx2"])
    _send(world, "a01.example", "delivered")
    assert second.messages and first.sessions == []
    (count,) = wait_until(lambda: world.counts("a01.example"))
    assert (count.types, count.successes) == ({"validation-failure": 1}, 1)
    assert "sts-mx-mismatch" in count.reasons


def a03(world):
    first, second = _two_hosts(world, "a03.example", "enforce", ["mx1", "mx2"], starttls="no")
    _send(world, "a03.example", "delivered")
    assert second.messages and first.messages == []


def a04(world):
    mx = world.add_domain("a04.example", "enforce", starttls="no")
    line = _send(world, "a04.example", "deferred")
    assert "4.7" in str(line)
    assert [entry for entry in world.queue() if "a04.example" in str(entry)]
    assert mx.messages == []


def a06(world):
    mx = world.add_domain("a06.example", "testing", leaf=Leaf.faulty("expired", "mx1.a06.example"))
    world.daemon.ctl("policy", "override", "a06.example", "--level", "verify")
    _send(world, "a06.example", "deferred")
    assert mx.messages == []


def a07(world):
    mx = world.add_domain("a07.example", "none", leaf=Leaf.faulty("expired", "mx1.a07.example"))
    _send(world, "a07.example", "delivered")
    assert mx.messages
    (count,) = wait_until(lambda: world.counts("a07.example"))
    assert (count.policy, count.successes, count.failures) == ("no-policy-found", 1, 0)


def _implicit_mx(world, domain: str, listed: str):
    host = world.add_mx(domain)
    world.publish(domain, "enforce", [listed])
    return host


def a09(world):
    host = _implicit_mx(world, "a09.example", "mx.a09.example")
    line = _send(world, "a09.example", "deferred")
    assert "4.7" in str(line)
    assert host.sessions == []


def a10(world):
    domain = "a10.example"
    world.add_domain(domain, "enforce")
    _send(world, domain, "delivered")
    world.dns.remove(domain, "MX")
    world.dns.set(domain, "MX", [], ttl=0)
    forged = world.add_mx(domain)
    world.daemon.stop()
    world.start()  # with an empty DNS cache; the policy's is on disk
    _send(world, domain, "deferred")
    assert forged.sessions == []


def a12(world):
    domain = "a12.example"
    host = world.add_mx("target.a12.example", leaf=Leaf.good("mx.a12.example"))
    world.dns.set("mx.a12.example", "CNAME", "target.a12.example.")
    world.set_mx(domain, "mx.a12.example")
    world.publish(domain, "enforce", ["mx.a12.example"])
    _send(world, domain, "delivered")
    assert host.sessions[0].sni == "mx.a12.example"


def a13(world):
    host = world.add_domain("a13-real.example", starttls="no")
    world.dns.set("a13.example", "CNAME", "a13-real.example.")
    world.publish("a13.example", "enforce", [host.name])
    world.publish("a13-real.example", "none", [])
    _send(world, "a13.example", "deferred")
    assert world.dns.count("_mta-sts.a13-real.example", "TXT") == 0


def a15(world):
    world.publish("a15.example", "enforce", ["mx.elsewhere.example"])
    world.add_domain("sub.a15.example", starttls="no")
    _send(world, "sub.a15.example", "delivered")
    assert world.dns.count("_mta-sts.a15.example", "TXT") == 0


def a19(world):
    mx = world.add_mx("mx.a19.example", leaf=Leaf.faulty("self-signed", "mx.a19.example"))
    world.set_mx("a19-free.example", mx)
    world.set_mx("a19-strict.example", mx)
    world.publish("a19-strict.example", "enforce", [mx.name])
    for _ in range(2):
        _send(world, "a19-free.example", "delivered")
        _send(world, "a19-strict.example", "deferred")
    assert {address for m in mx.messages for address in m.to} == {"x@a19-free.example"}


def a21(world):
    listed = world.add_mx("mx2.a21.example")
    world.set_mx("a21.example", "relay.test", listed)
    world.publish("a21.example", "enforce", [listed.name])
    _send(world, "a21.example", "deferred")
    assert listed.sessions == []


def a22(world):
    mx = world.add_domain("a22.example", "enforce", starttls="alert")
    _send(world, "a22.example", "deferred")
    assert not any(session.plaintext_mail for session in mx.sessions)


def a24(world):
    world.add_domain("a24.example", "enforce")
    world.dns.fail("a24.example", "MX", "servfail")
    line = _send(world, "a24.example", "deferred")
    assert "4.4.3" in str(line)


def a27(world):
    mx = world.add_domain("a27.example", "enforce", starttls="no")
    world.daemon.ctl("policy", "override", "a27.example", "--level", "opportunistic",
                     "--until", "2099-12-31", "--reason", "ticket 123")
    _send(world, "a27.example", "delivered")
    assert mx.messages


def a28(world):
    mx = world.add_domain("xn--mnchen-3ya.example", "enforce")
    id = world.send("x@münchen.example", options=["SMTPUTF8"])
    world.wait_for_delivery(id, "delivered")
    assert mx.sessions[0].sni == "mx1.xn--mnchen-3ya.example"
    assert world.policy_hosts["mta-sts.xn--mnchen-3ya.example"].requests[0].sni == (
        "mta-sts.xn--mnchen-3ya.example")
    assert world.counts("xn--mnchen-3ya.example")[0].successes == 1


def a30(world):
    domain = "a30.example"
    hosts = [world.add_mx(f"mx{n}.{domain}") for n in (1, 2, 3)]
    world.set_mx(domain, *hosts, preferences=[10, 10, 10])
    world.publish(domain, "enforce", [hosts[1].name])
    for _ in range(6):
        _send(world, domain, "delivered")
    assert hosts[0].sessions == [] and hosts[2].sessions == []
    assert len(hosts[1].messages) == 6


OWN_WORLD = {"A16", "A18", "A25"}


@pytest.mark.parametrize("row", rows("application", but=OWN_WORLD))
def test_application(world, row):
    globals()[row["id"].lower()](world)


def test_application_A16(make_world):
    """Mail routed to another name obeys that name's policy (RFC 8461 section 3.4)."""
    world = make_world(routes=[{"match": "*.a16.example", "mx": "relay.a16-host.example"}])
    mx = world.add_domain("relay.a16-host.example", "enforce",
                          leaf=Leaf.faulty("expired", "mx1.relay.a16-host.example"))
    world.add_domain("sub.a16.example")
    world.wait_for_delivery(world.send("x@sub.a16.example"), "deferred")
    assert mx.messages == []
    assert world.counts("relay.a16-host.example")[0].failures == 1
    assert world.dns.count("_mta-sts.sub.a16.example", "TXT") == 0


def test_application_A18(make_world):
    """A route to a bare address knows no policy."""
    world = make_world(start=False)
    mx = world.add_mx("unnamed.example", leaf=Leaf.faulty("self-signed", "unnamed.example"))
    world.write_config(routes=[{"match": "a18.example", "host": mx.ip, "port": world.smtp_port}])
    world.start()
    world.publish("a18.example", "enforce", ["mx1.a18.example"])
    world.wait_for_delivery(world.send("x@a18.example"), "delivered")
    assert mx.messages


def test_application_A25(make_world):
    """A first fetch slower than the budget does not hold mail; it goes on in the background."""
    world = make_world(sts={"first_contact_wait": "1s"})
    mx = world.add_domain("a25.example", "enforce",
                          leaf=Leaf.faulty("expired", "mx1.a25.example"))
    host = world.policy_hosts["mta-sts.a25.example"]
    host.reply.byte_interval = 0.02
    world.wait_for_delivery(world.send("x@a25.example"), "delivered")
    assert len(mx.messages) == 1
    wait_until(world.policies, "the policy to arrive")
    world.wait_for_delivery(world.send("x@a25.example"), "deferred")
    assert len(host.requests) == 1


def test_route_to_a_host_obeys_that_hosts_policy(make_world):
    world = make_world(start=False)
    mx = world.add_mx("smart.example", leaf=Leaf.faulty("expired", "smart.example"))
    world.write_config(routes=[{"match": "*", "host": "smart.example",
                                "port": world.smtp_port}])
    world.start()
    world.publish("smart.example", "enforce", ["smart.example"])
    world.wait_for_delivery(world.send("x@anything.example"), "deferred")
    mx.use_certificate(Leaf.good("smart.example"))
    world.wait_for_delivery(world.send("x@anything.example"), "delivered")


def test_testing_mode_delivers_and_counts_what_would_have_failed(world):
    first, _ = _two_hosts(world, "trial.example", "testing", ["mx2"])
    _send(world, "trial.example", "delivered")
    assert first.messages  # testing does not pass a host over
    (count,) = wait_until(lambda: world.counts("trial.example"))
    assert (count.failures, count.types) == (1, {"validation-failure": 1})


def test_first_message_is_protected_by_the_policy_it_finds(world):
    mx = world.add_domain("first.example", "enforce", starttls="no")
    _send(world, "first.example", "deferred")
    assert mx.messages == []


def test_all_hosts_outside_the_policy_defer_without_a_connection(world):
    first, second = _two_hosts(world, "foreign.example", "enforce", ["mx9"])
    line = _send(world, "foreign.example", "deferred")
    assert "4.7" in str(line)
    assert first.sessions == [] and second.sessions == []


def test_strict_message_never_rides_on_a_weak_session(world):
    """Two domains share a host; one may use any TLS, the other needs a verified one."""
    mx = world.add_mx("mx.shared.example")
    for domain in ("shared-free.example", "shared-strict.example"):
        world.set_mx(domain, mx)
    world.publish("shared-strict.example", "enforce", [mx.name])
    _send(world, "shared-free.example", "delivered")
    _send(world, "shared-strict.example", "delivered")
    assert world.counts("shared-strict.example")[0].successes == 1


def test_invalid_policy_is_reported_and_mail_flows(world):
    world.add_domain("nonsense.example", "enforce", starttls="no")
    world.policy_hosts["mta-sts.nonsense.example"].reply = Reply(b"version: STSv1\nmode: enforce\n")
    _send(world, "nonsense.example", "delivered")
    types = {name for c in world.counts("nonsense.example") for name in c.types}
    assert "sts-policy-invalid" in types
