"""Whom to believe on the other end: one `SSLContext` per TLS setting, for the whole process.

Rule: fail closed. A certificate that is not accepted is an error with a hint, never a reason to
look away. Appliances ship with a self-signed certificate whose name does not match: hence the pin.

A context is loaded once: reading the CA store anew costs 40 to 50 ms of CPU for each connection.
So a *ca_file* that changes on disk is seen after a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from dataclasses import dataclass
from functools import cache

from ..errors import ConfigError, PBXError, TryAgain
from ..settings import TLS

_CA_HINT = "give its CA as tls.ca_file, or pin it with tls.fingerprint_sha256"
_NAME_HINT = (
    "write the name it is in into base_url, or pin it with tls.fingerprint_sha256, "
    "which needs no name"
)
_NAME_MISMATCH_CODES = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

HTTPS_HINT = "is it https that base_url's port speaks, in TLS 1.2 or newer?"


@dataclass(frozen=True, slots=True)
class TLSPolicy:
    """A TLS setting made ready: the shared context, and the pin where there is one."""

    context: ssl.SSLContext
    fingerprint: str | None

    def pin_error(self, certificate: bytes | None) -> PBXError | None:
        """Say what is wrong with a certificate that the context let pass; None is nothing."""
        if self.fingerprint is None:
            return None
        presented = hashlib.sha256(certificate or b"").hexdigest()
        if hmac.compare_digest(presented, self.fingerprint):
            return None
        return TryAgain(
            "the certificate is not the one of tls.fingerprint_sha256; "
            f"the server showed {presented}",
            reason="tls",
        )

    def handshake_error(self, error: ssl.SSLError) -> PBXError:
        """Turn a failed handshake into an error that says what to do."""
        if isinstance(error, ssl.SSLCertVerificationError):
            problem = error.verify_message.rstrip(".").lower()
            hint = _NAME_HINT if error.verify_code in _NAME_MISMATCH_CODES else _CA_HINT
            return TryAgain(f"certificate not accepted ({problem}): {hint}", reason="tls")
        problem = (error.reason or "connection closed").replace("_", " ").lower()
        return TryAgain(f"TLS handshake failed ({problem}); {HTTPS_HINT}", reason="tls")


@cache
def tls_policy_of(tls: TLS) -> TLSPolicy:
    """Return the one policy of this setting; raises `ConfigError` for an unusable *ca_file*."""
    if tls.fingerprint_sha256 is not None or tls.insecure_skip_verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca_file is not None:
        context = _context_of_ca_file(tls)
    else:
        context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return TLSPolicy(context, tls.fingerprint_sha256)


def _context_of_ca_file(tls: TLS) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(tls.ca_file))
    except OSError as error:
        problem = error.strerror or "no certificate in PEM form in it"
        if isinstance(error, ssl.SSLError):
            problem = "no certificate in PEM form in it"
        raise ConfigError(f"tls.ca_file {tls.ca_file}: {problem.lower()}") from None
    # Alike on every Python: what the user names is trusted, a CA or the PBX's own certificate,
    # and 3.13's strict form check would refuse what appliances make themselves.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
