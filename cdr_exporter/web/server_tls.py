"""From the settings of TLS to what a handshake needs.

Rule: certificate and key are read and tried here, so that what is wrong with them is one message at
the start, and nothing is read during a handshake. Each file is read as a whole and with a bound.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ..errors import ConfigError
from ..settings.web import IF_GIVEN, NO_CERTIFICATE, REQUIRED, TLS_1_3_SUITES, ServerTLS

_MAX_PEM_BYTES = 1024 * 1024

_VERIFY = {
    NO_CERTIFICATE: ssl.CERT_NONE,
    IF_GIVEN: ssl.CERT_OPTIONAL,
    REQUIRED: ssl.CERT_REQUIRED,
}
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


class CertificateNotAllowed(OSError):
    """The client's certificate is good, and none of its names is in `client_allowed_sans`."""


@dataclass(frozen=True, slots=True)
class HandshakePolicy:
    """How to shake hands; with *allowed_names* a client's certificate needs one of them."""

    context: ssl.SSLContext
    allowed_names: frozenset[str] = frozenset()

    def check(self, tls: ssl.SSLObject) -> None:
        """Raise `CertificateNotAllowed` where the client's certificate has another name."""
        certificate = tls.getpeercert()
        if not self.allowed_names or not certificate:
            return
        names: Any = certificate.get("subjectAltName", ())  # pairs of kind and name
        if self.allowed_names.isdisjoint(_comparable(name) for _, name in names):
            raise CertificateNotAllowed


def handshake_policy(tls: ServerTLS) -> HandshakePolicy:
    """Return what *tls* asks for; raises `ConfigError` that begins with the key at fault."""
    certificate = _pem("cert_file", tls.cert_file, tls.cert or "")
    key = _pem("key_file", tls.key_file, tls.key.reveal() if tls.key else "")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.maximum_version = _VERSIONS[tls.max_version]
    context.set_alpn_protocols(["http/1.1"])
    # Each would cost us as much as a handshake, and the client nothing.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load(context, certificate, key)
    _set_ciphers(context, tls)
    _ask_for_certificates(context, tls)
    return HandshakePolicy(context, frozenset(map(_comparable, tls.client_allowed_sans)))


def files_of(tls: ServerTLS) -> tuple[Path, ...]:
    """Return the files that *tls* names."""
    return tuple(each for each in (tls.cert_file, tls.key_file, tls.client_ca_file) if each)


def _pem(key: str, path: Path | None, inline: str) -> str:
    if path is None:
        return inline
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{key}: is no file; name a file in PEM form")
        with path.open("rb") as file:
            content = file.read(_MAX_PEM_BYTES)
    except OSError as error:
        problem = (error.strerror or "input/output error").lower()
        raise ConfigError(f"{key}: cannot be read ({problem}); name a file in PEM form") from None
    return content.decode("ascii", errors="replace")


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    with _as_file(certificate) as certificate_file, _as_file(key) as key_file:
        # Without a certificate of its own OpenSSL would not say which of both is wrong.
        _refuse_bad_certificate(certificate)
        try:
            # OpenSSL would ask for the password of an encrypted key on the terminal.
            context.load_cert_chain(certificate_file, key_file, password=lambda: "")
        except (OSError, ValueError) as error:
            raise ConfigError(_key_problem(error, key)) from None


def _refuse_bad_certificate(pem: str) -> None:
    try:
        ssl.PEM_cert_to_DER_cert(_first_certificate(pem))
    except ValueError:
        raise ConfigError("cert_file: holds no certificate in PEM form") from None


def _first_certificate(pem: str) -> str:
    start, end = pem.find(ssl.PEM_HEADER), pem.find(ssl.PEM_FOOTER)
    if start < 0 or end < start:
        raise ValueError
    return pem[start : end + len(ssl.PEM_FOOTER)]


def _key_problem(error: Exception, key: str) -> str:
    if "ENCRYPTED" in key:
        return "key_file: is encrypted, and nobody is there to type its password; decrypt it"
    if "MISMATCH" in str(getattr(error, "reason", "")):
        return "key_file: does not belong to the certificate; name the key it was made with"
    return "key_file: holds no private key in PEM form, or the certificate is damaged"


def _set_ciphers(context: ssl.SSLContext, tls: ServerTLS) -> None:
    if suites := [each for each in tls.cipher_suites if each not in TLS_1_3_SUITES]:
        context.set_ciphers(":".join(suites))
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.Options.OP_CIPHER_SERVER_PREFERENCE
    for curve in tls.curve_preferences:
        context.set_ecdh_curve(curve)


def _ask_for_certificates(context: ssl.SSLContext, tls: ServerTLS) -> None:
    context.verify_mode = _VERIFY[tls.client_auth_type]
    authorities = _pem("client_ca_file", tls.client_ca_file, tls.client_ca or "")
    if not authorities:
        if tls.client_auth_type == IF_GIVEN:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    try:
        context.load_verify_locations(cadata=authorities)
    except (OSError, ValueError):
        raise ConfigError("client_ca_file: holds no certificate in PEM form") from None
    # As in Go: a certificate that stands in the file itself is good, also one that is no CA.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT


@contextmanager
def _as_file(pem: str) -> Iterator[str]:
    """Yield the name of a file with *pem* in it, on Linux in memory: Python loads only files."""
    if not hasattr(os, "memfd_create"):
        with NamedTemporaryFile("w") as file:
            file.write(pem)
            file.flush()
            yield file.name
        return
    with os.fdopen(os.memfd_create("pem"), "w") as memory:
        memory.write(pem)
        memory.flush()
        yield f"/proc/self/fd/{memory.fileno()}"


def _comparable(name: str) -> str:
    """Return *name*, an IP address in its shortest form: OpenSSL writes IPv6 in its longest."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
