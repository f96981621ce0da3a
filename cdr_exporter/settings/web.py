"""What the file of `--web.config.file` may say: TLS, logins, headers, a limit of requests.

It is the file of Prometheus' exporter-toolkit, so that one file serves several exporters. Its keys
and values are those of the toolkit; what this program cannot do is refused with a word about what
it can. Suites and curves are kept by the names that OpenSSL gives them.

Source: docs/web-configuration.md of prometheus/exporter-toolkit, v0.17.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from ..secret import Secret
from . import kinds
from .durations import parse_duration
from .kinds import ListOf, Setting, Table, Value, group_of

TLS_1_3_SUITES = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
"""These are always there in TLS 1.3, in Go too; naming them changes nothing."""

_SUITES = {
    **{name: name for name in TLS_1_3_SUITES},
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""Go's names of the suites that it calls secure, and OpenSSL's."""

_CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}

NO_CERTIFICATE = "NoClientCert"
IF_GIVEN = "VerifyClientCertIfGiven"
REQUIRED = "RequireAndVerifyClientCert"
_UNCHECKED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")

TLS_1_2, TLS_1_3 = "TLS12", "TLS13"
_OLD_VERSIONS = ("TLS10", "TLS11")

_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_COSTS = range(4, 19)
"""2 to the power of it are the rounds; with 18 one check takes some 20 seconds."""

_MAX_NAME_BYTES = 255
_FRAME_OPTIONS = ("deny", "sameorigin")


def _named(noun: str, names: Mapping[str, str]) -> Value:
    def convert(text: str) -> str:
        if text not in names:
            raise ValueError(f"is not a known {noun}; write one of {', '.join(names)}")
        return names[text]

    return Value(str, convert)


def _parse_version(text: str) -> str:
    if text in _OLD_VERSIONS:
        raise ValueError(f"is too old to be safe; write {TLS_1_2} or {TLS_1_3}")
    if text not in (TLS_1_2, TLS_1_3):
        raise ValueError(f"is not a known version of TLS; write {TLS_1_2} or {TLS_1_3}")
    return text


def _parse_client_auth(text: str) -> str:
    if text in _UNCHECKED:
        raise ValueError(f"takes any certificate unchecked, which is not done; write {REQUIRED}")
    if text not in (NO_CERTIFICATE, IF_GIVEN, REQUIRED):
        raise ValueError(f"is not a known policy; write {NO_CERTIFICATE}, {IF_GIVEN} or {REQUIRED}")
    return text


def _parse_curves(curves: Sequence[str]) -> tuple[str, ...]:
    if len(curves) != 1:
        raise ValueError("has not exactly one curve; keep one, or remove the key for all of them")
    return tuple(curves)


def _parse_user(name: str) -> str:
    if ":" in name:
        raise ValueError("has a colon in it, which no browser can send; choose another name")
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise ValueError(f"is longer than {_MAX_NAME_BYTES} bytes; choose a shorter name")
    return name


def _parse_hash(text: str) -> Secret:
    match = _BCRYPT.fullmatch(text)
    if match is None:
        raise ValueError("is not a bcrypt hash; make one with: htpasswd -nBC 10 ''")
    if int(match["cost"]) not in _COSTS:
        raise ValueError(
            f"has a cost that is not {_COSTS[0]} to {_COSTS[-1]}; hash it with cost 10"
        )
    return Secret(text)


def _parse_interval(text: str) -> float:
    return 0.0 if text == "0" else parse_duration(text)


def _parse_http2(wanted: bool) -> bool:
    if wanted:
        raise ValueError("asks for HTTP/2, which is not served; remove the key or write false")
    return wanted


def _header(*allowed: str) -> Value:
    def convert(text: str) -> str:
        if allowed and text not in allowed:
            raise ValueError(f"has another value than it may; write {' or '.join(allowed)}")
        if not text.isascii():
            raise ValueError("holds characters that no header has; write it in ASCII")
        return text

    return Value(str, convert, also=(int,))


def _pem(noun: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if "-----BEGIN " not in text:
            raise ValueError(
                f"is not a {noun} in PEM form; paste it from its BEGIN to its END line"
            )
        return text

    return convert


_INLINE_CERTIFICATE = Value(str, _pem("certificate"), has_lines=True)
_INLINE_KEY = Value(str, lambda text: Secret(_pem("key")(text)), has_lines=True)


@dataclass(frozen=True, slots=True)
class ServerTLS:
    """The certificate that is shown, and which certificates of clients are accepted.

    Of *cert* and *cert_file* exactly one is set, and of *key* and *key_file*.
    """

    cert: Annotated[str | None, Setting(_INLINE_CERTIFICATE)] = None
    key: Annotated[Secret | None, Setting(_INLINE_KEY)] = None
    client_ca: Annotated[str | None, Setting(_INLINE_CERTIFICATE)] = None
    cert_file: Annotated[Path | None, Setting(kinds.PATH)] = None
    key_file: Annotated[Path | None, Setting(kinds.PATH)] = None
    client_auth_type: Annotated[str, Setting(Value(str, _parse_client_auth))] = NO_CERTIFICATE
    client_ca_file: Annotated[Path | None, Setting(kinds.PATH)] = None
    client_allowed_sans: Annotated[tuple[str, ...], Setting(ListOf(kinds.text()))] = ()
    min_version: Annotated[str, Setting(Value(str, _parse_version))] = TLS_1_2
    max_version: Annotated[str, Setting(Value(str, _parse_version))] = TLS_1_3
    cipher_suites: Annotated[tuple[str, ...], Setting(ListOf(_named("cipher suite", _SUITES)))] = ()
    prefer_server_cipher_suites: Annotated[bool, Setting(kinds.YES_NO)] = True
    curve_preferences: Annotated[
        tuple[str, ...], Setting(ListOf(_named("curve", _CURVES), _parse_curves))
    ] = ()


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers that every response gets, in place of our own."""

    csp: Annotated[str | None, Setting(_header(), key="Content-Security-Policy")] = None
    frame: Annotated[str | None, Setting(_header(*_FRAME_OPTIONS), key="X-Frame-Options")] = None
    sniff: Annotated[str | None, Setting(_header("nosniff"), key="X-Content-Type-Options")] = None
    xss: Annotated[str | None, Setting(_header(), key="X-XSS-Protection")] = None
    hsts: Annotated[str | None, Setting(_header(), key="Strict-Transport-Security")] = None


@dataclass(frozen=True, slots=True)
class HTTPServer:
    """How HTTP is served."""

    http2: Annotated[bool, Setting(Value(bool, _parse_http2))] = False
    headers: Annotated[Headers, Setting(group_of(Headers))] = field(default_factory=Headers)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request each *interval* seconds on average, *burst* at once; 0 seconds is no limit."""

    interval: Annotated[float, Setting(Value(str, _parse_interval, also=(int,)))] = 0.0
    burst: Annotated[int, Setting(kinds.whole_number(0, "write how many come at once"))] = 0


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The whole file; *tls* is None where the file does not speak of it."""

    tls: Annotated[ServerTLS | None, Setting(group_of(ServerTLS), key="tls_server_config")] = None
    http: Annotated[HTTPServer, Setting(group_of(HTTPServer), key="http_server_config")] = field(
        default_factory=HTTPServer
    )
    users: Annotated[
        Mapping[str, Secret],
        Setting(Table(_parse_user, Value(str, _parse_hash)), key="basic_auth_users"),
    ] = field(default_factory=dict)
    rate_limit: Annotated[RateLimit, Setting(group_of(RateLimit))] = field(
        default_factory=RateLimit
    )
