"""The signed zones that the DANE tests stand on are what they say, as unbound sees them."""

from __future__ import annotations

from collections.abc import Iterator

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from peers.network import Network
from peers.signed_zones import PROGRAMS, SignedZones, Zone, tlsa

pytestmark = pytest.mark.needs(*PROGRAMS)


def records(name: str) -> tuple[str, ...]:
    return (f"{name}. IN MX 10 mx.{name}.", f"mx.{name}. IN A 192.0.2.1",
            f"alias.{name}. IN CNAME mx.{name}.", f"*.wild.{name}. IN A 192.0.2.2",
            tlsa(f"mx.{name}", 3, 1, 1, bytes(32)))


ZONES = [
    Zone("good.test", records("good.test")),
    Zone("hashed.test", records("hashed.test"), denial="nsec3"),
    Zone("open.test", records("open.test"), denial="opt-out"),
    Zone("plain.test", records("plain.test"), fault="unsigned"),
    Zone("below.open.test", records("below.open.test"), fault="unsigned"),
    Zone("expired.test", records("expired.test"), fault="expired"),
    Zone("broken.test", records("broken.test"), fault="broken"),
    Zone("wrong.test", records("wrong.test"), fault="wrong-ds"),
]


@pytest.fixture(scope="module")
def zones(tmp_path_factory) -> Iterator[SignedZones]:
    network = Network()
    with SignedZones(tmp_path_factory.mktemp("zones"), network.address(), ZONES) as running:
        yield running


SECURE, INSECURE, BOGUS = "secure", "insecure", "bogus"


def ask(zones: SignedZones, name: str, kind: str) -> tuple[str, dns.message.Message]:
    query = dns.message.make_query(name, kind, want_dnssec=True)
    query.flags |= dns.flags.AD
    response, _ = dns.query.udp_with_fallback(query, zones.address, 10, zones.port)
    if response.rcode() == dns.rcode.SERVFAIL:
        return BOGUS, response
    return (SECURE if response.flags & dns.flags.AD else INSECURE), response


@pytest.mark.parametrize("zone, expected", [
    ("good.test", SECURE), ("hashed.test", SECURE), ("open.test", SECURE),
    ("plain.test", INSECURE), ("below.open.test", INSECURE),
    ("expired.test", BOGUS), ("broken.test", BOGUS), ("wrong.test", BOGUS),
])
@pytest.mark.parametrize("prefix, kind", [
    ("", "MX"), ("mx.", "A"), ("alias.", "A"), ("_25._tcp.mx.", "TLSA"), ("x.wild.", "A"),
    ("mx.", "AAAA"), ("no.", "A"),
])
def test_records_and_absences_are_as_secure_as_their_zone(zones, zone, expected, prefix, kind):
    if zone == "open.test" and prefix in ("x.wild.", "no."):
        expected = INSECURE  # RFC 5155 §9.2: opt-out covers it
    assert ask(zones, prefix + zone, kind)[0] == expected


def test_a_caller_gets_the_tlsa_records_it_gave(zones):
    _, response = ask(zones, "_25._tcp.mx.good.test", "TLSA")
    rows = [rr for rrset in response.answer if rrset.rdtype == dns.rdatatype.TLSA for rr in rrset]
    assert [(rr.usage, rr.selector, rr.mtype, rr.cert) for rr in rows] == [(3, 1, 1, bytes(32))]


def test_the_root_is_secure_by_the_tests_own_anchor(zones):
    assert ask(zones, ".", "DNSKEY")[0] == SECURE
    owner, _, kind, *_ = zones.anchors.read_text().split()
    assert (owner, kind) == (".", "DS")
