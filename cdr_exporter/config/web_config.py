"""The file of `--web.config.file`: from text to `WebSettings`, by the steps of `exporter.yml`.

Rule: what is written is done, or the file is refused. A file that asks for less than it seems to,
such as versions of TLS without a certificate, is a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..settings.kinds import group_of
from ..settings.web import (
    NO_CERTIFICATE,
    REQUIRED,
    TLS_1_2,
    TLS_1_3_SUITES,
    ServerTLS,
    WebSettings,
)
from . import yaml_text
from .file_text import read_text
from .mistake import BROKEN, Mistakes, Place
from .reading import Form, Reader, completed

_FORM = Form(group_of(WebSettings))

_EITHER = (("cert_file", "cert"), ("key_file", "key"), ("client_ca_file", "client_ca"))
_NEEDED = _EITHER[:2]


def load_web(path: Path) -> WebSettings:
    """Read the file *path*; raises `ConfigError`. Relative paths in it start at its directory."""
    text, mistakes = read_text(path, "--web.config.file"), Mistakes()
    parsed = yaml_text.read_yaml(text, mistakes, _FORM.has_user_keys, _FORM.has_lines)
    place, base = Place(parsed.lines), path.absolute().parent
    found: WebSettings = mistakes.attempt(_settings, parsed.content, place, base, mistakes)
    if mistakes.noted:
        raise mistakes.as_error(str(path), parsed.lines, parsed.content)
    return found


def _settings(content: object, place: Place, base: Path, mistakes: Mistakes) -> Any:
    """Return the settings in *content*; `BROKEN` where single values are wrong."""
    if content is None:  # a file of comments alone asks for nothing
        return WebSettings()
    written = Reader(_FORM, base, mistakes).read(_FORM.root, content, place)
    if mistakes.noted:
        return BROKEN
    settings: WebSettings = completed(_FORM.root, written)
    if "rate_limit" in written:
        mistakes.attempt(_refuse_empty_burst, settings, place.key("rate_limit"))
    if "tls_server_config" not in written:
        return replace(settings, tls=None)
    tls_place = place.key("tls_server_config")
    for keys in _EITHER:
        mistakes.attempt(_refuse_both, keys, written["tls_server_config"], tls_place)
    for keys in _NEEDED:
        mistakes.attempt(_refuse_neither, keys, written["tls_server_config"], tls_place)
    mistakes.attempt(_refuse_odd_clients, settings.tls, tls_place)
    mistakes.attempt(_refuse_odd_versions, settings.tls, tls_place)
    return settings


def _refuse_empty_burst(settings: WebSettings, place: Place) -> None:
    if settings.rate_limit.interval and not settings.rate_limit.burst:
        raise place.key("burst").mistake("is 0, which would refuse every request; write 1 or more")


def _refuse_both(keys: Sequence[str], written: Mapping[str, Any], place: Place) -> None:
    if all(key in written for key in keys):
        raise place.mistake(f"{' and '.join(keys)} say the same thing; keep one")


def _refuse_neither(keys: Sequence[str], written: Mapping[str, Any], place: Place) -> None:
    if not any(key in written for key in keys):
        raise place.key(keys[0]).mistake("is missing; TLS needs a certificate and its key")


def _refuse_odd_clients(tls: ServerTLS, place: Place) -> None:
    has_ca = bool(tls.client_ca_file or tls.client_ca)
    if tls.client_auth_type == NO_CERTIFICATE and (has_ca or tls.client_allowed_sans):
        raise place.key("client_auth_type").mistake(
            f"asks clients for no certificate, though it is said which are good; write {REQUIRED}"
        )
    if tls.client_auth_type == REQUIRED and not has_ca:
        raise place.key("client_ca_file").mistake(
            "is missing; without it a certificate of any public authority would do"
        )


def _refuse_odd_versions(tls: ServerTLS, place: Place) -> None:
    if tls.min_version > tls.max_version:
        raise place.key("min_version").mistake("is above max_version; lower it, or raise that")
    suites = set(tls.cipher_suites)
    if suites and suites <= TLS_1_3_SUITES and tls.min_version == TLS_1_2:
        raise place.key("cipher_suites").mistake(
            "has none for TLS 1.2; add one, or write min_version: TLS13"
        )
