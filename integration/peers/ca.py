"""A private certificate authority that issues good certificates and every kind of bad one."""

from __future__ import annotations

import datetime
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR = datetime.timedelta(hours=1)
DAY = 24 * HOUR


@dataclass(frozen=True)
class Leaf:
    """What a server certificate looks like; the defaults make a good one."""

    names: tuple[str, ...]  # dNSName SANs; empty: no SAN at all
    common_name: str = ""
    not_before: datetime.timedelta = -DAY  # from now
    not_after: datetime.timedelta = 30 * DAY
    issuer: str = "intermediate"  # intermediate | root | stranger | self | constrained
    send_chain: bool = True  # whether the server sends the intermediate
    server_auth: bool = True
    staple: str = ""  # what its server staples, by name of x509.ocsp.OCSPCertStatus; empty: nothing

    @staticmethod
    def good(*names: str) -> "Leaf":
        return Leaf(names=names)

    @staticmethod
    def faulty(fault: str, *names: str) -> "Leaf":
        """A certificate for names with the named fault."""
        faults = {
            "expired": dict(not_before=-30 * DAY, not_after=-HOUR),
            "not-yet-valid": dict(not_before=DAY),
            "self-signed": dict(issuer="self"),
            "unknown-ca": dict(issuer="stranger"),
            "no-intermediate": dict(send_chain=False),
            "name-constraints": dict(issuer="constrained"),
            "no-server-auth": dict(server_auth=False),
            "revoked": dict(staple="REVOKED"),
        }
        if fault == "common-name-only":
            return Leaf(names=(), common_name=names[0])
        return Leaf(names=names, **faults[fault])


@dataclass(frozen=True)
class _Issuer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Authority:
    """Root, intermediate, a name-constrained intermediate and a root nobody trusts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        root = self._authority("Test Root", None)
        self._issuers = {
            "root": root,
            "intermediate": self._authority("Test Intermediate", root),
            "constrained": self._authority("Test Constrained", root, permitted="allowed.example"),
            "stranger": self._authority("Unknown Root", None),
        }
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(_pem(root.certificate))
        self._files: dict[Leaf, Path] = {}
        self._lock = threading.Lock()

    def pem_file(self, leaf: Leaf) -> Path:
        """Key, certificate and chain of leaf in one file, made at first use, by any thread."""
        with self._lock:
            if leaf not in self._files:
                path = self._folder / f"leaf{len(self._files)}.pem"
                path.write_bytes(self._issue(leaf))
                self._files[leaf] = path
            return self._files[leaf]

    def staple(self, leaf: Leaf) -> bytes:
        """The OCSP response that leaf's server is to staple."""
        issuer = self._issuers[leaf.issuer]
        certificate = x509.load_pem_x509_certificate(self.pem_file(leaf).read_bytes())
        status = ocsp.OCSPCertStatus[leaf.staple]
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        response = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=certificate,
                issuer=issuer.certificate,
                algorithm=hashes.SHA1(),
                cert_status=status,
                this_update=_now() - HOUR,
                next_update=_now() + DAY,
                revocation_time=_now() - DAY if revoked else None,
                revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.NAME, issuer.certificate)
            .sign(issuer.key, hashes.SHA256())
        )
        return response.public_bytes(serialization.Encoding.DER)

    def server_context(
        self,
        leaf: Leaf,
        *,
        maximum: ssl.TLSVersion | None = None,
        ciphers: str = "",
    ) -> ssl.SSLContext:
        """A server-side TLS context; maximum and ciphers may go below what is safe today."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if maximum is not None:
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = maximum
        if ciphers or (maximum is not None and maximum < ssl.TLSVersion.TLSv1_2):
            context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
        context.load_cert_chain(self.pem_file(leaf))
        return context

    def _authority(self, name: str, parent: _Issuer | None, permitted: str = "") -> _Issuer:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = (
            _builder(subject, parent.certificate.subject if parent else subject, key)
            .not_valid_before(_now() - 365 * DAY)
            .not_valid_after(_now() + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )
        if permitted:
            builder = builder.add_extension(
                x509.NameConstraints([x509.DNSName(permitted)], None), critical=True
            )
        return _Issuer(builder.sign(parent.key if parent else key, hashes.SHA256()), key)

    def _issue(self, leaf: Leaf) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(leaf.common_name or "Test Server")
        issuer = self._issuers.get(leaf.issuer)
        builder = (
            _builder(subject, issuer.certificate.subject if issuer else subject, key)
            .not_valid_before(_now() + leaf.not_before)
            .not_valid_after(_now() + leaf.not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        usage = ExtendedKeyUsageOID.SERVER_AUTH if leaf.server_auth else (
            ExtendedKeyUsageOID.CLIENT_AUTH
        )
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if leaf.names:
            names = [x509.DNSName(name) for name in leaf.names]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ) + _pem(certificate)
        if leaf.send_chain and leaf.issuer in ("intermediate", "constrained"):
            pem += _pem(issuer.certificate)
        return pem


def _now() -> datetime.datetime:
    return datetime.datetime.utcnow()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
