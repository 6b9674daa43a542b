"""DANE for SMTP (RFC 7672) end to end: zones really signed, unbound validates, the daemon obeys.

A test sets up its world as others do; serve() then signs what the world's DNS was told, and the
daemon sees only that. Rows D01-D11 of the vectors appear by id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from peers.ca import Leaf
from peers.daemon import wait_until
from peers.dane import add_host, ee, filled, publish_tlsa, ta
from peers.mx import MxHost, ThenDrop
from peers.signed_zones import PROGRAMS, SignedZones, Zone
from peers.world import Count, World

pytestmark = pytest.mark.needs(*PROGRAMS)

# No certificate has these digests.
WRONG = "3 1 1 " + "00" * 32
# PKIX-TA(0) and PKIX-EE(1) are not for SMTP (RFC 7672 section 3.1.3); there is no usage 9.
UNUSABLE = ["1 1 1 " + "00" * 32, "0 0 1 " + "00" * 32, "9 1 1 " + "00" * 32]


@pytest.fixture(params=["resolver", "validate"])
def serve(make_world, tmp_path, request) -> Iterator[Callable[..., None]]:
    """serve(world, zones…): signs the world's DNS by zone, starts the daemon on it, which takes the
    resolver's word for what is secure, or checks the signatures itself."""
    with ExitStack() as running:
        def start(world: World, *zones: Zone | str, **config) -> None:
            given = [Zone(zone) if isinstance(zone, str) else zone for zone in zones]
            signed = running.enter_context(
                SignedZones(tmp_path / "zones", world.address(), filled(given, world.dns)))
            if request.param == "validate":
                own = {"dnssec": "validate", "trust_anchor": str(signed.anchors)}
                config["dns"] = own | config.get("dns", {})
            world.write_config(test_world={"resolvers": [f"{signed.address}:{signed.port}"]},
                               **config)
            world.start()

        yield start


@pytest.fixture
def world(make_world) -> World:
    """Not started yet: serve() does that."""
    return make_world(start=False)


# The connection is not kept for the next message.
LEAVING = {"DOT": ThenDrop("250 2.0.0 taken")}


def deliver(world: World, domain: str, *hosts: MxHost) -> None:
    """Sends a message, which the last of the hosts must get under TLS and the others must not."""
    world.wait_for_delivery(world.send(f"x@{domain}"), "delivered")
    assert hosts[-1].messages and hosts[-1].messages[-1].session.tls
    assert [host.messages for host in hosts[:-1]] == [[]] * (len(hosts) - 1)


def defer(world: World, domain: str, *hosts: MxHost) -> dict[str, str]:
    """Sends a message, which must stay in the queue; no host may be told even its sender."""
    id = world.send(f"x@{domain}")
    line = world.wait_for_delivery(id, "deferred")
    assert line["dsn"].startswith("4."), line
    assert [entry["id"] for entry in world.queue()] == [id]
    for host in hosts:
        assert not any("MAIL" in session.verbs() for session in host.sessions), host.name
    return line


def results(world: World, domain: str) -> dict[str, Count]:
    """What was counted for the domain, by type of policy."""
    counts = wait_until(lambda: world.counts(domain))
    return {count.policy: count for count in counts}


# --- a secure MX RRset -------------------------------------------------------------------------
BAD_LEAVES = {
    "expired": Leaf.faulty("expired", "mx1.d01.test"),
    "misnamed": Leaf.good("elsewhere.test"),
    "self-signed": Leaf.faulty("self-signed", "mx1.d01.test"),
    "common-name-only": Leaf.faulty("common-name-only", "mx1.d01.test"),
    "expired-and-misnamed": Leaf.faulty("expired", "elsewhere.test"),
}


@pytest.mark.parametrize("fault", BAD_LEAVES)
def test_D01_dane_ee_decides_whatever_webpki_says_of_the_certificate(world, serve, fault):
    leaf = BAD_LEAVES[fault]
    host = add_host(world, "mx1.d01.test", leaf)
    world.set_mx("d01.test", host)
    world.publish("d01.test", "enforce", [host.name])
    serve(world, "d01.test")
    deliver(world, "d01.test", host)
    counted = results(world, "d01.test")
    assert set(counted) == {"tlsa", "sts"}
    tlsa, sts = counted["tlsa"], counted["sts"]
    assert (tlsa.domain, tlsa.successes, tlsa.failures) == ("mx1.d01.test", 1, 0)
    assert [text.lower() for text in tlsa.strings] == [ee(world, leaf)]
    assert (sts.domain, sts.successes, sts.failures) == ("d01.test", 0, 1)
    assert "mode: enforce" in sts.strings


def test_D03_a_host_whose_tlsa_records_are_bogus_is_passed_over(world, serve):
    """STS would be satisfied by it; it must not rescue the host (RFC 7672 section 2.2)."""
    first, second = (add_host(world, f"mx{n}.d03.test") for n in (1, 2))
    world.set_mx("d03.test", first, second)
    world.publish("d03.test", "enforce", [first.name, second.name])
    serve(world, "d03.test", Zone("_25._tcp.mx1.d03.test", fault="broken"))
    deliver(world, "d03.test", first, second)
    assert first.sessions == []
    tlsa = [count for count in world.counts("d03.test") if count.policy == "tlsa"]
    by_host = {count.domain: (count.successes, count.failures, count.types) for count in tlsa}
    assert by_host == {"mx1.d03.test": (0, 1, {"dnssec-invalid": 1}), "mx2.d03.test": (1, 0, {})}


@pytest.mark.parametrize("fault", ["broken", "expired", "wrong-ds"])
def test_D03_mail_waits_when_the_only_hosts_tlsa_records_are_bogus(world, serve, fault):
    host = add_host(world, "mx1.d03.test")
    world.set_mx("d03.test", host)
    world.publish("d03.test", "enforce", [host.name])
    serve(world, "d03.test", Zone("_25._tcp.mx1.d03.test", fault=fault))
    line = defer(world, "d03.test", host)
    assert host.sessions == []
    assert "TLSA" in line["reply"] and "mx1.d03.test" in line["reply"]
    assert results(world, "d03.test")["tlsa"].types == {"dnssec-invalid": 1}


@pytest.mark.parametrize("denial", ["nsec", "nsec3"])
@pytest.mark.parametrize("leaf, result", [(Leaf.good("mx1.d04.test"), deliver),
                                          (Leaf.faulty("expired", "mx1.d04.test"), defer)],
                         ids=["good", "expired"])
def test_D04_where_tlsa_is_denied_securely_sts_governs(world, serve, denial, leaf, result):
    host = world.add_mx("mx1.d04.test", leaf=leaf)
    world.set_mx("d04.test", host)
    world.publish("d04.test", "enforce", [host.name])
    serve(world, Zone("d04.test", denial=denial))
    result(world, "d04.test", host)
    counted = results(world, "d04.test")
    assert set(counted) == {"sts"}
    assert (counted["sts"].successes, counted["sts"].failures) == (
        (1, 0) if result is deliver else (0, 1))


@pytest.mark.parametrize("leaf, result", [(Leaf.good("mx2.d07.test"), deliver),
                                          (Leaf.faulty("self-signed", "mx2.d07.test"), defer)],
                         ids=["good", "self-signed"])
def test_D07_the_host_with_tlsa_goes_by_dane_and_the_other_by_sts(world, serve, leaf, result):
    first = add_host(world, "mx1.d07.test", Leaf.faulty("self-signed", "mx1.d07.test"),
                     rules=LEAVING)
    second = world.add_mx("mx2.d07.test", leaf=leaf)
    world.set_mx("d07.test", first, second)
    world.publish("d07.test", "enforce", [first.name, second.name])
    serve(world, "d07.test")
    deliver(world, "d07.test", second, first)
    assert second.sessions == []
    world.call(first.stop())
    result(world, "d07.test", second)
    assert second.sessions


def test_D09_dane_is_enforced_although_sts_only_tests(world, serve):
    host = world.add_mx("mx1.d09.test")
    publish_tlsa(world, host.name, WRONG)
    world.set_mx("d09.test", host)
    world.publish("d09.test", "testing", [host.name])
    serve(world, "d09.test")
    defer(world, "d09.test", host)
    counted = results(world, "d09.test")
    assert (counted["tlsa"].types, counted["tlsa"].failures) == ({"validation-failure": 1}, 1)
    assert (counted["sts"].successes, counted["sts"].failures) == (1, 0)
    assert "mode: testing" in counted["sts"].strings


def test_D09_what_only_sts_testing_faults_is_delivered_and_reported(world, serve):
    host = add_host(world, "mx1.d09.test", Leaf.faulty("expired", "mx1.d09.test"))
    world.set_mx("d09.test", host)
    world.publish("d09.test", "testing", [host.name])
    serve(world, "d09.test")
    deliver(world, "d09.test", host)
    counted = results(world, "d09.test")
    assert (counted["tlsa"].successes, counted["tlsa"].failures) == (1, 0)
    assert counted["sts"].types == {"certificate-expired": 1}


def test_D10_one_mx_name_that_does_not_exist_leaves_the_others_usable(world, serve):
    good = [add_host(world, f"mx{n}.d10.test", rules=LEAVING) for n in (2, 3)]
    world.set_mx("d10.test", "mx1.d10.test", *good)
    serve(world, "d10.test")
    deliver(world, "d10.test", good[0])
    world.call(good[0].stop())
    deliver(world, "d10.test", good[1])


def test_no_matching_record_defers_with_4_7_5_and_says_so(world, serve):
    host = world.add_mx("mx1.wrong.test")
    publish_tlsa(world, host.name, WRONG)
    world.set_mx("wrong.test", host)
    serve(world, "wrong.test")
    line = defer(world, "wrong.test", host)
    assert line["dsn"] == "4.7.5"
    assert "mx1.wrong.test" in line["reply"] and "dane-no-match" in line["reply"]
    (tlsa,) = results(world, "wrong.test").values()
    assert (tlsa.policy, tlsa.types, tlsa.reasons) == (
        "tlsa", {"validation-failure": 1}, {"dane-no-match"})


def test_one_matching_record_among_others_is_enough(world, serve):
    host = world.add_mx("mx1.several.test")
    publish_tlsa(world, host.name, WRONG, *UNUSABLE, ee(world, Leaf.good(host.name)))
    world.set_mx("several.test", host)
    serve(world, "several.test")
    deliver(world, "several.test", host)


@pytest.mark.parametrize("starttls", ["no", "454 4.7.0 not now", "alert", "garbage"])
def test_a_host_with_tlsa_records_never_gets_mail_in_clear(world, serve, starttls):
    host = add_host(world, "mx1.strip.test", starttls=starttls)
    world.set_mx("strip.test", host)
    serve(world, "strip.test")
    assert defer(world, "strip.test", host)["dsn"].startswith("4.7.")
    assert len(host.sessions) == 1  # nor is it tried a second time without TLS


# --- DANE-TA -----------------------------------------------------------------------------------
@pytest.mark.parametrize("names, result", [
    (["mx1.anchor.test"], deliver), (["*.anchor.test"], deliver),
    (["anchor.test"], deliver),  # the next-hop domain (RFC 7672 section 3.2.2)
    (["elsewhere.test"], defer), (["*.test"], defer)],
    ids=["host", "wildcard", "next-hop", "elsewhere", "too-wide"])
def test_dane_ta_checks_names(world, serve, names, result):
    leaf = Leaf.good(*names)
    host = world.add_mx("mx1.anchor.test", leaf=leaf)
    publish_tlsa(world, host.name, ta(world, leaf))
    world.set_mx("anchor.test", host)
    serve(world, "anchor.test")
    line = result(world, "anchor.test", host)
    (tlsa,) = results(world, "anchor.test").values()
    assert tlsa.policy == "tlsa"
    if result is defer:
        assert line["dsn"] == "4.7.5"
        assert tlsa.types == {"certificate-host-mismatch": 1}


def test_dane_ta_checks_dates(world, serve):
    leaf = Leaf.faulty("expired", "mx1.anchor.test")
    host = world.add_mx("mx1.anchor.test", leaf=leaf)
    publish_tlsa(world, host.name, ta(world, leaf))
    world.set_mx("anchor.test", host)
    serve(world, "anchor.test")
    defer(world, "anchor.test", host)
    (tlsa,) = results(world, "anchor.test").values()
    assert tlsa.types == {"certificate-expired": 1}


# --- unusable records --------------------------------------------------------------------------
def test_unusable_records_demand_tls_but_prove_nothing(world, serve):
    host = world.add_mx("mx1.odd.test", leaf=Leaf.faulty("self-signed", "elsewhere.test"))
    publish_tlsa(world, host.name, *UNUSABLE)
    world.set_mx("odd.test", host)
    serve(world, "odd.test")
    deliver(world, "odd.test", host)
    (tlsa,) = results(world, "odd.test").values()
    assert (tlsa.policy, tlsa.types) == ("tlsa", {"tlsa-invalid": 1})


def test_unusable_records_and_no_starttls_defer(world, serve):
    host = world.add_mx("mx1.odd.test", starttls="no")
    publish_tlsa(world, host.name, *UNUSABLE)
    world.set_mx("odd.test", host)
    serve(world, "odd.test")
    defer(world, "odd.test", host)


def test_unusable_records_leave_authentication_to_sts(world, serve):
    host = world.add_mx("mx1.odd.test", leaf=Leaf.faulty("self-signed", "mx1.odd.test"))
    publish_tlsa(world, host.name, *UNUSABLE)
    world.set_mx("odd.test", host)
    world.publish("odd.test", "enforce", [host.name])
    serve(world, "odd.test")
    defer(world, "odd.test", host)
    assert results(world, "odd.test")["sts"].types == {"certificate-not-trusted": 1}


# --- an insecure MX RRset ----------------------------------------------------------------------
INSECURE = Zone("d05.test", fault="unsigned")


@pytest.mark.parametrize("leaf, record, result", [
    (Leaf.good("mx1.host.test"), ee, deliver),
    (Leaf.faulty("self-signed", "mx1.host.test"), ee, defer),
    (Leaf.good("mx1.host.test"), lambda *_: WRONG, defer)],
    ids=["both-pass", "only-dane-passes", "only-sts-passes"])
def test_D05_behind_insecure_mx_records_both_dane_and_sts_must_pass(world, serve, leaf, record,
                                                                    result):
    host = world.add_mx("mx1.host.test", leaf=leaf)
    publish_tlsa(world, host.name, record(world, leaf))
    world.set_mx("d05.test", host)
    world.publish("d05.test", "enforce", [host.name])
    serve(world, INSECURE, "host.test")
    result(world, "d05.test", host)
    assert set(results(world, "d05.test")) == {"tlsa", "sts"}


@pytest.mark.parametrize("tlsa", ["without-tlsa", "with-tlsa"])
def test_D06_a_forged_mx_record_leads_to_no_delivery(world, serve, tlsa):
    """The forger's own TLSA records do not help either: the policy does not list the host."""
    forger = add_host(world, "mx.forger.test") if tlsa == "with-tlsa" else (
        world.add_mx("mx.forger.test"))
    world.set_mx("d05.test", forger)
    world.publish("d05.test", "enforce", ["mx1.host.test"])
    serve(world, INSECURE, "forger.test")
    line = defer(world, "d05.test", forger)
    assert forger.sessions == []
    assert "mx.forger.test" in line["reply"] and "d05.test" in line["reply"]


# --- aliases -----------------------------------------------------------------------------------
@pytest.mark.parametrize("owner", ["mx1.alias.test", "real.host.test"])
@pytest.mark.parametrize("record, result", [(ee, deliver), (lambda *_: WRONG, defer)],
                         ids=["match", "no-match"])
def test_tlsa_records_of_an_aliased_host_are_found_at_either_name(world, serve, owner, record,
                                                                  result):
    """RFC 7672 section 2.2.2: the fully expanded name first, then the name in the MX record."""
    leaf = Leaf.good("elsewhere.test")
    host = world.add_mx("real.host.test", leaf=leaf)
    world.dns.set("mx1.alias.test", "CNAME", "real.host.test.")
    publish_tlsa(world, owner, record(world, leaf))
    world.set_mx("alias.test", "mx1.alias.test")
    serve(world, "alias.test", "host.test")
    result(world, "alias.test", host)
    (tlsa,) = results(world, "alias.test").values()
    assert (tlsa.policy, tlsa.domain) == ("tlsa", owner)
    # RFC 7672 section 8.1: SNI is the TLSA base domain.
    assert host.sessions[0].sni == owner


def test_where_sts_decides_as_well_an_alias_is_asked_for_by_its_mx_name(world, serve):
    """Behind insecure MX records the certificate must hold the MX host's name, so this is the SNI
    (RFC 8461 section 7.1), although the TLSA records are those of the expanded name."""
    leaf = Leaf.good("mx1.alias.test")
    host = world.add_mx("real.host.test", leaf=leaf)
    world.dns.set("mx1.alias.test", "CNAME", "real.host.test.")
    publish_tlsa(world, "real.host.test", ee(world, leaf))
    world.set_mx("d05.test", "mx1.alias.test")
    world.publish("d05.test", "enforce", ["mx1.alias.test"])
    serve(world, INSECURE, "alias.test", "host.test")
    deliver(world, "d05.test", host)
    assert results(world, "d05.test")["tlsa"].domain == "real.host.test"
    assert host.sessions[0].sni == "mx1.alias.test"


# --- broken zones, untrusted resolvers ---------------------------------------------------------
@pytest.mark.parametrize("fault", ["expired", "broken", "wrong-ds"])
@pytest.mark.parametrize("broken", ["domain.test", "host.test"])
def test_bogus_answers_keep_mail_in_the_queue(world, serve, fault, broken):
    """Neither the MX records nor the addresses of a zone that fails validation are used."""
    host = add_host(world, "mx1.host.test")
    world.set_mx("domain.test", host)
    serve(world, *(Zone(name, fault=fault if name == broken else "")
                   for name in ("domain.test", "host.test")))
    defer(world, "domain.test", host)
    assert host.sessions == []


def test_a_bogus_host_is_passed_over_for_a_sound_one(world, serve):
    first, second = add_host(world, "mx1.host.test"), add_host(world, "mx2.domain.test")
    world.set_mx("domain.test", first, second)
    serve(world, "domain.test", Zone("host.test", fault="expired"))
    deliver(world, "domain.test", first, second)
    assert first.sessions == []


def test_a_bogus_policy_record_is_one_that_could_not_be_had(world, serve):
    host = world.add_mx("mx1.domain.test", starttls="no")
    world.set_mx("domain.test", host)
    policy_host = world.publish("domain.test", "enforce", [host.name])
    serve(world, "domain.test", Zone("_mta-sts.domain.test", fault="broken"))
    world.wait_for_delivery(world.send("x@domain.test"), "delivered")
    assert host.messages and policy_host.requests == []


def test_a_bogus_policy_record_does_not_end_a_known_policy(make_world, serve):
    world = make_world()
    host = world.add_mx("mx1.domain.test")
    world.set_mx("domain.test", host)
    world.publish("domain.test", "enforce", [host.name])
    world.wait_for_delivery(world.send("x@domain.test"), "delivered")
    world.daemon.stop()
    host.use_certificate(Leaf.faulty("self-signed", host.name))
    host.sessions.clear()
    serve(world, "domain.test", Zone("_mta-sts.domain.test", fault="broken"))
    assert defer(world, "domain.test", host)["policy_mode"] == "enforce"


def test_a_host_in_an_unsigned_zone_has_no_dane(world, serve):
    host = world.add_mx("mx1.host.test", leaf=Leaf.faulty("self-signed", "mx1.host.test"))
    publish_tlsa(world, host.name, WRONG)
    world.set_mx("domain.test", host)
    serve(world, "domain.test", Zone("host.test", fault="unsigned"))
    deliver(world, "domain.test", host)
    assert set(results(world, "domain.test")) == {"no-policy-found"}


@pytest.mark.parametrize("serve", ["resolver"], indirect=True)
def test_the_word_of_a_resolver_that_is_not_trusted_does_not_count(world, serve):
    """It says AD; but dns.trust_ad names another one. Then there is no DANE, and no bad guess."""
    host = world.add_mx("mx1.far.test", leaf=Leaf.faulty("self-signed", "mx1.far.test"))
    publish_tlsa(world, host.name, WRONG)
    world.set_mx("far.test", host)
    serve(world, "far.test", dns={"trust_ad": ["127.0.0.9"]})
    deliver(world, "far.test", host)
    assert set(results(world, "far.test")) == {"no-policy-found"}
