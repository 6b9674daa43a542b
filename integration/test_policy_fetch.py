"""One GET to the policy host: what is a policy, what is a failure, and of which kind."""

import ssl

import pytest

from peers.ca import Leaf
from peers.daemon import wait_until
from peers.policy_host import PATH, policy_body
from peers.vectors import rows
from peers.world import World

TYPES = {"fetch-error": "sts-policy-fetch-error", "policy-invalid": "sts-policy-invalid",
         "webpki-invalid": "sts-webpki-invalid"}


@pytest.fixture(scope="module")
def world(shared_world):
    """The slow rows are started first: they need the whole minute that a fetch may take."""
    shared_world.write_config(sts={"first_contact_wait": "1s"})
    shared_world.daemon.stop()
    shared_world.start()
    slow = ("f19", "f21", "silent")
    for id in slow:
        _publish(shared_world, f"{id}.example")
    shared_world.policy_hosts["mta-sts.f19.example"].reply.byte_interval = 1.0
    shared_world.policy_hosts["mta-sts.f21.example"].reply.fault = "silent-tcp"
    shared_world.policy_hosts["mta-sts.silent.example"].reply.fault = "silent"
    for id in slow:
        shared_world.send(f"x@{id}.example")
    return shared_world


def _publish(world: World, domain: str):
    world.add_domain(domain, "enforce")
    return world.policy_hosts[f"mta-sts.{domain}"]


def _expect(world: World, domain: str, expected: str, seconds: float = 20, *,
            reason: str = "") -> None:
    """Sends a message and checks what was counted for its session (and the reason code)."""
    if not world.counts(domain):
        world.send(f"x@{domain}")
    counts = wait_until(lambda: world.counts(domain), f"{domain} to be counted", seconds)
    assert wait_until(lambda: world.mx[f"mx1.{domain}"].messages)
    if expected == "ok":
        assert [(c.policy, c.successes, c.failures) for c in counts] == [("sts", 1, 0)], counts
    else:
        # RFC 8461 section 5.1: without a cached policy the mail goes out as if there were none.
        types = {name for count in counts for name in count.types}
        assert TYPES[expected] in types, counts
        assert not reason or reason in {r for count in counts for r in count.reasons}, counts


def _fetch_fault(world: World, id: str, host) -> None:
    """Makes the policy host behave as the row says."""
    reply = host.reply
    if id == "F03":
        reply.content_type = "text/plain; charset=iso-8859-1"
    elif id == "F04":
        reply.content_type = "text/html"
    elif id == "F06":
        reply.content_type = "application/octet-stream"
    elif id == "F07":
        reply.status, reply.headers = 301, [f"Location: https://{host.name}{PATH}"]
    elif id == "F10":
        reply.status = 304
    elif id == "F12":
        reply.status, reply.headers = 503, ["Retry-After: 1"]
    elif id == "F13":
        reply.status = 403
    elif id == "F15":
        reply.body += b"x" * (65537 - len(reply.body))
    elif id == "F16":
        reply.content_length, reply.fault = 131072, "hold"
    elif id == "F18":
        reply.headers = ["Content-Encoding: gzip"]
        reply.body = b"\x1f\x8b\x08" + bytes(1000)
    elif id == "F22":
        host.maximum = ssl.TLSVersion.TLSv1_1
    elif id == "F27":
        world.dns.remove(host.name, "A")
        world.call(host.stop())
        world.call(host.start("::1", world.https_port))
        world.dns.set(host.name, "AAAA", "::1")
    elif id == "F28":
        address = world.dns.records(host.name, "A")[0]
        world.dns.remove(host.name, "A")
        world.dns.set(host.name, "CNAME", "provider.example.")
        world.dns.set("provider.example", "A", address)
    elif id == "F30":
        world.dns.remove(host.name, "A")
    elif id == "F31":
        world.dns.fail(host.name, "*", "servfail")
        world.dns.fail(host.name, "A", "servfail")
    elif id == "F33":
        reply.headers = ['Alt-Svc: h2="elsewhere.example:443"', "Set-Cookie: a=b",
                         "Strict-Transport-Security: max-age=1"]
    elif id == "F34":
        reply.prelude = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    elif id == "F36":
        reply.body = b"<!DOCTYPE html><title>Not found</title>\n"
    elif id not in ("F01", "F19", "F21"):
        raise NotImplementedError(id)


ELSEWHERE = {"F09": "a case of its own below", "F24": "a case of its own below",
             "F25": "a case of its own in test_namespace.py"}


@pytest.mark.parametrize("row", [p for p in rows("https_fetch")
                                 if p.id not in ELSEWHERE and p.id not in ("F19", "F21")])
def test_https_fetch(world, row):
    domain = f"{row['id'].lower()}.example"
    host = _publish(world, domain)
    _fetch_fault(world, row["id"], host)
    _expect(world, domain, row["expect"])
    if row["id"] in ("F07", "F28", "F33"):
        assert len(host.requests) == 1


@pytest.mark.parametrize("status", [201, 203, 204, 206])
def test_https_fetch_F09(world, status):
    host = _publish(world, f"f09-{status}.example")
    host.reply.status = status
    _expect(world, f"f09-{status}.example", "fetch-error")


PRIVATE = ["127.0.0.1", "::1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.1.1",
           "100.64.0.1", "fc00::1", "fe80::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]


@pytest.fixture(scope="module")
def guarded_world(authority):
    """A world whose daemon keeps to public addresses, as it does in earnest, but for routes."""
    names = [f"f24-{n}.example" for n in range(len(PRIVATE))]
    world = World(authority, {"test_world": {"allow_private_addresses": False},
                              "routes": [{"match": name, "mx": name} for name in names]})
    world.start()
    yield world
    world.close()


@pytest.mark.parametrize("address", PRIVATE)
def test_https_fetch_F24(guarded_world, address):
    world = guarded_world
    domain = f"f24-{PRIVATE.index(address)}.example"
    world.add_domain(domain)
    world.dns.set(f"_mta-sts.{domain}", "TXT", "v=STSv1; id=1;")
    world.dns.set(f"mta-sts.{domain}", "AAAA" if ":" in address else "A", address)
    _expect(world, domain, "fetch-error", reason="address-refused")


def _certificate(id: str, name: str) -> Leaf:
    parent = name.split(".", 1)[1]
    if id in ("H01", "H15"):
        return Leaf.good(name)
    if id == "H03":
        return Leaf.good(parent)
    if id == "H06":
        return Leaf.good("*.*." + parent.split(".", 1)[1])
    faults = {"H04": "common-name-only", "H07": "expired", "H09": "self-signed",
              "H10": "unknown-ca", "H12": "name-constraints", "H13": "no-server-auth"}
    return Leaf.faulty(faults[id], name)


@pytest.mark.parametrize("row", rows("policy_host_cert", later={
    "H16": "revocation checks are off; RFC 8461 section 3.3 makes them optional"}))
def test_policy_host_certificate(world, row):
    id = row["id"]
    domain = f"{id.lower()}.example" if id != "H15" else "xn--bcher-kva.example"
    host = _publish(world, domain)
    if id == "H18":
        host.name = "answers.only.other.names.test"
    else:
        host.use_certificate(_certificate(id, host.name))
    _expect(world, domain, row["expect"])
    if id == "H15":
        assert host.requests[0].sni == host.requests[0].headers["host"].split(":")[0] == host.name


def test_request_is_a_plain_unconditional_get(world):
    host = _publish(world, "request.example")
    _expect(world, "request.example", "ok")
    (request,) = host.requests
    assert request.line == f"GET {PATH} HTTP/1.1"
    assert request.sni == "mta-sts.request.example"
    assert not set(request.headers) & {
        "if-none-match", "if-modified-since", "cookie", "authorization", "accept-encoding"} or (
        request.headers.get("accept-encoding") == "identity")


def test_environment_proxy_is_ignored(make_world):
    world = make_world(start=False)
    nowhere = "http://127.0.0.1:9"
    world.daemon.environment.update(https_proxy=nowhere, ALL_PROXY=nowhere)
    world.start()
    _publish(world, "proxy.example")
    _expect(world, "proxy.example", "ok")


def test_content_type_is_compared_without_case(world):
    host = _publish(world, "type.example")
    host.reply.content_type = "Text/PLAIN;charset=UTF-8"
    _expect(world, "type.example", "ok")


def test_cut_body_is_never_parsed(world):
    host = _publish(world, "cut.example")
    host.reply.content_length = len(host.reply.body) + 40
    _expect(world, "cut.example", "fetch-error")


def test_body_of_exactly_64_kib_is_a_policy(world):
    host = _publish(world, "limit.example")
    host.reply.body = policy_body("enforce", ["mx1.limit.example"]) + b"x-pad: "
    host.reply.body += b"y" * (65536 - len(host.reply.body))
    _expect(world, "limit.example", "ok")


def test_policy_host_that_takes_the_request_and_closes(world):
    host = _publish(world, "close.example")
    host.reply.fault = "close"
    _expect(world, "close.example", "fetch-error")
    assert len(host.requests) == 1


def test_failed_fetch_is_not_repeated_within_five_minutes(world):
    host = _publish(world, "backoff.example")
    host.reply.status = 404
    _expect(world, "backoff.example", "fetch-error")
    for _ in range(3):
        world.wait_for_delivery(world.send("x@backoff.example"), "delivered")
    assert len(host.requests) == 1


@pytest.mark.parametrize("row", [p for p in rows("https_fetch") if p.id in ("F19", "F21")])
def test_https_fetch_slow(world, row):
    _expect(world, f"{row['id'].lower()}.example", row["expect"], 90)


def test_policy_host_that_takes_the_request_and_is_silent(world):
    _expect(world, "silent.example", "fetch-error", 90)
    assert len(world.policy_hosts["mta-sts.silent.example"].requests) == 1
