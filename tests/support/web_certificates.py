"""Certificates for the exporter's own TLS: a CA, what it signed, and one that signed itself."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, in PEM form."""

    cert: str
    key: str

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write both as `name.crt` and `name.key`, and return their paths."""
        cert, key = directory / f"{name}.crt", directory / f"{name}.key"
        cert.write_text(self.cert)
        key.write_text(self.key)
        return cert, key


@cache
def issued(name: str, issuer: str = "ca") -> Issued:
    """Return the certificate of *name* by *issuer*, by itself where both are the same."""
    key = _key(name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [
        x509.DNSName(name if "." in name else f"{name}.example"),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
    ]
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .sign(_key(issuer), hashes.SHA256())
    )
    return Issued(
        built.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


@cache
def encrypted_key(name: str) -> str:
    """Return the key of *name* under a password."""
    return (
        _key(name)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
        .decode()
    )


@cache
def _key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def client_context(directory: Path | None = None, client: Issued | None = None) -> ssl.SSLContext:
    """Return what trusts `ca`, and shows the certificate *client*, written into *directory*."""
    context = ssl.create_default_context(cadata=issued("ca", "ca").cert)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if client is not None and directory is not None:
        context.load_cert_chain(*client.write(directory, "client"))
    return context
