"""A day of traffic with every result type, its midnight, and what the receivers of reports hold in
the end: Postfix, chasquid and nginx, and one host that is down for hours; killed between all steps.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import gzip
import os
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from unittest import mock

import pytest

import software
from peers.ca import Leaf
from peers.daemon import wait_until
from peers.dane import publish_tlsa
from peers.report_host import ReportHost
from peers.report_schema import complaints, parsed
from peers.world import World

dkim = pytest.importorskip("dkim")
NEEDED = software.missing("nginx", "postfix", "chasquid", "strace")
pytestmark = [
    pytest.mark.skipif(bool(NEEDED), reason=NEEDED or "all there"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix needs root to start"),
]

CONTACT = "tls@sender.example"
SENDING_IP = "127.0.0.1"
POSTFIX, CHASQUID = "postfix.example", "chasquid.example"
NGINX, DOWN = "nginx.example", "down.example"
EVERYWHERE = "everywhere.example"  # wants its report at each of the four
KILLS = 150  # more than there are steps


# --- the day ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class Domain:
    """One kind of session: how its domain is set up, and the one element of its report."""

    set_up: Callable[[World, str], None]
    element: Callable[[World, str], dict]
    deferred: bool = False


def _element(policy: dict, details: list[dict]) -> dict:
    failed = len(details)
    return {"policy": policy,
            "summary": {"total-successful-session-count": 1 - failed,
                        "total-failure-session-count": failed},
            "failure-details": details}


def _policy(kind: str, domain: str, strings: list[str], patterns: list[str]) -> dict:
    return {"policy-type": kind, "policy-string": strings, "policy-domain": domain,
            "mx-host": patterns}


def _sts(domain: str, mode: str, patterns: list[str]) -> dict:
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {name}" for name in patterns),
             "max_age: 86400"]
    return _policy("sts", domain, lines, patterns)


def _in_session(world: World, domain: str, kind: str, reason: str) -> dict:
    host = world.mx[f"mx1.{domain}"]
    return {"result-type": kind, "sending-mta-ip": SENDING_IP, "receiving-mx-hostname": host.name,
            "receiving-mx-helo": host.name, "receiving-ip": host.ip, "failed-session-count": 1,
            "failure-reason-code": reason}


def _before_session(kind: str, reason: str, mx: str = "") -> dict:
    return {"result-type": kind, **({"receiving-mx-hostname": mx} if mx else {}),
            "failed-session-count": 1, "failure-reason-code": reason}


def _plain(world: World, domain: str) -> None:
    world.add_domain(domain, starttls="no")


def _bad_certificate(fault: str, kind: str, reason: str) -> Domain:
    def set_up(world: World, domain: str) -> None:
        host = f"mx1.{domain}"
        leaf = Leaf.faulty(fault, host) if fault else Leaf.good("elsewhere.example")
        world.add_domain(domain, "testing", leaf=leaf)

    return Domain(set_up, lambda world, domain: _element(
        _sts(domain, "testing", [f"mx1.{domain}"]), [_in_session(world, domain, kind, reason)]))


def _unlisted(world: World, domain: str) -> None:
    world.add_domain(domain)
    world.publish(domain, "testing", [f"mx9.{domain}"])


def _secure(world: World, domain: str) -> str:
    """A domain whose MX and address records are signed, as the resolver says."""
    host = world.add_domain(domain)
    world.set_mx(domain, host, authentic=True)
    world.dns.set(host.name, "A", host.ip, authentic=True)
    return host.name


UNUSABLE = "1 1 1 " + "AB" * 32  # PKIX-EE is not for SMTP (RFC 7672 section 3.1.3)


def _unusable_tlsa(world: World, domain: str) -> None:
    world.dns.set(f"_25._tcp.{_secure(world, domain)}", "TLSA", UNUSABLE, authentic=True)


def _bogus_tlsa(world: World, domain: str) -> None:
    world.dns.fail(f"_25._tcp.{_secure(world, domain)}", "TLSA", "servfail")


def _tlsa(strings: list[str], detail: Callable[[World, str], dict]):
    return lambda world, domain: _element(_policy("tlsa", f"mx1.{domain}", strings, []),
                                          [detail(world, domain)])


def _fetch(change: Callable[[World, str], None], kind: str, reason: str) -> Domain:
    def set_up(world: World, domain: str) -> None:
        world.add_domain(domain)
        change(world, domain)

    return Domain(set_up, lambda _, domain: _element(_policy("sts", domain, [], []),
                                                     [_before_session(kind, reason)]))


def _not_found(world: World, domain: str) -> None:
    world.publish(domain, "enforce", [f"mx1.{domain}"]).reply.status = 404


DOMAINS = {
    "starttls-not-supported": Domain(
        lambda world, domain: _plain(world, domain),
        lambda world, domain: _element(_policy("no-policy-found", domain, [], []), [
            _in_session(world, domain, "starttls-not-supported", "not-advertised")])),
    "certificate-host-mismatch": _bad_certificate(
        "", "certificate-host-mismatch", "X509_V_ERR_HOSTNAME_MISMATCH"),
    "certificate-expired": _bad_certificate(
        "expired", "certificate-expired", "X509_V_ERR_CERT_HAS_EXPIRED"),
    "certificate-not-trusted": _bad_certificate(
        "self-signed", "certificate-not-trusted", "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"),
    "validation-failure": Domain(
        _unlisted,
        lambda world, domain: _element(_sts(domain, "testing", [f"mx9.{domain}"]), [
            _in_session(world, domain, "validation-failure", "sts-mx-mismatch")])),
    "tlsa-invalid": Domain(
        _unusable_tlsa,
        _tlsa([UNUSABLE], lambda world, domain: _in_session(
            world, domain, "tlsa-invalid", "all-tlsa-unusable"))),
    "dnssec-invalid": Domain(
        _bogus_tlsa,
        _tlsa([], lambda _, domain: _before_session(
            "dnssec-invalid", "tlsa-servfail", f"mx1.{domain}")), deferred=True),
    "dane-required": Domain(
        _secure,
        _tlsa([], lambda _, domain: _before_session(
            "dane-required", "no-secure-tlsa", f"mx1.{domain}")), deferred=True),
    "sts-policy-fetch-error": _fetch(_not_found, "sts-policy-fetch-error", "http-404"),
    "sts-policy-invalid": _fetch(
        lambda world, domain: world.publish(
            domain, "enforce", [], body=b"version: STSv1\nmode: enforce\nmax_age: 86400\n"),
        "sts-policy-invalid", "no-mx"),
    "sts-webpki-invalid": _fetch(
        lambda world, domain: world.publish(
            domain, "enforce", [f"mx1.{domain}"],
            leaf=Leaf.faulty("expired", f"mta-sts.{domain}")),
        "sts-webpki-invalid", "X509_V_ERR_CERT_HAS_EXPIRED"),
    "everywhere": Domain(
        lambda world, domain: world.add_domain(domain, "enforce"),
        lambda _, domain: _element(_sts(domain, "enforce", [f"mx1.{domain}"]), [])),
}


# --- the receivers ---------------------------------------------------------------------------
class Receivers:
    """Four places where reports go to, by name of host."""

    def __init__(self, world: World, folder: Path) -> None:
        self._programs: list[software.Program] = []
        self._world = world
        self._mailboxes: dict[str, Path] = {}
        self.uri = {POSTFIX: f"mailto:tls@{POSTFIX}", CHASQUID: f"mailto:tls@{CHASQUID}",
                    NGINX: f"https://{NGINX}:{world.https_port}/v1",
                    DOWN: f"https://{DOWN}:{world.https_port}/v1"}
        try:
            self._start(folder)
        except BaseException:
            self.stop()
            raise

    def _start(self, folder: Path) -> None:
        world, pem = self._world, self._world.authority.pem_file
        postfix, chasquid, nginx, down = (world.address() for _ in range(4))
        for domain, address in {POSTFIX: postfix, CHASQUID: chasquid}.items():
            world.set_mx(domain, f"mx.{domain}")
            world.dns.set(f"mx.{domain}", "A", address)
            world.publish(domain, "enforce", ["mx9.elsewhere.example"])  # reports come all the same
        self._start_postfix(folder / "postfix", postfix, pem(Leaf.good(f"mx.{POSTFIX}")))
        server = software.Chasquid(folder / "chasquid", chasquid, world.smtp_port,
                                   f"mx.{CHASQUID}", CHASQUID, pem(Leaf.good(f"mx.{CHASQUID}")))
        self._programs.append(server)
        self._mailboxes[CHASQUID] = server.inbox
        self._nginx = software.NginxReports(folder / "nginx", nginx, world.https_port, NGINX,
                                            pem(Leaf.good(NGINX)))
        self._programs.append(self._nginx)
        self.down = ReportHost(world.authority, DOWN)
        self.down.reply.status = 503
        world.call(self.down.start(down, world.https_port))
        world._servers.append(self.down)
        world.dns.set(NGINX, "A", nginx)
        world.dns.set(DOWN, "A", down)

    def _start_postfix(self, folder: Path, address: str, pem: Path) -> None:
        mailboxes = folder / "mailboxes"
        for name in ("new", "cur", "tmp"):
            (mailboxes / "inbox" / name).mkdir(parents=True)
        for path in (mailboxes, *mailboxes.rglob("*")):
            os.chown(path, 65534, 65534)
        self._mailboxes[POSTFIX] = mailboxes / "inbox" / "new"
        self._programs.append(software.Postfix(
            folder, {f"{address}:{self._world.smtp_port}": {"smtpd_tls_chain_files": str(pem)}}, {
                "myhostname": f"mx.{POSTFIX}",
                "mydestination": "",
                "virtual_mailbox_domains": POSTFIX,
                "virtual_mailbox_base": str(mailboxes),
                "virtual_mailbox_maps": "static:inbox/",
                "virtual_uid_maps": "static:65534",
                "virtual_gid_maps": "static:65534",
                "smtpd_relay_restrictions": "reject_unauth_destination",
                "smtpd_tls_security_level": "may",
            }))

    def stop(self) -> None:
        for program in reversed(self._programs):
            program.stop()

    def mails(self, host: str) -> list[bytes]:
        """As they were signed, so without what the receiver put before."""
        files = [path for path in self._mailboxes[host].glob("*") if not path.name.startswith(".")]
        texts = [path.read_bytes().replace(b"\r\n", b"\n") for path in sorted(files)]
        return [text[text.index(b"DKIM-Signature:"):].replace(b"\n", b"\r\n") for text in texts]

    def posts(self, host: str) -> list[bytes]:
        if host == DOWN:
            return [request.body for request in self.down.posted]
        assert {head for head, _ in self._nginx.posted()} <= {"POST /v1 application/tlsrpt+gzip"}
        return [body for _, body in self._nginx.posted()]


@pytest.fixture
def life(make_world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("life")
    for parent in (folder, *list(folder.parents)[:-1]):  # Postfix's own user must get there
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    world = make_world(
        start=False, reports={
            "organization": "Sender", "contact": CONTACT, "window": "0s", "grace": "0s",
            "dkim": [{"selector": name, "key_file": str(folder / f"{name}.pem")}
                     for name in ("mail", "tlsrpt")]},
        tls_policy={"domains": {"dane-required.example": {"level": "dane-only"}}})
    receivers = Receivers(world, folder)
    yield world, receivers
    receivers.stop()


# --- its steps ---------------------------------------------------------------------------------
def _publish_keys(world: World) -> dict[bytes, bytes]:
    """Makes keys as an operator does, and publishes what is said; returns that."""
    made = world.daemon.run("report", "setup", "--generate-keys", "--json")
    assert made.returncode == 2, made.stderr  # nothing is published yet
    records = {record["name"]: record["text"] for record in parsed(made.stdout.encode())["records"]
               if "_domainkey" in record["name"]}
    for name, text in records.items():
        pieces = " ".join(f'"{text[at:at + 255]}"' for at in range(0, len(text), 255))
        world.dns.set(name, "TXT", pieces)
    assert world.daemon.run("report", "setup").returncode == 0
    assert world.daemon.run("report", "selftest").returncode == 0
    return {f"{name}.".encode(): text.encode() for name, text in records.items()}


def _wanted(receivers: Receivers) -> dict[str, list[str]]:
    """Where each domain wants its report."""
    names = [f"{name}.example" for name in DOMAINS]
    places = list(receivers.uri)
    return {name: places if name == EVERYWHERE else [places[number % len(places)]]
            for number, name in enumerate(names)}


def _have_the_day(world: World, wanted: dict[str, list[str]], uri: dict[str, str]) -> None:
    """One session with each domain, counted; nothing is left to be tried again."""
    for name, kind in DOMAINS.items():
        kind.set_up(world, f"{name}.example")
        world.dns.set(f"_smtp._tls.{name}.example", "TXT", "v=TLSRPTv1; rua=" + ",".join(
            uri[place] for place in wanted[f"{name}.example"]))
    world.start()
    for name, kind in DOMAINS.items():
        id = world.send(f"x@{name}.example")
        world.wait_for_delivery(id, "deferred" if kind.deferred else "delivered")
        if kind.deferred:
            assert world.daemon.run("queue", "remove", id).returncode == 0
    for name in DOMAINS:
        wait_until(lambda: world.counts(f"{name}.example"), f"{name} to be counted")


def _set_clock(world: World, ahead: str) -> None:
    world.daemon.kill()
    world.write_config(test_world={"clock_offset": ahead})


def _stages(world: World, day: str) -> dict[tuple[str, str], str]:
    """How far each delivery is, by domain and URI."""
    reports = world.daemon.ctl("report", "list", "--day", day)["reports"]
    return {(report["domain"], delivery["uri"]): delivery["stage"]
            for report in reports for delivery in report["deliveries"]}


def _states_on_disk(world: World) -> frozenset[str]:
    """How far the reports are, by what a daemon that is dead has left."""
    with contextlib.closing(sqlite3.connect(
            f"file:{world.folder}/spool/spool.db?mode=ro", uri=True)) as spool:
        return frozenset(state for state, in spool.execute(
            "SELECT state FROM reports WHERE state != 'rendered' "
            "UNION SELECT stage FROM report_deliveries"))


def _run_killed(world: World, is_done: Callable[[], bool]) -> list[frozenset[str]]:
    """Lets the daemon die by SIGKILL at one of its first syncs, again and again, until it has no
    more to write: so it dies after each kind of transaction, before anything follows from it. Not
    always at the very first: then an attempt, which is noted before it is made, would never be.
    Answer: for each death, the states that reports and their deliveries were in."""
    found = []
    for deaths in range(KILLS):
        last = deaths % 4 + 1
        world.daemon.start(wait=False, wrapper=[
            "strace", "-D", "-f", "-qq", "-o", "/dev/null",
            "-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:signal=KILL:when={last}"])
        wait_until(lambda: world.daemon.process.poll() is not None or is_done(),
                   "the daemon to die, or to be done")
        if world.daemon.process.poll() is None:
            return found
        world.daemon.kill()
        found.append(_states_on_disk(world))
    raise AssertionError(f"not done after {KILLS} kills")


def _by_domain(reports: list[dict]) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for report in reports:
        [element] = report["policies"]
        domain = element["policy"]["policy-domain"].removeprefix("mx1.")
        assert found.setdefault(domain, report) == report, "two reports that differ"
    return found


def _check_mail(mail: bytes, records: dict[bytes, bytes]) -> dict:
    """A mailed report, which must be signed twice and be called what it is; its JSON."""
    signed_at = time.time() + 2 * 86400  # the daemon's clock was ahead, and dkimpy minds that
    with mock.patch("dkim.time.time", return_value=signed_at):
        for index, strictness in enumerate([False, "strict"]):  # the second is for reports only
            assert dkim.DKIM(mail, tlsrpt=strictness).verify(
                index, dnsfunc=lambda name, timeout=5: records[name])
    message = email.message_from_bytes(mail, policy=email.policy.default)
    report = message.get_payload(1)
    assert report.get_content_type() == "application/tlsrpt+gzip"
    content = parsed(gzip.decompress(report.get_content()))
    [element] = content["policies"]
    domain = message["TLS-Report-Domain"]
    assert element["policy"]["policy-domain"].removeprefix("mx1.") == domain
    assert message["Subject"] == (f"Report Domain: {domain} Submitter: sender.example "
                                  f"Report-ID: <{content['report-id']}>")
    return content


def test_the_life_of_a_day(life):
    world, receivers = life
    records = _publish_keys(world)
    wanted = _wanted(receivers)
    started = datetime.now(timezone.utc)
    _have_the_day(world, wanted, receivers.uri)
    day = f"{started:%Y-%m-%d}"

    # Midnight; from now on it dies at every step.
    _set_clock(world, "1d")
    up = {(domain, receivers.uri[place]) for domain, places in wanted.items() for place in places
          if place != DOWN}
    down = {(domain, receivers.uri[DOWN]) for domain, places in wanted.items() if DOWN in places}

    def is_done() -> bool:
        listed = world.daemon.run("report", "list", "--json", "--day", day)
        if listed.returncode != 0:
            return False
        stages = {(report["domain"], delivery["uri"]): (delivery["stage"], delivery["attempts"])
                  for report in parsed(listed.stdout.encode())["reports"]
                  for delivery in report["deliveries"]}
        return set(stages) == up | down and all(
            stages[key][0] == "accepted" for key in up) and all(
            stages[key][1] > 0 for key in down)

    deaths = _run_killed(world, is_done)
    assert deaths[0] == frozenset(), "before anything was planned"
    for state in ("planned", "rendered", "handed-over", "accepted"):
        assert any(state in death for death in deaths), f"it never died with a report {state}"

    # One destination is down for hours, then it is back.
    for ahead in ("30h", "36h"):
        before = len(receivers.down.posted)
        _set_clock(world, ahead)
        world.daemon.start()
        wait_until(lambda: len(receivers.down.posted) >= before + len(down), "further attempts")
        assert {_stages(world, day)[key] for key in down} <= {"rendered", "handed-over"}
    receivers.down.reply.status = 201
    _set_clock(world, "42h")
    world.daemon.start()
    wait_until(lambda: {_stages(world, day)[key] for key in down} == {"accepted"}, "the last ones")
    assert {_stages(world, day)[key] for key in up} == {"accepted"}

    # What the receivers hold now: what happened, once, and whatever came twice was the same.
    held = {place: _by_domain([_check_mail(mail, records) for mail in set(receivers.mails(place))])
            for place in (POSTFIX, CHASQUID)}
    held |= {place: _by_domain([parsed(gzip.decompress(body))
                                for body in set(receivers.posts(place))])
             for place in (NGINX, DOWN)}
    for place, reports in held.items():
        assert set(reports) == {domain for domain, places in wanted.items() if place in places}
        repeated = set(receivers.mails(place) if place in (POSTFIX, CHASQUID) else
                       receivers.posts(place))
        assert len(repeated) == len(reports), f"{place} got other octets for the same report"
        for domain, report in reports.items():
            assert complaints(report) == []
            id = report.pop("report-id")
            assert re.fullmatch(rf"{day.replace('-', '')}\.[0-9a-f]{{32}}@sender\.example", id)
            assert report == {
                "organization-name": "Sender",
                "date-range": {"start-datetime": f"{day}T00:00:00Z",
                               "end-datetime": f"{day}T23:59:59Z"},
                "contact-info": CONTACT,
                "policies": [DOMAINS[domain.removesuffix(".example")].element(world, domain)],
            }
    kinds = {detail["result-type"] for reports in held.values() for report in reports.values()
             for detail in report["policies"][0]["failure-details"]}
    assert len(kinds) == 11
    # The mails that carried reports are none of what is reported (RFC 8460 section 3).
    assert world.counts(POSTFIX) == [] and world.counts(CHASQUID) == []
