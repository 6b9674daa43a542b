"""One GET to the policy host: what is a policy, what is a failure, and of which kind."""

import re
import ssl

import pytest

from peers.ca import Leaf
from peers.daemon import wait_until
from peers.policy_host import NO_LENGTH, PATH, PolicyHost, policy_body
from peers.vectors import rows
from peers.world import World

TYPES = {"fetch-error": "sts-policy-fetch-error", "policy-invalid": "sts-policy-invalid",
         "webpki-invalid": "sts-webpki-invalid"}


SLOW_TEXTS = ("one octet per second", "TCP accept, then silence")


def _slow(row: dict) -> bool:
    return row["given"] in SLOW_TEXTS


SLOW_ROWS = [p.values[0] for p in rows("https_fetch") if _slow(p.values[0])]


@pytest.fixture(scope="module")
def world(shared_world):
    """The slow rows are started first: they need the whole minute that a fetch may take."""
    shared_world.write_config(sts={"first_contact_wait": "1s"})
    shared_world.daemon.stop()
    shared_world.start()
    for row in SLOW_ROWS:
        domain = f"{row['id'].lower()}.example"
        host = _publish(shared_world, domain)
        _meaning(GIVEN, row, "given")(shared_world, host)
        shared_world.send(f"x@{domain}")
    _publish(shared_world, "silent.example").reply.fault = "silent"
    shared_world.send("x@silent.example")
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


def _six_only(world: World, host: PolicyHost) -> None:
    world.dns.remove(host.name, "A")
    world.call(host.stop())
    world.call(host.start("::1", world.https_port))
    world.dns.set(host.name, "AAAA", "::1")


def _alias(world: World, host: PolicyHost) -> None:
    address = world.dns.records(host.name, "A")[0]
    world.dns.remove(host.name, "A")
    world.dns.set(host.name, "CNAME", "provider.example.")
    world.dns.set("provider.example", "A", address)


def _servfail(world: World, host: PolicyHost) -> None:
    world.dns.fail(host.name, "*", "servfail")
    world.dns.fail(host.name, "A", "servfail")


def _reply(**values):
    def change(_world: World, host: PolicyHost) -> None:
        for key, value in values.items():
            setattr(host.reply, key, value)
    return change


def _body_of(size: int):
    def change(_world: World, host: PolicyHost) -> None:
        host.reply.body += b"x" * (size - len(host.reply.body))
    return change


def _redirect(status: int):
    def change(_world: World, host: PolicyHost) -> None:
        host.reply.status, host.reply.headers = status, [f"Location: https://{host.name}{PATH}"]
    return change


def _tls_at_most(version: ssl.TLSVersion):
    def change(_world: World, host: PolicyHost) -> None:
        host.maximum = version
    return change


GZIP_BOMB = _reply(headers=["Content-Encoding: gzip"], body=b"\x1f\x8b\x08" + bytes(1000))
IGNORED = ['Alt-Svc: h2="elsewhere.example:443"', "Set-Cookie: a=b",
           "Strict-Transport-Security: max-age=1"]
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
SOFT_404 = b"<!DOCTYPE html><title>Not found</title>\n"

# What a row says is given, and what that means for the policy host; the first match counts.
GIVEN = [
    (r"200, (?:Content-Type )?(text/plain), valid body", lambda m: _reply(content_type=m[1])),
    (r"200, HTML soft-404 as text/plain", lambda m: _reply(body=SOFT_404)),
    (r"200, ([a-z]+/[a-z-]+(?:; [a-z]+=[^ ]+)?)(?: with a valid policy in it)?",
     lambda m: _reply(content_type=m[1])),
    (r"(30[1278]) to the same host and path", lambda m: _redirect(int(m[1]))),
    (r"304 to an unconditional GET", lambda m: _reply(status=304)),
    (r"(\d{3}) with Retry-After (\d+)",
     lambda m: _reply(status=int(m[1]), headers=[f"Retry-After: {m[2]}"])),
    (r"(?:\d{3} or )?([45]\d\d)(?: \(.*\))?", lambda m: _reply(status=int(m[1]))),
    (r"body of (\d+) octets", lambda m: _body_of(int(m[1]))),
    (r"Content-Length (\d+) announced",
     lambda m: _reply(content_length=int(m[1]), fault="hold")),
    (r"Content-Encoding: gzip bomb", lambda m: GZIP_BOMB),
    (r"one octet per second", lambda m: _reply(byte_interval=1.0)),
    (r"TCP accept, then silence", lambda m: _reply(fault="silent-tcp")),
    (r"server offers TLS 1\.([01]) at most",
     lambda m: _tls_at_most([ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1][int(m[1])])),
    (r"IPv6-only policy host", lambda m: _six_only),
    (r"mta-sts is a CNAME to a provider, .*", lambda m: _alias),
    (r"mta-sts\.\S+ NXDOMAIN while TXT is valid",
     lambda m: lambda world, host: world.dns.remove(host.name, "A")),
    (r"mta-sts\.\S+ SERVFAIL", lambda m: _servfail),
    (r"Alt-Svc, Set-Cookie, HSTS in the answer", lambda m: _reply(headers=IGNORED)),
    (r"103 Early Hints, then 200", lambda m: _reply(prelude=EARLY_HINTS)),
]


def _meaning(table: list, row: dict, column: str):
    """What table makes of the row's text; a text it does not know is a failure of that row."""
    for pattern, meaning in table:
        if match := re.fullmatch(pattern, row[column]):
            return meaning(match)
    pytest.fail(f"row {row['id']}: no test knows what {row[column]!r} means")


ELSEWHERE = {"F09": "a case of its own below", "F24": "a case of its own below",
             "F25": "a case of its own in test_namespace.py"}


@pytest.mark.parametrize("row", [p for p in rows("https_fetch")
                                 if p.id not in ELSEWHERE and not _slow(p.values[0])])
def test_https_fetch(world, row):
    domain = f"{row['id'].lower()}.example"
    host = _publish(world, domain)
    _meaning(GIVEN, row, "given")(world, host)
    _expect(world, domain, row["expect"])
    if row["expect"] == "ok" or host.reply.status // 100 == 3:
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


def _own(name: str, text: str) -> str:
    """For a name that the vectors give their host, its parents or a wildcard over them: ours."""
    theirs = "mta-sts.example.net"
    stars = re.match(r"(?:\*\.)*", text)[0]
    for n in range(theirs.count(".") + 1):
        if text.removeprefix(stars) == theirs.split(".", n)[n]:
            return stars + name.split(".", n)[n]
    return text


def _faulty(fault: str):
    return lambda match: lambda name: Leaf.faulty(fault, name)


# What a row says about the certificate: from the host's name to its leaf, None for no own one.
CERTIFICATE = [
    (r"(?:policy domain \S+, )?SAN ([^ ,]+)(?: only)?",
     lambda match: lambda name: Leaf.good(_own(name, match[1]))),
    (r"no SAN, CN \S+", _faulty("common-name-only")),
    (r"expired.*", _faulty("expired")),
    (r"not yet valid.*", _faulty("not-yet-valid")),
    (r"self-signed", _faulty("self-signed")),
    (r"unknown private CA", _faulty("unknown-ca")),
    (r"intermediate missing", _faulty("no-intermediate")),
    (r"issuer name constraints exclude the host", _faulty("name-constraints")),
    (r"EKU without serverAuth", _faulty("no-server-auth")),
    (r"stapled OCSP says revoked", _faulty("revoked")),
    (r"server answers unknown SNI with another name's certificate", lambda match: None),
]


def _policy_domain(row: dict) -> str:
    """The A-label form of the policy domain that the row names; else one after its id."""
    named = re.match(r"policy domain (\S+),", row["cert"])
    return named[1].encode("idna").decode() if named else f"{row['id'].lower()}.example"


@pytest.mark.parametrize("row", rows("policy_host_cert"))
def test_policy_host_certificate(world, row):
    certificate = _meaning(CERTIFICATE, row, "cert")
    domain = _policy_domain(row)
    host = _publish(world, domain)
    if certificate is None:
        host.names = {"answers.only.other.names.test"}
    else:
        host.use_certificate(certificate(host.name))
    _expect(world, domain, row["expect"])
    if row["expect"] == "ok":
        assert host.requests[0].sni == host.requests[0].headers["host"].split(":")[0] == host.name


@pytest.mark.parametrize("setting, status, expected", [
    ("stapled", "GOOD", "ok"),
    ("stapled", "UNKNOWN", "ok"),
    ("off", "REVOKED", "ok"),
])
def test_staple_that_revokes_nothing(make_world, setting, status, expected):
    world = make_world(tls_policy={"revocation": setting})
    domain = f"{setting}-{status}.example".lower()
    host = _publish(world, domain)
    host.use_certificate(Leaf(names=(host.name,), staple=status))
    _expect(world, domain, expected)


@pytest.mark.parametrize("table, column", [(GIVEN, "given"), (CERTIFICATE, "cert")])
def test_unknown_row_is_a_failure_that_names_it(table, column):
    with pytest.raises(pytest.fail.Exception, match="row X99"):
        _meaning(table, {"id": "X99", column: "something else"}, column)


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


@pytest.mark.parametrize("fault, expected", [("", "ok"), ("cut", "fetch-error")])
def test_body_that_ends_with_the_connection_needs_its_close_notify(world, fault, expected):
    domain = f"unframed{fault}.example"
    host = _publish(world, domain)
    host.reply.content_length, host.reply.fault = NO_LENGTH, fault
    _expect(world, domain, expected)


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


@pytest.mark.parametrize("row", [p for p in rows("https_fetch") if _slow(p.values[0])])
def test_https_fetch_slow(world, row):
    _expect(world, f"{row['id'].lower()}.example", row["expect"], 90)


def test_policy_host_that_takes_the_request_and_is_silent(world):
    _expect(world, "silent.example", "fetch-error", 90)
    assert len(world.policy_hosts["mta-sts.silent.example"].requests) == 1
