"""stsrelay check: what it says about a domain, by itself and beside a daemon; and its exit codes."""

import datetime
import json
import os
import pty
import select
import subprocess

import pytest

from peers.ca import Leaf
from peers.daemon import binary

DAY = datetime.timedelta(days=1)
GOOD, FINDINGS, REFUSED, UNDETERMINED = range(4)
KEYS = {"domain", "policy_domain", "verdict", "rule", "host", "text", "exit_code", "mx", "sts_record", "policy",
        "local_rule", "hosts", "tls_rpt_record", "tls_rpt_results", "daemon", "findings"}


@pytest.fixture(scope="module")
def world(authority):
    from peers.world import World
    world = World(authority)  # no daemon: the command works by itself
    world.daemon.log_file.touch()
    yield world
    world.close(check=False)


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(binary()), "check", *arguments], capture_output=True, text=True,
                          timeout=60)


def check(world, domain: str, *arguments: str) -> tuple[int, dict]:
    result = run(domain, "--json", "--timeout", "15", "--config", str(world.config_file),
                 *arguments)
    assert result.stdout, result.stderr
    assert "Sanitizer" not in result.stderr and "runtime error" not in result.stderr
    report = json.loads(result.stdout)
    assert set(report) == KEYS
    assert report["exit_code"] == result.returncode
    return result.returncode, report


def codes(report: dict, *severities: str) -> set[str]:
    return {finding["code"] for finding in report["findings"]
            if not severities or finding["severity"] in severities}


def faults(report: dict) -> set[str]:
    assert all(f["remedy"] for f in report["findings"]), report["findings"]
    return codes(report, "warning", "error")


def rpt(report: dict) -> list[list[str]]:
    return [[f["result_type"] for f in result["failures"]]
            for result in report["tls_rpt_results"]]


def test_a_domain_in_order_is_good(world):
    mx = world.add_domain("good.example", "enforce")
    world.dns.set("_smtp._tls.good.example", "TXT", "v=TLSRPTv1; rua=mailto:tls@good.example")
    code, report = check(world, "good.example")
    assert (code, report["verdict"], faults(report)) == (GOOD, "delivered-verified", set())
    assert report["host"] == mx.name
    assert report["sts_record"]["id"] == "1"
    assert report["policy"]["mode"] == "enforce" and report["policy"]["max_age"] == 86400
    assert report["policy"]["fetch"]["status"] == 200
    (host,) = report["hosts"]
    assert host["listed"] and host["requirement"] == "verified"
    (session,) = host["sessions"]
    assert session["tls"]["version"] == "TLSv1.3" and session["tls"]["verified"]
    leaf, issuer = session["tls"]["certificates"]
    assert leaf["names"] == [mx.name] and leaf["days_left"] in (29, 30)
    assert leaf["issuer"] == issuer["subject"] == "CN=Test Intermediate"
    assert leaf["valid_from"] < leaf["valid_until"]
    tls = report["policy"]["tls"]
    assert tls["version"] == "TLSv1.3" and tls["cipher"].startswith("TLS_AES_")
    assert tls["certificates"][0]["names"] == ["mta-sts.good.example"]
    assert report["local_rule"]["origin"] == "tls_policy.default"
    assert rpt(report) == [[]]
    assert report["tls_rpt_record"]["texts"] == ["v=TLSRPTv1; rua=mailto:tls@good.example"]
    # No mail, and a polite end.
    (seen,) = mx.sessions
    assert seen.verbs() == ["EHLO", "STARTTLS", "EHLO", "QUIT"]
    assert seen.sni == mx.name


def test_text_is_plain_when_piped(world):
    world.add_domain("plain.example", "enforce")
    result = run("plain.example", "--config", str(world.config_file))
    assert result.returncode == GOOD, result.stdout + result.stderr
    assert result.stdout.startswith("plain.example: A message would be delivered to mx1.plain")
    assert "\x1b" not in result.stdout and result.stderr == ""


def on_terminal(*arguments: str, **environment: str) -> tuple[str, str]:
    """What the command writes to a terminal: standard output, and standard error."""
    outputs = [pty.openpty(), pty.openpty()]
    process = subprocess.Popen([str(binary()), "check", *arguments], stdout=outputs[0][1],
                               stderr=outputs[1][1], env={**os.environ, **environment})
    texts = [b"", b""]
    for _, inner in outputs:
        os.close(inner)
    open_ends = {outer: number for number, (outer, _) in enumerate(outputs)}
    while open_ends:
        for outer in select.select(list(open_ends), [], [], 30)[0]:
            try:
                block = os.read(outer, 65536)
            except OSError:  # the other end is closed
                block = b""
            texts[open_ends[outer]] += block
            if not block:
                del open_ends[outer]
                os.close(outer)
    process.wait(30)
    return texts[0].decode(), texts[1].decode()


def test_colour_and_progress_are_for_terminals(world):
    world.add_domain("colour.example", "enforce")
    options = ("colour.example", "--config", str(world.config_file))
    text, progress = on_terminal(*options)
    assert "\x1b[32mverified\x1b[0m" in text
    assert "looking up DNS records" in progress and "connecting to 1 address" in progress
    assert progress.endswith("\r\x1b[K")
    text, _ = on_terminal(*options, NO_COLOR="1")
    assert "\x1b" not in text


@pytest.mark.parametrize("leaf, code, rpt_type", [
    ("expired", "certificate-expired", "certificate-expired"),
    ("self-signed", "certificate-not-trusted", "certificate-not-trusted"),
    ("common-name-only", "certificate-host-mismatch", "certificate-host-mismatch")])
@pytest.mark.parametrize("mode, exit_code, verdict", [
    ("enforce", REFUSED, "refused"), ("testing", FINDINGS, "delivered")])
def test_certificate_fault(world, leaf, code, rpt_type, mode, exit_code, verdict):
    domain = f"{leaf}-{mode}.example"
    world.add_domain(domain, mode, leaf=Leaf.faulty(leaf, f"mx1.{domain}"))
    got, report = check(world, domain)
    assert (got, report["verdict"]) == (exit_code, verdict)
    assert code in faults(report)
    assert rpt_type in rpt(report)[0]
    shown = report["hosts"][0]["sessions"][0]["tls"]["certificates"][0]
    assert shown["names"] == ([] if leaf == "common-name-only" else [f"mx1.{domain}"])
    assert (shown["days_left"] < 0) == (leaf == "expired")
    assert (shown["issuer"] == shown["subject"]) == (leaf == "self-signed")


def test_certificates_that_end_soon(world):
    domain = "soon.example"
    name = f"mta-sts.{domain}"
    world.add_domain(domain, leaf=Leaf(names=(f"mx1.{domain}",), not_after=13 * DAY))
    world.publish(domain, "enforce", [f"mx1.{domain}"], leaf=Leaf(names=(name,), not_after=2 * DAY))
    code, report = check(world, domain)
    assert (code, report["verdict"]) == (FINDINGS, "delivered-verified")
    assert faults(report) == {"certificate-expires", "policy-certificate-expires"}
    text = run(domain, "--config", str(world.config_file)).stdout
    assert f"mx1.{domain}; issued by CN=Test Intermediate; " in text and "12 days left" in text
    assert f"{name}; issued by CN=Test Intermediate; " in text and "1 day left" in text
    # Without a policy nothing depends on it.
    other = "soon-alone.example"
    world.add_domain(other, leaf=Leaf(names=(f"mx1.{other}",), not_after=13 * DAY))
    _, report = check(world, other)
    assert faults(report) == {"no-protection"}
    assert "certificate-expires" in codes(report, "note")


@pytest.mark.parametrize("mode, exit_code", [("enforce", REFUSED), ("testing", FINDINGS)])
def test_foreign_mx(world, mode, exit_code):
    domain = f"foreign-{mode}.example"
    mx = world.add_domain(domain)
    world.publish(domain, mode, ["mx9.elsewhere.example"])
    code, report = check(world, domain)
    assert code == exit_code
    assert faults(report) == {"mx-not-in-policy"}
    assert report["hosts"][0]["listed"] is False
    assert report["rule"] == ("mx-not-in-policy" if mode == "enforce" else None)
    assert codes(report) >= {"mx-pattern-unused"}
    assert "MAIL" not in mx.sessions[0].verbs()


@pytest.mark.parametrize("mode, exit_code", [("enforce", REFUSED), ("", FINDINGS)])
def test_no_starttls(world, mode, exit_code):
    domain = f"plaintext-{mode or 'none'}.example"
    world.add_domain(domain, mode, starttls="no")
    world.mx[f"mx1.{domain}"].script.extensions = ("PIPELINING",)
    code, report = check(world, domain)
    assert code == exit_code
    assert "starttls-missing" in faults(report)
    assert rpt(report) == [["starttls-not-supported"]]


def test_failed_handshake_without_policy_would_go_in_plaintext(world):
    world.add_domain("alert.example", starttls="alert")
    code, report = check(world, "alert.example")
    assert (code, report["hosts"][0]["fate"]) == (FINDINGS, "plaintext")
    assert faults(report) == {"tls-handshake-failed", "no-protection"}


def test_testing_is_good_and_none_is_not(world):
    world.add_domain("testing.example", "testing")
    code, report = check(world, "testing.example")
    assert (code, faults(report)) == (GOOD, set())
    assert "mode-testing" in codes(report, "note")
    world.add_domain("none.example", "none")
    code, report = check(world, "none.example")
    assert (code, faults(report)) == (FINDINGS, {"mode-none"})


def test_broken_policy_is_linted_by_line(world):
    world.add_domain("broken.example")
    world.publish("broken.example", "", [], body=b"version: STSv1\nmode: Enforce\n\n"
                  b"mx: mx1.broken.example.\nmax_age: soon\n")
    code, report = check(world, "broken.example")
    assert code == FINDINGS
    assert [(entry["line"], entry["code"], entry["weight"]) for entry in report["policy"]["lint"]] \
        == [(2, "bad-mode", "fatal"), (3, "empty-line", "strict"), (4, "trailing-dot", "strict"),
            (5, "bad-max-age", "fatal")]
    assert report["policy"]["mode"] is None
    assert rpt(report) == [["sts-policy-invalid"]]


@pytest.mark.parametrize("name, reply, code", [
    ("404", {"status": 404}, "policy-fetch-error"),
    ("301", {"status": 301}, "policy-fetch-error"),
    ("html", {"content_type": "text/html"}, "policy-fetch-error")])
def test_policy_that_cannot_be_fetched(world, name, reply, code):
    domain = f"fetch-{name}.example"
    world.add_domain(domain, "enforce")
    for key, value in reply.items():
        setattr(world.policy_hosts[f"mta-sts.{domain}"].reply, key, value)
    got, report = check(world, domain)
    assert (got, faults(report)) == (FINDINGS, {code, "no-protection"})
    assert report["policy"]["fault"] in ("http-404", "http-301", "media-type")


def test_policy_host_with_a_bad_certificate(world):
    world.add_domain("hostcert.example")
    world.publish("hostcert.example", "enforce", ["mx1.hostcert.example"],
                  leaf=Leaf.faulty("expired", "mta-sts.hostcert.example"))
    code, report = check(world, "hostcert.example")
    assert (code, faults(report)) == (FINDINGS, {"policy-host-certificate", "no-protection"})
    assert report["policy"]["fetch"]["certificate"] == "invalid"
    (shown, _) = report["policy"]["tls"]["certificates"]
    assert shown["names"] == ["mta-sts.hostcert.example"] and shown["days_left"] < 0
    assert rpt(report) == [["sts-webpki-invalid"]]


def test_records_that_announce_nothing(world):
    world.add_domain("several.example")
    world.dns.set("_mta-sts.several.example", "TXT", ["v=STSv1; id=1;", "v=STSv1; id=2;"])
    assert faults(check(world, "several.example")[1]) == {"record-several", "no-protection"}
    world.dns.set("_mta-sts.several.example", "TXT", "v=STSv1; id=a-b;")
    assert faults(check(world, "several.example")[1]) == {"record-malformed", "no-protection"}
    world.dns.fail("_mta-sts.several.example", "TXT", "servfail")
    assert faults(check(world, "several.example")[1]) == {"record-lookup-failed", "no-protection"}


def test_where_reports_would_go(world):
    world.add_domain("reports.example", "enforce")
    name = "_smtp._tls.reports.example"
    world.dns.set(name, "TXT", "v=TLSRPTv1; rua=mailto:a@reports.example,http://r.example/,"
                  "https://r.example/v1")
    code, report = check(world, "reports.example")
    assert (code, faults(report)) == (FINDINGS, {"tls-rpt-uri"})
    record = report["tls_rpt_record"]
    assert record["destinations"] == ["mailto:a@reports.example", "https://r.example/v1"]
    assert record["skipped"] == [{"uri": "http://r.example/", "reason": "plain-http"}]
    world.dns.set(name, "TXT", ["v=TLSRPTv1; rua=mailto:a@reports.example",
                                "v=TLSRPTv1; rua=mailto:b@reports.example"])
    code, report = check(world, "reports.example")
    assert (faults(report), report["tls_rpt_record"]["fault"]) == ({"tls-rpt-several"}, "several")
    world.dns.set(name, "TXT", "v=TLSRPTv1; ruf=mailto:a@reports.example")
    code, report = check(world, "reports.example")
    assert (faults(report), report["tls_rpt_record"]["fault"]) == ({"tls-rpt-malformed"},
                                                                   "malformed")


def test_domains_without_a_host(world):
    code, report = check(world, "nowhere.example")
    assert (code, faults(report)) == (REFUSED, {"no-such-domain"})
    world.dns.fail("servfail.example", "MX", "servfail")
    code, report = check(world, "servfail.example")
    assert (code, faults(report)) == (UNDETERMINED, {"mx-lookup-failed"})
    world.dns.set("null.example", "MX", "0 .")
    code, report = check(world, "null.example")
    assert (code, faults(report)) == (REFUSED, {"null-mx"})


def test_a_host_that_cannot_be_reached(world):
    world.dns.set("closed.example", "MX", "10 mx1.closed.example.")
    world.dns.set("mx1.closed.example", "A", world.address())
    world.publish("closed.example", "enforce", ["mx1.closed.example"])
    code, report = check(world, "closed.example")
    assert (code, faults(report)) == (UNDETERMINED, {"connect-failed"})


def test_secure_tlsa_records_are_judged(world):
    import hashlib
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    mx = world.add_domain("dane.example")
    world.set_mx("dane.example", mx, authentic=True)
    world.dns.set(mx.name, "A", mx.ip, authentic=True)
    pem = world.authority.pem_file(Leaf.good(mx.name)).read_bytes()
    key = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERT"):]).public_key()
    digest = hashlib.sha256(key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    owner = f"_25._tcp.{mx.name}"
    world.dns.set(owner, "TLSA", f"3 1 1 {digest}", authentic=True)
    code, report = check(world, "dane.example")
    assert (code, report["verdict"], faults(report)) == (GOOD, "delivered-verified", set())
    assert report["mx"]["dnssec"] == "secure"
    assert report["hosts"][0]["tlsa"]["state"] == "usable"
    assert report["hosts"][0]["sessions"][0]["tls"]["dane"] == "matched"
    world.dns.set(owner, "TLSA", f"3 1 1 {'ab' * 32}", authentic=True)
    code, report = check(world, "dane.example")
    assert (code, faults(report)) == (REFUSED, {"tlsa-no-match"})
    world.dns.set(owner, "TLSA", f"1 1 1 {digest}", authentic=True)
    code, report = check(world, "dane.example")
    assert (code, faults(report)) == (FINDINGS, {"tlsa-unusable", "no-protection"})
    world.dns.fail(owner, "TLSA", "servfail")
    code, report = check(world, "dane.example")
    assert code == REFUSED and "tlsa-lookup-failed" in faults(report)


def test_only_one_host(world):
    good = world.add_mx("mx1.two.example")
    bad = world.add_mx("mx2.two.example", leaf=Leaf.faulty("expired", "mx2.two.example"))
    world.set_mx("two.example", good, bad)
    world.publish("two.example", "enforce", ["*.two.example"])
    code, report = check(world, "two.example")
    assert (code, report["verdict"]) == (FINDINGS, "delivered-verified")
    code, report = check(world, "two.example", "--mx", "mx2.two.example")
    assert (code, [host["host"] for host in report["hosts"]]) == (REFUSED, ["mx2.two.example"])
    code, report = check(world, "two.example", "--mx", "mx1.good2.example")
    assert "mx-not-published" in faults(report)


def test_no_connect(world):
    mx = world.add_domain("dns-only.example", "enforce")
    code, report = check(world, "dns-only.example", "--no-connect")
    assert (code, report["verdict"], report["tls_rpt_results"]) == (GOOD, "not-connected", [])
    assert mx.sessions == []


def test_time_is_bounded(world):
    world.add_domain("silent.example", "enforce", starttls="stall")
    result = run("silent.example", "--json", "--timeout", "3", "--config", str(world.config_file))
    assert result.returncode in (REFUSED, UNDETERMINED)
    world.dns.set("tarpit.example", "MX", "10 mx1.tarpit.example.")
    world.dns.fail("mx1.tarpit.example", "*", "timeout")
    result = run("tarpit.example", "--json", "--timeout", "1", "--config", str(world.config_file))
    assert result.returncode == UNDETERMINED
    assert "host-lookup-failed" in codes(json.loads(result.stdout))


def test_a_route_is_followed(make_world):
    world = make_world(start=False, routes=[{"match": "corp.example", "mx": "hub.example"}])
    world.add_domain("hub.example", "enforce")
    world.daemon.log_file.touch()
    code, report = check(world, "corp.example")
    assert (code, report["domain"], report["policy_domain"]) == (GOOD, "corp.example",
                                                                 "hub.example")


def test_policy_file_alone(tmp_path):
    policy = tmp_path / "mta-sts.txt"
    policy.write_text("version: STSv1\nmode: enforce\nmx: mx1.example.com\nmax_age: 1209600\n")
    result = run("--policy-file", str(policy))
    assert result.returncode == GOOD, result.stdout
    policy.write_text("version: STSv1\nmode: enforce\n\nmx: mx1.example.com\nmax_age: 1209600\n")
    result = run("--policy-file", str(policy))
    assert result.returncode == FINDINGS
    assert "^ empty-line (strict)" in result.stdout
    policy.write_text("mode: enforce\n")
    result = run("--policy-file", str(policy), "--json")
    assert result.returncode == REFUSED
    report = json.loads(result.stdout)
    assert set(report) == KEYS and report["domain"] is None
    assert {entry["code"] for entry in report["policy"]["lint"]} == {"no-version", "no-max-age",
                                                                     "no-mx"}
    assert run("--policy-file", str(tmp_path / "missing")).returncode == UNDETERMINED


def test_policy_file_for_a_domain(world, tmp_path):
    world.add_domain("planned.example")
    policy = tmp_path / "mta-sts.txt"
    policy.write_text("version: STSv1\nmode: enforce\nmx: mx1.planned.example\nmax_age: 1209600\n")
    code, report = check(world, "planned.example", "--policy-file", str(policy))
    assert (code, report["verdict"]) == (GOOD, "delivered-verified")
    assert report["policy"]["source"] == "file"
    policy.write_text("version: STSv1\nmode: enforce\nmx: mx2.planned.example\nmax_age: 1209600\n")
    code, report = check(world, "planned.example", "--policy-file", str(policy))
    assert (code, report["rule"]) == (REFUSED, "mx-not-in-policy")


def test_wrong_usage_is_not_mistaken_for_a_verdict(world):
    assert run().returncode == UNDETERMINED
    assert run("x.example", "--nonsense").returncode == UNDETERMINED
    assert run("x.example", "--config", "/nonexistent.yaml").returncode == UNDETERMINED
    assert run("192.0.2.1", "--config", str(world.config_file)).returncode == UNDETERMINED
    help_text = run("--help")
    assert help_text.returncode == 0 and "3 could not be determined" in help_text.stdout


def test_the_daemons_cache_is_shown(make_world):
    world = make_world()
    world.add_domain("cached.example", "enforce")
    _, report = check(world, "cached.example")
    assert report["daemon"]["state"] == "absent"
    world.wait_for_delivery(world.send("x@cached.example"), "delivered")
    _, report = check(world, "cached.example")
    assert (report["daemon"]["state"], report["daemon"]["mode"]) == ("held", "enforce")
    assert report["daemon"]["id"] == "1"


def test_what_the_daemon_has_cached_decides_when_the_policy_is_gone(make_world):
    world = make_world()
    world.add_domain("gone.example", "enforce")
    world.set_mx("gone.example", "mx1.gone.example", ttl=0)
    world.wait_for_delivery(world.send("x@gone.example"), "delivered")
    world.dns.remove("_mta-sts.gone.example", "TXT")
    world.policy_hosts["mta-sts.gone.example"].reply.status = 500
    world.set_mx("gone.example", world.add_mx("mx.thief.example"))
    code, report = check(world, "gone.example")
    assert (code, report["verdict"], report["rule"]) == (REFUSED, "refused", "mx-not-in-policy")
    (found,) = [f for f in report["findings"] if f["code"] == "cache-decides"]
    assert "id 1" in found["text"] and found["remedy"]
    # The daemon refuses what the command said it would.
    world.wait_for_delivery(world.send("y@gone.example"), "deferred")


def _slow_policy(world, domain: str) -> None:
    world.policy_hosts[f"mta-sts.{domain}"].reply.fault = "silent"


def _lost_record(world, domain: str) -> None:
    world.dns.fail(f"_mta-sts.{domain}", "TXT", "servfail")


@pytest.mark.parametrize("fault, setting, waits", [
    (_slow_policy, {}, False), (_slow_policy, {"first_contact": "hold"}, True),
    (_lost_record, {}, False), (_lost_record, {"on_dns_failure": "defer"}, True)])
def test_mail_that_would_wait_for_a_policy_is_undetermined(make_world, fault, setting, waits):
    world = make_world(sts=setting)
    world.add_domain("first.example", "enforce")
    fault(world, "first.example")
    result = run("first.example", "--json", "--timeout", "4", "--config", str(world.config_file))
    report = json.loads(result.stdout)
    assert (report["rule"] == "4.7.0") == waits, report
    if waits:
        assert result.returncode == UNDETERMINED
        assert report["text"].startswith("A message would wait: ")
        assert "MTA-STS policy" in report["text"]


def test_without_a_daemon_that_is_said(world):
    world.add_domain("alone.example", "enforce")
    _, report = check(world, "alone.example", "--no-connect")
    assert report["daemon"]["state"] == "unreachable" and report["daemon"]["detail"]


def test_a_daemons_overrides_count(make_world):
    world = make_world()
    world.add_domain("exempt.example", "enforce", leaf=Leaf.faulty("expired", "mx1.exempt.example"))
    code, report = check(world, "exempt.example")
    assert (code, report["verdict"]) == (REFUSED, "refused")
    until = (datetime.datetime.utcnow() + 30 * DAY).strftime("%Y-%m-%d")
    world.daemon.ctl("policy", "override", "exempt.example", "--level", "opportunistic", "--until",
                     until, "--reason", "ticket 123")
    code, report = check(world, "exempt.example")
    assert (code, report["verdict"]) == (FINDINGS, "delivered")
    (found,) = [f for f in report["findings"] if f["code"] == "exempted"]
    assert found["text"].startswith("an override exempts the domain") and found["remedy"]
    assert f"until {until} (ticket 123)" in found["text"]
    assert report["local_rule"]["origin"] == "override"
    text = run("exempt.example", "--config", str(world.config_file)).stdout
    assert f"opportunistic, until {until} (ticket 123)" in text
    # The daemon delivers what the command said it would.
    world.wait_for_delivery(world.send("x@exempt.example"), "delivered")
    world.daemon.ctl("policy", "override", "exempt.example", "--remove")
    code, report = check(world, "exempt.example")
    assert (code, report["verdict"]) == (REFUSED, "refused")

    world.add_domain("pinned.example")
    world.daemon.ctl("policy", "override", "*.example", "--mx", "mx9.elsewhere.example")
    code, report = check(world, "pinned.example")
    assert (code, report["rule"]) == (REFUSED, "mx-not-pinned")
    assert "override" in codes(report, "note")


def test_report_only_says_what_would_have_been_refused(make_world):
    leaf = Leaf.faulty("expired", "mx1.counted.example")
    world = make_world(start=False, tls_policy={"report_only": True})
    world.daemon.log_file.touch()
    world.add_domain("counted.example", "enforce", leaf=leaf)
    code, report = check(world, "counted.example")
    assert (code, report["verdict"]) == (FINDINGS, "delivered")
    assert report["text"].endswith("the host would be refused: verified-tls-not-met.")
    assert {"would-refuse", "certificate-expired"} <= faults(report)
    assert report["hosts"][0]["would_refuse"] == "verified-tls-not-met"
    assert report["local_rule"]["report_only"] is True
    # The same by command, of a daemon whose configuration enforces.
    world = make_world()
    world.add_domain("counted.example", "enforce", leaf=leaf)
    assert check(world, "counted.example")[0] == REFUSED
    world.daemon.ctl("policy", "override", "counted.example", "--level", "verify", "--report-only")
    code, report = check(world, "counted.example")
    assert (code, report["hosts"][0]["would_refuse"]) == (FINDINGS, "verified-tls-not-met")
    (found,) = [f for f in report["findings"] if f["code"] == "would-refuse"]
    assert "an override is report-only" in found["text"]


def test_a_preloaded_pin_counts_until_the_domain_has_a_policy(make_world):
    world = make_world(start=False)
    preload = world.folder / "preload.yaml"
    preload.write_text("listed.example: [mx9.listed.example]\n")
    world.write_config(tls_policy={"preload": str(preload)})
    world.daemon.log_file.touch()
    world.add_domain("listed.example")
    code, report = check(world, "listed.example")
    assert (code, report["rule"]) == (REFUSED, "mx-not-pinned")
    assert report["local_rule"]["origin"] == "preload"
    world.publish("listed.example", "enforce", ["mx1.listed.example"])
    code, report = check(world, "listed.example")
    assert (code, report["verdict"]) == (GOOD, "delivered-verified")
    assert report["local_rule"]["origin"] == "tls_policy.default"
