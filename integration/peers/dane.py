"""TLSA records of the hosts of a world, and a world's DNS as zones to be signed (RFC 6698)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .ca import Leaf
from .dns import DnsServer
from .mx import MxHost
from .signed_zones import Zone
from .world import World


def filled(zones: Sequence[Zone], dns: DnsServer) -> list[Zone]:
    """The zones with what a scripted server was told to answer."""
    return [replace(zone, records=tuple(_lines(dns, zone, zones))) for zone in zones]


def _lines(dns: DnsServer, zone: Zone, zones: Sequence[Zone]) -> Iterator[str]:
    """The records that belong into a zone: into the longest of the zones that hold their name."""
    for name, kind, record in dns.all_records():
        holders = [other for other in zones if f".{name}".endswith(f".{other.name}")]
        if max(holders, key=lambda other: len(other.name), default=None) is zone:
            yield f"{name}. 300 IN {kind} {record}"


def certificates(world: World, leaf: Leaf) -> list[x509.Certificate]:
    """What a host with this leaf sends: the leaf, then its issuers."""
    parts = world.authority.pem_file(leaf).read_bytes().split(b"-----BEGIN CERTIFICATE-----")[1:]
    return [x509.load_pem_x509_certificate(b"-----BEGIN CERTIFICATE-----" + part)
            for part in parts]


def ee(world: World, leaf: Leaf) -> str:
    """The DANE-EE(3) record of a leaf: the digest of its key."""
    key = certificates(world, leaf)[0].public_key()
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"3 1 1 {hashlib.sha256(encoded).hexdigest()}"


def ta(world: World, leaf: Leaf) -> str:
    """The DANE-TA(2) record of a leaf: the digest of its issuer's certificate."""
    encoded = certificates(world, leaf)[1].public_bytes(Encoding.DER)
    return f"2 0 1 {hashlib.sha256(encoded).hexdigest()}"


def publish_tlsa(world: World, host: str, *records: str) -> None:
    world.dns.set(f"_25._tcp.{host}", "TLSA", list(records))


def add_host(world: World, name: str, leaf: Leaf | None = None, **options) -> MxHost:
    """An MX host whose key its TLSA record holds."""
    leaf = leaf or Leaf.good(name)
    host = world.add_mx(name, leaf=leaf, **options)
    publish_tlsa(world, name, ee(world, leaf))
    return host
