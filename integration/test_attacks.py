"""Downgrade attacks on MTA-STS, one test each, named after the attack.

Everywhere the same victim: a domain whose enforce policy the relay learned in peace. Then someone
on the way answers DNS, stands in for the MX host or holds back the policy. No mail may reach him,
none may be lost, the policy stays in force, and in peace again the same message arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from ssl import TLSVersion

import pytest

from peers.ca import Leaf
from peers.mx import MxHost, Script, ThenDrop
from peers.policy_host import NO_LENGTH, Reply, policy_body
from peers.world import World

DOMAIN = "victim.example"
MX = f"mx1.{DOMAIN}"
# Nothing that the attack is about is kept by a DNS cache, and no connection by the pool.
FRESH = {"ttl": 0}
LEAVING = {"DOT": ThenDrop("250 2.0.0 taken")}


class Siege:
    """The victim in peace: one message delivered, the policy known."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.honest = world.add_mx(MX, rules=LEAVING)
        self.policy_host = world.publish(DOMAIN, "enforce", [MX], **FRESH)
        world.dns.set(self.policy_host.name, "A", world.dns.records(self.policy_host.name, "A"),
                      **FRESH)
        self.attackers: list[MxHost] = []
        self._peace()
        world.wait_for_delivery(world.send(f"x@{DOMAIN}"), "delivered")
        self._policy_is_in_force()

    def _peace(self) -> None:
        self.world.dns.set(MX, "A", self.honest.ip, **FRESH)
        self.world.dns.remove(MX, "CNAME")
        self.world.set_mx(DOMAIN, MX, **FRESH)
        self.world.dns.remove(DOMAIN, "A")

    def attacker(self, name: str, leaf: Leaf | None = None, **options) -> MxHost:
        """A host of the attacker's that takes every mail; its name leads there."""
        host = self.world.add_mx(name, leaf=leaf, **options)
        self.world.dns.set(name, "A", host.ip, **FRESH)
        self.attackers.append(host)
        return host

    def stand_in(self, leaf: Leaf | None = None, **options) -> MxHost:
        """The attacker answers at the victim's MX host, without a certificate for it."""
        return self.attacker(MX, leaf or Leaf.faulty("self-signed", MX), **options)

    def announce(self, id: str) -> None:
        self.world.dns.set(f"_mta-sts.{DOMAIN}", "TXT", f"v=STSv1; id={id};", **FRESH)

    def holds(self) -> dict[str, str]:
        """A message under attack waits, nobody has read any of it, and later it arrives."""
        self.honest.sessions.clear()
        id = self.world.send(f"x@{DOMAIN}", body=b"for the victim only\r\n")
        line = self.world.wait_for_delivery(id, "deferred")
        assert line["dsn"].startswith("4."), line
        assert [entry["id"] for entry in self.world.queue()] == [id]
        assert self.honest.messages == []
        for host in self.attackers:
            assert not any("MAIL" in session.verbs() for session in host.sessions)
        self._policy_is_in_force()
        self._arrives_in_peace(id)
        return line

    def _policy_is_in_force(self) -> None:
        policy = self.world.policies()[DOMAIN]
        assert (policy["mode"], policy["id"]) == ("enforce", "1")
        assert self.world.daemon.ctl("policy", "show", DOMAIN)["max_age"] == 86400

    def _arrives_in_peace(self, id: str) -> None:
        self._peace()
        self.world.daemon.stop()  # DNS may be believed for a while; a new process believes nothing
        self.world.start()
        self.world.daemon.ctl("queue", "retry", id)
        self.world.wait_for_delivery(id, "delivered")
        (message,) = self.honest.messages
        assert message.session.tls and b"for the victim only" in message.content
        assert not any(host.messages for host in self.attackers)


@pytest.fixture
def siege(make_world) -> Siege:
    return Siege(make_world(sts={"first_contact_wait": "2s"}))


# --- the policy is held back -------------------------------------------------------------------
def _dead(siege: Siege) -> None:
    siege.world.call(siege.policy_host.stop())


def _reply(**options) -> Callable[[Siege], None]:
    def change(siege: Siege) -> None:
        siege.policy_host.reply = Reply(policy_body("none", []), **options)
    return change


@pytest.mark.parametrize("block", [
    _dead, _reply(status=503), _reply(status=404), _reply(fault="silent"),
    _reply(fault="silent-tcp"), _reply(fault="close"),
    lambda siege: siege.world.dns.remove(siege.policy_host.name, "A")],
    ids=["refused", "503", "404", "silent", "silent-tcp", "closed", "no-address"])
def test_blocked_get(siege, block):
    """The policy did change; the one GET that would tell is blocked (RFC 8461 section 5.1)."""
    siege.announce("2")
    block(siege)
    siege.stand_in()
    siege.holds()


@pytest.mark.parametrize("ids", [["2"], ["2", "3", "4"], ["20990101000000", "0", "1"]],
                         ids=["new", "each-time-another", "there-and-back"])
def test_expired_id(siege, ids):
    """The attacker announces new ids, the policy host is dead: the known policy stays."""
    _dead(siege)
    siege.stand_in()
    for id in ids:
        siege.announce(id)
        line = siege.world.wait_for_delivery(siege.world.send(f"y@{DOMAIN}"), "deferred")
        assert (line["policy_mode"], line["policy_id"]) == ("enforce", "1")
        siege.world.daemon.ctl("queue", "remove", line["id"])
    siege.holds()


@pytest.mark.parametrize("answer", ["nxdomain", "servfail", "timeout", "malformed", "two",
                                    "unrelated"])
def test_forged_nxdomain(siege, answer):
    """The TXT record is gone, or what comes in its stead says nothing (RFC 8461 section 3.1)."""
    name = f"_mta-sts.{DOMAIN}"
    if answer in ("servfail", "timeout"):
        siege.world.dns.fail(name, "TXT", answer)
    else:
        siege.world.dns.remove(name, "TXT")
    texts = {"malformed": ["v=STSv1; id=;"], "two": ["v=STSv1; id=2;", "v=STSv1; id=3;"],
             "unrelated": ["v=spf1 -all"]}.get(answer)
    if texts:
        siege.world.dns.set(name, "TXT", texts, **FRESH)
    siege.world.dns.remove(siege.policy_host.name, "A")
    siege.stand_in()
    siege.holds()


BODY = policy_body("enforce", [MX])
assert BODY.endswith(b"max_age: 86400\r\n")


@pytest.mark.parametrize("reply", [
    Reply(BODY[:-6], content_length=len(BODY), fault="cut"),
    Reply(BODY[:-6], content_length=NO_LENGTH, fault="cut"),
    Reply(BODY[:-6], content_length=len(BODY)),
    Reply(policy_body("none", []) + b"x: y\r\n" * 11000)],
    ids=["cut", "cut-without-length", "closed-early", "too-long"])
def test_truncated_policy_body(siege, reply):
    """Cut at the right octet, max_age is 8 seconds: what was cut is never read as a policy."""
    siege.announce("2")
    siege.policy_host.reply = reply
    siege.stand_in()
    siege.holds()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(siege, status):
    """The way to an opt-out on another host is not followed (RFC 8461 section 3.3)."""
    elsewhere = siege.world.add_policy_host("mta-sts.attacker.example")
    elsewhere.reply = Reply(policy_body("none", []))
    location = f"https://{elsewhere.name}:{siege.world.https_port}/.well-known/mta-sts.txt"
    siege.policy_host.reply = Reply(policy_body("none", []), status=status,
                                    headers=[f"Location: {location}"])
    siege.announce("2")
    siege.stand_in()
    siege.holds()
    assert elsewhere.connections == 0


@pytest.mark.parametrize("fault", ["self-signed", "unknown-ca", "expired", "common-name-only",
                                   "other-name"])
def test_impersonated_policy_host(siege, fault):
    """An opt-out from whoever cannot prove to be the policy host is none."""
    name = siege.policy_host.name
    siege.policy_host.use_certificate(
        Leaf.good("mta-sts.attacker.example") if fault == "other-name" else
        Leaf.faulty(fault, name))
    siege.policy_host.reply = Reply(policy_body("none", []))
    siege.announce("2")
    siege.stand_in()
    siege.holds()


def test_private_address_policy_host(make_world):
    """The policy host's name is made to lead into the relay's own network."""
    siege = Siege(make_world())
    world = siege.world
    world.daemon.stop()
    # A route, so that the MX host itself may have a private address.
    world.write_config(test_world={"allow_private_addresses": False},
                       routes=[{"match": DOMAIN, "mx": DOMAIN}])
    world.start()
    siege.policy_host.reply = Reply(policy_body("none", []))
    connections = siege.policy_host.connections
    siege.announce("2")
    siege.stand_in()
    siege.holds()
    assert siege.policy_host.connections == connections
    (refusal,) = {count["reason_code"] for counts in world.counts(DOMAIN)
                  for count in counts.details if count["result_type"] == "sts-policy-fetch-error"}
    assert refusal.startswith("address-refused")


# --- the mail is led elsewhere -----------------------------------------------------------------
@pytest.mark.parametrize("certificate", ["for-the-domain", "none"])
def test_forged_nodata(siege, certificate):
    """No MX records, so the domain is its own MX host; its address is the attacker's."""
    siege.world.dns.set(DOMAIN, "MX", [], **FRESH)
    host = siege.attacker(DOMAIN, Leaf.good(DOMAIN) if certificate == "for-the-domain" else
                          Leaf.faulty("self-signed", DOMAIN))
    siege.holds()
    assert host.sessions == []


def test_foreign_mx(siege):
    """The attacker's own host, with a certificate that is good for its name."""
    host = siege.attacker("mx.attacker.example")
    siege.world.set_mx(DOMAIN, host, **FRESH)
    assert siege.holds()["dsn"].startswith("4.7.")
    assert host.sessions == []


@pytest.mark.parametrize("name", [f"a.{MX}", f"mx1.{DOMAIN}.attacker.example", "xmx1." + DOMAIN])
def test_foreign_mx_with_a_similar_name(siege, name):
    host = siege.attacker(name)
    siege.world.set_mx(DOMAIN, host, **FRESH)
    siege.holds()
    assert host.sessions == []


def test_foreign_mx_before_the_honest_one(siege):
    """It is passed over; the mail goes to the host that the policy lists."""
    host = siege.attacker("mx.attacker.example")
    siege.world.set_mx(DOMAIN, host, MX, **FRESH)
    siege.world.wait_for_delivery(siege.world.send(f"x@{DOMAIN}"), "delivered")
    assert host.sessions == [] and len(siege.honest.messages) == 2


def test_forged_cname(siege):
    """The MX host's name becomes an alias of the attacker's, which proves only its own name."""
    host = siege.attacker("mx.attacker.example")
    siege.world.dns.remove(MX, "A")
    siege.world.dns.set(MX, "CNAME", f"{host.name}.", **FRESH)
    siege.holds()
    assert {session.sni for session in host.sessions} == {MX}


def test_forged_null_mx(siege):
    """"This domain takes no mail", says the attacker: not reason enough to turn mail back."""
    siege.world.dns.set(DOMAIN, "MX", "0 .", **FRESH)
    siege.holds()


# --- the session is weakened -------------------------------------------------------------------
@pytest.mark.parametrize("script", [
    Script(starttls="no"), Script(starttls="454 4.7.0 TLS not available"),
    Script(starttls="502 5.5.1 unknown command"), Script(starttls="garbage"),
    Script(starttls="close"), Script(rules={"EHLO": "500 5.5.1 unknown command"})],
    ids=["not-announced", "454", "502", "garbage", "closed", "no-ehlo"])
def test_stripped_starttls(siege, script):
    """The attacker sits before the honest host and takes STARTTLS away (RFC 8461 section 4)."""
    host = siege.stand_in(Leaf.good(MX), script=script)
    assert siege.holds()["dsn"].startswith("4.7.")
    assert not any(session.tls for session in host.sessions)


def test_injected_reply(siege):
    """What came in clear behind the reply to STARTTLS is not taken for something TLS protects."""
    siege.stand_in(Leaf.good(MX), script=Script(starttls="inject"))
    siege.holds()


@pytest.mark.parametrize("options", [
    {"maximum": TLSVersion.TLSv1_1},
    {"maximum": TLSVersion.TLSv1_2, "ciphers": "aNULL:@SECLEVEL=0"}], ids=["old", "anonymous"])
def test_weak_tls(siege, options):
    siege.stand_in(Leaf.good(MX), script=Script(**options))
    siege.holds()


def test_second_tenant_on_the_same_mx(siege):
    """Another domain without a policy uses the same host: its open connection, its TLS ticket and
    its lax demands are not the victim's."""
    host = siege.stand_in()
    siege.world.set_mx("tenant.example", MX)
    for _ in range(2):
        siege.world.wait_for_delivery(siege.world.send("x@tenant.example"), "delivered")
        line = siege.world.wait_for_delivery(siege.world.send(f"y@{DOMAIN}"), "deferred")
        siege.world.daemon.ctl("queue", "remove", line["id"])
    assert host.open_connections, "the tenant's connection was to be there still"
    assert {to for message in host.messages for to in message.to} == {"x@tenant.example"}
    host.sessions.clear()
    siege.holds()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_restart(siege, end):
    """Neither record nor policy can be had after it: no first contact all the same."""
    getattr(siege.world.daemon, end)()
    siege.world.dns.remove(f"_mta-sts.{DOMAIN}", "TXT")
    _dead(siege)
    siege.stand_in()
    siege.world.start()
    siege.holds()
