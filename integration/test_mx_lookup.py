"""Where mail goes: MX outcomes, order, loops, address filters (RFC 5321 section 5.1, RFC 7505)."""

import pytest

from peers.daemon import wait_until
from peers.mx import Drop, ThenDrop


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


def _send(world, domain: str, result: str, status: str = "") -> dict:
    line = world.wait_for_delivery(world.send(f"x@{domain}"), result)
    assert status in str(line), line
    return line


def test_missing_domain_is_permanent(world):
    _send(world, "nowhere.example", "failed", "5.1.2")


def test_no_mx_record_means_the_domain_itself(world):
    host = world.add_mx("implicit.example")
    _send(world, "implicit.example", "delivered")
    assert host.messages


@pytest.mark.parametrize("fault", ["servfail", "timeout", "refused", "garbage"])
def test_failed_mx_lookup_defers_and_never_takes_the_implicit_mx(world, fault):
    domain = f"{fault}.example"
    host = world.add_mx(domain)
    world.dns.fail(domain, "MX", fault)
    _send(world, domain, "deferred", "4.4.3")
    assert host.sessions == []


def test_mx_whose_names_do_not_exist_is_permanent(world):
    world.set_mx("ghosts.example", "no1.nothing.example", "no2.nothing.example")
    _send(world, "ghosts.example", "failed", "5.4.4")


def test_mx_whose_address_lookup_fails_is_temporary(world):
    world.set_mx("unresolved.example", "mx.unresolved.example", "no.nothing.example")
    world.dns.fail("mx.unresolved.example", "*", "servfail")
    _send(world, "unresolved.example", "deferred", "4.4.")


def test_missing_first_host_is_passed_over(world):
    good = world.add_mx("mx2.partly.example")
    world.set_mx("partly.example", "gone.nothing.example", good)
    _send(world, "partly.example", "delivered")
    assert good.messages


def test_null_mx_is_permanent(world):
    world.dns.set("refuses.example", "MX", "0 .")
    world.dns.set("refuses.example", "A", world.address())
    _send(world, "refuses.example", "failed", "5.1.10")


def test_root_among_other_exchanges_is_ignored(world):
    good = world.add_mx("mx.dotted.example")
    world.dns.set("dotted.example", "MX", ["0 .", f"10 {good.name}."])
    _send(world, "dotted.example", "delivered")


def test_hosts_are_tried_in_order_of_preference(world):
    hosts = [world.add_mx(f"mx{n}.order.example", rules={"GREETING": "421 4.3.2 busy"})
             for n in (1, 2, 3)]
    hosts[2].script.rules.clear()
    world.set_mx("order.example", hosts[2], hosts[0], hosts[1], preferences=[30, 10, 20])
    # Two sessions with a greeting are the limit of an attempt; 421 at the greeting is none.
    _send(world, "order.example", "delivered")
    assert [len(host.sessions) for host in hosts] == [1, 1, 1]
    assert hosts[0].sessions[0].started < hosts[1].sessions[0].started


def test_equal_preferences_share_the_load(world):
    hosts = [world.add_mx(f"mx{n}.equal.example",
                          rules={"DOT": lambda session, _: ThenDrop("250 2.0.0 taken")})
             for n in (1, 2)]
    world.set_mx("equal.example", *hosts, preferences=[10, 10])
    for _ in range(16):
        world.send("x@equal.example")
    wait_until(lambda: sum(len(h.sessions) for h in hosts) >= 16)
    assert all(host.sessions for host in hosts)


def test_every_address_of_a_host_is_tried(world):
    host = world.add_mx("mx.addresses.example")
    world.dns.set(host.name, "A", [world.address(), host.ip])
    world.set_mx("addresses.example", host)
    for _ in range(4):
        _send(world, "addresses.example", "delivered")


def test_ipv6_only_host_is_reached(world):
    host = world.add_mx("mx.six.example", ip="::1")
    world.set_mx("six.example", host)
    _send(world, "six.example", "delivered")
    assert host.messages


def test_ipv6_is_switched_off_for_a_domain(make_world):
    world = make_world(delivery={"domains": {"four.example": {"ipv6": False}}})
    host = world.add_mx("mx.six.example", ip="::1")
    for domain, result in (("six.example", "delivered"), ("four.example", "deferred")):
        world.set_mx(domain, host)
        _send(world, domain, result)
    assert [message.to for message in host.messages] == [["x@six.example"]]
    assert len(host.sessions) == 1


def test_domain_that_is_an_alias_is_followed(world):
    host = world.add_domain("real.example")
    world.dns.set("alias.example", "CNAME", "real.example.")
    _send(world, "alias.example", "delivered")
    assert host.messages[-1].to == ["x@alias.example"]


def test_truncated_answer_is_asked_again_over_tcp(world):
    host = world.add_domain("large.example")
    world.dns.fail("large.example", "MX", "truncate")
    _send(world, "large.example", "delivered")
    assert host.messages and world.dns.count("large.example", "MX") >= 2


@pytest.mark.parametrize("fault", ["wrong-id", "wrong-question"])
def test_forged_answers_are_not_believed(world, fault):
    world.add_domain(f"{fault}.example")
    world.dns.fail(f"{fault}.example", "MX", fault)
    _send(world, f"{fault}.example", "deferred", "4.4.3")


@pytest.mark.parametrize("literal", ["[127.0.0.1]", "[IPv6:::1]"])
def test_address_literals_are_refused(world, literal):
    try:
        id = world.send(f"x@{literal}")
    except AssertionError as refused:
        assert "55" in str(refused)
    else:
        world.wait_for_delivery(id, "failed")


@pytest.mark.parametrize("own_preference, result", [(10, "failed"), (20, "delivered")])
def test_own_name_and_worse_hosts_are_dropped(world, own_preference, result):
    domain = f"self{own_preference}.example"
    better = world.add_mx(f"mx1.{domain}")
    worse = world.add_mx(f"mx3.{domain}")
    if own_preference == 10:
        world.set_mx(domain, "relay.test", worse, preferences=[10, 20])
    else:
        world.set_mx(domain, better, "relay.test", worse, preferences=[10, 20, 30])
    _send(world, domain, result, "5.4.6" if result == "failed" else "")
    assert worse.sessions == []


def test_host_that_greets_with_our_name_is_a_loop(world):
    host = world.add_domain("mirror.example")
    host.script.name = "relay.test"
    _send(world, "mirror.example", "failed", "5.4.6")
    assert host.messages == []


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.1.2.3", "169.254.0.9", "0.0.0.0"])
def test_private_addresses_are_not_connected_to(make_world, ip):
    world = make_world(test_world={"allow_private_addresses": False})
    world.dns.set("mx.inside.example", "A", ip)
    world.set_mx("inside.example", "mx.inside.example")
    line = _send(world, "inside.example", "failed", "5.4.4")
    assert "private" in line["reply"]


def test_under_enforce_nothing_that_dns_says_about_hosts_makes_a_bounce(world):
    """Whoever forges DNS answers must not be able to turn mail back (RFC 8461 section 5.1)."""
    names = ["gone1.nothing.example", "gone2.nothing.example"]
    world.set_mx("forged.example", *names)
    world.publish("forged.example", "enforce", names)
    _send(world, "forged.example", "deferred", "4.4.4")
    world.set_mx("inward.example", "relay.test")
    world.publish("inward.example", "enforce", ["relay.test"])
    _send(world, "inward.example", "deferred", "4.4.6")


def test_routed_host_may_be_private(make_world):
    world = make_world(start=False, test_world={"allow_private_addresses": False})
    host = world.add_mx("inside.example")
    world.write_config(routes=[{"match": "*", "host": host.name, "port": world.smtp_port}])
    world.start()
    _send(world, "routed.example", "delivered")
    assert host.messages


# --- replies and what they move (items 43-47) ---------------------------------------------------
@pytest.mark.parametrize("trouble", ["421 4.3.2 busy", "554 5.3.2 no service", "drop"])
def test_greeting_trouble_moves_on_to_the_next_host(world, trouble):
    domain = f"greeting-{trouble[:3]}.example"
    rule = Drop() if trouble == "drop" else trouble
    first = world.add_mx(f"mx1.{domain}", rules={"GREETING": rule})
    second = world.add_mx(f"mx2.{domain}")
    world.set_mx(domain, first, second)
    _send(world, domain, "delivered")
    assert len(first.sessions) == 1 and second.messages


def test_refused_connection_moves_on_and_all_refused_defers(world):
    world.dns.set("dead.refused.example", "A", world.address())
    good = world.add_mx("mx2.refused.example")
    world.set_mx("refused.example", "dead.refused.example", good)
    _send(world, "refused.example", "delivered")
    world.set_mx("all-refused.example", "dead.refused.example")
    _send(world, "all-refused.example", "deferred", "4.4")


@pytest.mark.parametrize("stage", ["MAIL", "DATA", "DOT"])
def test_temporary_refusal_tries_the_next_host(world, stage):
    domain = f"temporary-{stage.lower()}.example"
    first = world.add_mx(f"mx1.{domain}", rules={stage: "451 4.3.0 later"})
    second = world.add_mx(f"mx2.{domain}")
    world.set_mx(domain, first, second)
    _send(world, domain, "delivered")
    assert second.messages


@pytest.mark.parametrize("stage", ["MAIL", "DATA", "DOT", "RCPT"])
def test_permanent_refusal_is_final_and_tries_no_other_host(world, stage):
    domain = f"permanent-{stage.lower()}.example"
    first = world.add_mx(f"mx1.{domain}", rules={stage: "550 5.7.1 never"})
    second = world.add_mx(f"mx2.{domain}")
    world.set_mx(domain, first, second)
    _send(world, domain, "failed", "5.7.1 never")
    assert second.sessions == []


def test_recipients_are_settled_one_by_one(world):
    def rcpt(_session, argument):
        return {"b": "451 4.2.2 full", "c": "550 5.1.1 unknown"}.get(argument[4])

    mx = world.add_domain("mixed.example", rules={"RCPT": rcpt})
    id = world.send([f"{name}@mixed.example" for name in "abc"])
    for name, result in (("a", "delivered"), ("b", "deferred"), ("c", "failed")):
        world.wait_for_delivery(id, result)
        assert any(f"{name}@mixed.example" in str(line)
                   for line in world.deliveries(id=id, result=result))
    assert mx.messages[0].to == ["a@mixed.example"]


def test_too_many_recipients_go_in_the_next_transaction_at_once(world):
    def rcpt(session, _argument):
        if len(session.transaction.recipients) >= 3:
            return "452 4.5.3 too many recipients"
        return None

    mx = world.add_domain("batches.example", rules={"RCPT": rcpt})
    world.send([f"u{n}@batches.example" for n in range(8)])
    wait_until(lambda: sum(len(m.recipients) for m in mx.messages) == 8)
    assert [len(m.recipients) for m in mx.messages] == [3, 3, 2]


def test_421_after_a_recipient_leaves_the_rest_for_the_next_host(world):
    first = world.add_mx("mx1.leaving.example", rules={"DATA": ThenDrop("421 4.3.2 going down")})
    second = world.add_mx("mx2.leaving.example")
    world.set_mx("leaving.example", first, second)
    _send(world, "leaving.example", "delivered")
    assert second.messages
