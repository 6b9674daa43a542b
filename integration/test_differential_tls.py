"""The daemon's verdict on certificates and TLSA records beside Postfix's, by posttls-finger.

Certificates are judged under an enforce policy and at Postfix's level "secure", TLSA records in a
signed zone and at its level "dane-only". Where the two differ, a table says who is right.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from peers.ca import Leaf
from peers.daemon import wait_until
from peers.dane import certificates, filled, publish_tlsa
from peers.mx import MxHost
from peers.signed_zones import PROGRAMS, SignedZones, Zone
from peers.world import World

pytestmark = pytest.mark.needs(*PROGRAMS, "posttls-finger", "unshare",
                               root="a resolver on port 53 with a resolv.conf of its own")

ZONE = "all.test"
RECORD_SETS = 120


# world -> verdicts (ours, theirs), and who is right.
EXPLAINED = {
    "common-name-only": (("refused", "verified"), "their fault: RFC 8461 section 4.2 wants a name "
                                                  "in a SAN; Postfix takes the CN without one"),
}


@dataclass
class Case:
    kind: str  # certificate | tlsa
    label: str
    domain: str
    host: MxHost
    ours: str = ""
    theirs: str = ""


# --- certificates ------------------------------------------------------------------------------
NAMES = {
    "own": "{host}", "upper-case": "MX.{DOMAIN}", "wildcard": "*.{domain}",
    "wildcard-partial": "m*.{domain}", "wildcard-two": "*.*.all.test",
    "wildcard-wide": "*.all.test", "wildcard-bare": "*", "domain": "{domain}",
    "deeper": "a.{host}", "other": "elsewhere.test",
}
FAULTS = ("", "expired", "not-yet-valid", "self-signed", "unknown-ca", "no-intermediate",
          "name-constraints", "no-server-auth")


def certificate_cases(world: World) -> Iterator[Case]:
    def case(label: str, domain: str, leaf: Leaf) -> Case:
        host = world.add_mx(f"mx.{domain}", leaf=leaf)
        world.publish(domain, "enforce", [host.name])
        return Case("certificate", label, domain, host)

    for number, (names, fault) in enumerate(itertools.product(NAMES, FAULTS)):
        domain = f"c{number}.{ZONE}"
        name = NAMES[names].format(host=f"mx.{domain}", domain=domain, DOMAIN=domain.upper())
        yield case(f"{names} {fault}", domain,
                   Leaf.faulty(fault, name) if fault else Leaf.good(name))
    yield case("common-name-only", f"cn.{ZONE}", Leaf.faulty("common-name-only", f"mx.cn.{ZONE}"))
    yield case("common-name-beside-san", f"cs.{ZONE}",
               Leaf(names=("elsewhere.test",), common_name=f"mx.cs.{ZONE}"))


# --- TLSA records ------------------------------------------------------------------------------
def tlsa(certificate: x509.Certificate, usage: int, selector: int, matching: int) -> str:
    data = certificate.public_bytes(Encoding.DER) if selector == 0 else (
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    digest = {1: hashlib.sha256, 2: hashlib.sha512}.get(matching)
    return f"{usage} {selector} {matching} {(digest(data).digest() if digest else data).hex()}"


GOOD = [(usage, selector, matching) for usage in (2, 3) for selector in (0, 1)
        for matching in (0, 1, 2) if (usage, matching) != (2, 0)]
# Records that no certificate matches, and records that nobody can use.
FIXED = ["3 1 1 " + "00" * 32, "3 1 2 " + "00" * 64, "3 0 1 " + "00" * 32, "2 0 1 " + "00" * 32,
         "2 1 2 " + "00" * 64, "1 1 1 " + "00" * 32, "0 0 1 " + "00" * 32, "9 1 1 " + "00" * 32,
         "3 9 1 " + "00" * 32, "3 1 9 " + "00" * 32, "3 1 1 00ff", "2 0 2 " + "00" * 32]
LEAVES = ("own", "other", "expired", "domain")


def tlsa_cases(world: World) -> Iterator[Case]:
    chance = random.Random(7672)
    chosen = [([record], leaf) for record in [*GOOD, *FIXED] for leaf in LEAVES]
    while len(chosen) < len(LEAVES) * (len(GOOD) + len(FIXED)) + RECORD_SETS:
        chosen.append((chance.sample([*GOOD, *FIXED], chance.choice((2, 3))),
                       chance.choice(LEAVES)))
    for number, (records, names) in enumerate(chosen):
        domain = f"d{number}.{ZONE}"
        name = f"mx.{domain}"
        leaf = {"own": Leaf.good(name), "other": Leaf.good("elsewhere.test"),
                "domain": Leaf.good(domain), "expired": Leaf.faulty("expired", name)}[names]
        chain = certificates(world, leaf)
        texts = [record if isinstance(record, str) else
                 tlsa(chain[0 if record[0] == 3 else 1], *record) for record in records]
        host = world.add_mx(name, leaf=leaf)
        publish_tlsa(world, name, *texts)
        world.dns.set(f"_{world.smtp_port}._tcp.{name}", "TLSA", texts)  # Postfix asks by the port
        yield Case("tlsa", f"{names}: {', '.join(text[:12] for text in texts)}", domain, host)


# --- the judges --------------------------------------------------------------------------------
def ask_daemon(world: World, cases: list[Case]) -> None:
    ids = {world.send(f"x@{case.domain}"): case for case in cases}
    wait_until(lambda: set(ids) <= {line["id"] for line in world.deliveries()}, "deliveries", 120)
    types = {case.domain: set() for case in cases}
    for entry in world.daemon.ctl("results")["results"]:
        types[entry["report_domain"]] |= {f["result_type"] for f in entry["failures"]}
    for line in world.deliveries():
        case = ids[line["id"]]
        if "tlsa-invalid" in types[case.domain]:
            case.ours = "unusable"
        elif line["result"] == "delivered":
            case.ours = "verified"
        else:
            case.ours = "refused" if "its certificate" in line["reply"] else line["reply"]


def ask_postfix(world: World, case: Case, resolv_conf: Path) -> None:
    finger = ["posttls-finger", "-c", "-F", str(world.authority.ca_file)]
    if case.kind == "certificate":
        command = [*finger, "-l", "secure", f"[{case.host.ip}]:{world.smtp_port}", case.host.name]
    else:
        command = ["unshare", "--mount", "sh", "-c",
                   'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(resolv_conf),
                   *finger, "-l", "dane-only", f"{case.domain}:{world.smtp_port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    text = done.stdout + done.stderr
    assert "TLS connection established" in text, f"{case.label}: {text}"
    if "no usable TLSA records found" in text or "all TLSA records unusable" in text:
        case.theirs = "unusable"
    else:
        case.theirs = "verified" if "Verified TLS connection" in text else "refused"


@pytest.fixture(scope="module")
def judged(authority, tmp_path_factory) -> Iterator[list[Case]]:
    world = World(authority)
    folder = tmp_path_factory.mktemp("zones")
    cases = [*certificate_cases(world), *tlsa_cases(world)]
    for case in cases:
        world.set_mx(case.domain, case.host)
    address = world.address()
    with SignedZones(folder, address, filled([Zone(ZONE)], world.dns), port=53):
        resolv_conf = folder / "resolv.conf"
        resolv_conf.write_text(f"nameserver {address}\noptions edns0 trust-ad\n")
        world.write_config(test_world={"resolvers": [f"{address}:53"]}, dns={"timeout": "5s"})
        world.start()
        ask_daemon(world, cases)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda case: ask_postfix(world, case, resolv_conf), cases))
        yield cases
        world.close()


def test_every_difference_is_explained(judged):
    found = {case.label: (case.ours, case.theirs) for case in judged if case.ours != case.theirs}
    assert found == {label: verdicts for label, (verdicts, _) in EXPLAINED.items()}


def test_every_verdict_was_seen(judged):
    assert {(case.kind, case.ours) for case in judged} == {
        ("certificate", "verified"), ("certificate", "refused"),
        ("tlsa", "verified"), ("tlsa", "refused"), ("tlsa", "unusable")}
