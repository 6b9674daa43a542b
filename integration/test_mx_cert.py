"""The MX host's certificate and handshake under enforce and testing (vectors C01-C23)."""

from ssl import TLSVersion

import pytest

from peers.ca import Leaf
from peers.daemon import wait_until
from peers.vectors import rows

ROWS = rows("mx_cert")
FAULTS = ["C03", "C04", "C06", "C07", "C09", "C10", "C12", "C13", "C16", "C18"]


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


def _host(world, id: str, domain: str, mode: str):
    """The domain of a row: its MX host, certificate fault and policy."""
    name = f"mx1.{domain}"
    parent = domain
    leaf = {
        "C03": Leaf.good(f"mx2.{parent}"),
        "C04": Leaf.good(f"a.b.{parent}"),
        "C06": Leaf.faulty("common-name-only", name),
        "C07": Leaf.faulty("expired", name),
        "C09": Leaf.faulty("self-signed", name),
        "C10": Leaf.faulty("no-intermediate", name),
    }.get(id, Leaf.good(name))
    mx = world.add_domain(domain, leaf=leaf)
    starttls = {"C12": "454 4.7.0 TLS not available", "C13": "alert", "C15": "reset",
                "C18": "inject"}
    mx.script.starttls = starttls.get(id, "yes")
    if id == "C16":
        mx.script.ciphers = "aNULL:@SECLEVEL=0"
        mx.script.maximum = TLSVersion.TLSv1_2
    listed = [f"*.{domain}"] if id == "C04" else [name, f"mx2.{domain}"]
    world.publish(domain, mode, listed)
    return mx


def _delivered(mx, world, id):
    world.wait_for_delivery(id, "delivered")
    assert len(mx.messages) == 1


def _refused(mx, world, id):
    line = world.wait_for_delivery(id, "deferred")
    assert line["reply"].startswith("4") or "4.7" in str(line) or "4.4" in str(line), line
    assert mx.messages == []
    assert not any(session.plaintext_mail for session in mx.sessions)
    assert not any("MAIL" in session.verbs() for session in mx.sessions)


@pytest.mark.parametrize("row", [p for p in ROWS if p.id not in ("C19", "C22")])
def test_mx_certificate(world, row):
    id = row["id"]
    domain = "xn--strae-oqa.example" if id == "C21" else f"{id.lower()}.example"
    mx = _host(world, id, domain, "enforce")
    message = world.send(f"x@{domain}")
    if row["verdict"] == "deliver":
        _delivered(mx, world, message)
        assert mx.sessions[0].tls in ("TLSv1.2", "TLSv1.3")
        assert mx.sessions[0].sni == mx.name
    else:
        _refused(mx, world, message)
    if "result_type" in row:
        counts = wait_until(lambda: world.counts(domain))
        assert [set(count.types) for count in counts] == [{row["result_type"]}]
        assert counts[0].successes == 0 and counts[0].failures >= 1
    elif row["verdict"] == "deliver":
        assert [(c.successes, c.failures) for c in world.counts(domain)] == [(1, 0)]


@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_staple_that_revokes(world, mode):
    domain = f"revoked-{mode}.example"
    mx = world.add_domain(domain, leaf=Leaf.faulty("revoked", f"mx1.{domain}"))
    world.publish(domain, mode, [mx.name])
    message = world.send(f"x@{domain}")
    (_refused if mode == "enforce" else _delivered)(mx, world, message)
    (count,) = wait_until(lambda: world.counts(domain))
    assert set(count.types) == {"certificate-not-trusted"}
    assert count.reasons == {"X509_V_ERR_CERT_REVOKED"}


def test_staple_that_says_good(world):
    domain = "stapled.example"
    mx = world.add_domain(domain, leaf=Leaf(names=(f"mx1.{domain}",), staple="GOOD"))
    world.publish(domain, "enforce", [mx.name])
    _delivered(mx, world, world.send(f"x@{domain}"))
    assert mx.sessions[0].sni == mx.name


def test_mx_certificate_C19(world):
    """A ticket from an unverified session never makes a verified one."""
    mx = world.add_domain("c19-opportunistic.example",
                          leaf=Leaf.faulty("self-signed", "mx1.c19-opportunistic.example"))
    mx.script.rules["QUIT"] = "221 bye"
    _delivered(mx, world, world.send("x@c19-opportunistic.example"))
    world.set_mx("c19.example", mx)
    world.publish("c19.example", "enforce", [mx.name])
    line = world.wait_for_delivery(world.send("x@c19.example"), "deferred")
    assert line
    assert len(mx.messages) == 1
    (count,) = wait_until(lambda: world.counts("c19.example"))
    assert set(count.types) == {"certificate-not-trusted"}


@pytest.mark.parametrize("fault", FAULTS)
def test_mx_certificate_C22(world, fault):
    """testing: the same fault, the same type, and the mail flows."""
    domain = f"c22-{fault.lower()}.example"
    mx = _host(world, fault, domain, "testing")
    _delivered(mx, world, world.send(f"x@{domain}"))
    expected = next(p.values[0]["result_type"] for p in ROWS if p.id == fault)
    counts = wait_until(lambda: world.counts(domain))
    assert [set(count.types) for count in counts] == [{expected}]
    assert [(c.successes, c.failures) for c in counts] == [(0, 1)]


@pytest.mark.parametrize("fault", ["not-yet-valid", "unknown-ca", "name-constraints",
                                   "no-server-auth"])
def test_untrusted_chain_is_refused_under_enforce(world, fault):
    domain = f"{fault}.example"
    mx = world.add_domain(domain, "enforce", leaf=Leaf.faulty(fault, f"mx1.{domain}"))
    _refused(mx, world, world.send(f"x@{domain}"))
    (count,) = wait_until(lambda: world.counts(domain))
    assert set(count.types) == {"certificate-not-trusted"}


@pytest.mark.parametrize("label, pattern, verdict", [
    ("whole", "*.{}", "delivered"), ("partial", "mx*.{}", "deferred"), ("bare", "*", "deferred")])
def test_wildcard_in_the_certificate_covers_one_whole_label(world, label, pattern, verdict):
    domain = f"wild-{label}.example"
    world.add_domain(domain, "enforce", leaf=Leaf.good(pattern.format(domain)))
    world.wait_for_delivery(world.send(f"x@{domain}"), verdict)


@pytest.mark.parametrize("starttls", ["stall", "close", "garbage", "alert", "no"])
def test_handshake_trouble_is_never_answered_with_plaintext_under_enforce(make_world, starttls):
    world = make_world(delivery={"timeouts": {"starttls": "1s"}})
    mx = world.add_domain("clear.example", "enforce", starttls=starttls)
    _refused(mx, world, world.send("x@clear.example"))
    assert len(mx.sessions) == 1


@pytest.mark.parametrize("starttls", ["stall", "close", "garbage", "alert", "no",
                                      "454 4.7.0 no"])
def test_without_policy_plaintext_follows_failed_tls(make_world, starttls):
    world = make_world(delivery={"timeouts": {"starttls": "1s"}})
    mx = world.add_domain("fallback.example", starttls=starttls)
    _delivered(mx, world, world.send("x@fallback.example"))
    assert mx.sessions[-1].plaintext_mail
    (count,) = wait_until(lambda: world.counts("fallback.example"))
    assert (count.policy, count.successes, count.failures) == ("no-policy-found", 0, 1)


def test_without_policy_any_certificate_is_good_enough(world):
    mx = world.add_domain("any.example", leaf=Leaf.faulty("expired", "other.test"))
    _delivered(mx, world, world.send("x@any.example"))
    assert mx.sessions[0].tls
    (count,) = wait_until(lambda: world.counts("any.example"))
    assert (count.policy, count.successes, count.failures) == ("no-policy-found", 1, 0)


def test_tls_1_1_is_refused_under_enforce(world):
    mx = world.add_domain("old.example", "enforce")
    mx.script.maximum = TLSVersion.TLSv1_1
    _refused(mx, world, world.send("x@old.example"))
    (count,) = wait_until(lambda: world.counts("old.example"))
    assert set(count.types) == {"validation-failure"}


def test_several_certificate_faults_are_one_failed_session(world):
    world.add_domain("both.example", "enforce", leaf=Leaf.faulty("expired", "elsewhere.test"))
    world.wait_for_delivery(world.send("x@both.example"), "deferred")
    (count,) = wait_until(lambda: world.counts("both.example"))
    assert count.failures == 1
    assert set(count.types) == {"certificate-expired", "certificate-host-mismatch"}
