"""Which certificates are accepted: one `SSLContext` per TLS setting, shared by the whole process.

Rule: a certificate that is not accepted is an error that says what to configure; no setting falls
back to a weaker one. A PBX leaves the factory with a self-signed certificate in another name, so a
certificate can be accepted by its fingerprint (`tls.fingerprint_sha256`).

A context is made once per setting: loading the CA certificates for each connection costs 40 to
50 ms of CPU. So a changed *ca_file* takes effect after a restart.
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
    """A TLS setting ready for use: the shared context, and the accepted fingerprint if one is set.

    *fingerprint* is the SHA-256 of the certificate in DER form, 64 lower-case hex digits. With one,
    the context checks neither chain nor name.
    """

    context: ssl.SSLContext
    fingerprint: str | None

    def pin_error(self, certificate: bytes | None, server: str) -> PBXError | None:
        """Return the error for a *certificate* (DER) of another fingerprint; None is accepted.

        *server* is host and port, for the message.
        """
        if self.fingerprint is None:
            return None
        presented = hashlib.sha256(certificate or b"").hexdigest()
        if hmac.compare_digest(presented, self.fingerprint):
            return None
        return TryAgain(
            f"the certificate of {server} is not the one of tls.fingerprint_sha256: its own is "
            f"{presented}; write that, if the PBX was given a new one",
            reason="tls",
        )

    def handshake_error(self, error: ssl.SSLError, server: str) -> PBXError:
        """Return the error for a failed handshake with *server*, with what to configure."""
        if isinstance(error, ssl.SSLCertVerificationError):
            problem = error.verify_message.rstrip(".").lower()
            hint = _NAME_HINT if error.verify_code in _NAME_MISMATCH_CODES else _CA_HINT
            return TryAgain(
                f"certificate of {server} not accepted ({problem}): {hint}", reason="tls"
            )
        problem = (error.reason or "connection closed").replace("_", " ").lower()
        return TryAgain(
            f"TLS handshake with {server} failed ({problem}); {HTTPS_HINT}", reason="tls"
        )


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
    # The same on every Python version: what the file holds is accepted, whether a CA or the PBX's
    # own certificate. Python 3.13 checks the form strictly by default, which certificates made by
    # appliances do not pass.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
