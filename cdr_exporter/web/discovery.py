"""`/sd`: every PBX as a scrape target of its own, for Prometheus' HTTP service discovery.

Rule: a target is an address that was checked: the operator's, or the request's Host where it has
the form of one. Prometheus goes where this answer points, so a forged Host must not slip through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import ConfigError

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_NAME}|\[[0-9A-Fa-f:.]{{2,45}}\])(?::(?P<port>[0-9]{{1,5}}))?")
_MAX_PORT = 65535
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True, slots=True)
class Base:
    """Where Prometheus reaches this program: `host[:port]`, and labels that say the rest."""

    target: str
    labels: dict[str, str] = field(default_factory=dict)


def base_of_host(host: str) -> Base | None:
    """Return the base for a Host header, None where it is none."""
    return Base(host) if _is_address(host) else None


def base_of_url(url: str) -> Base:
    """Return the base for `--web.external-url`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _bad_url() from None
    plain = parts.scheme in ("http", "https") and not parts.query and not parts.fragment
    if not (plain and _is_address(parts.netloc) and _PATH.fullmatch(parts.path)):
        raise _bad_url()
    metrics = f"{parts.path.rstrip('/')}/metrics"
    return Base(parts.netloc, {"__scheme__": parts.scheme, "__metrics_path__": metrics})


def targets(names: Iterable[str], base: Base) -> bytes:
    """Return the JSON that Prometheus reads."""
    groups = [
        {
            "targets": [base.target],
            "labels": {**base.labels, "__param_pbx": name, "instance": name},
        }
        for name in names
    ]
    return json.dumps(groups, indent=1).encode()


def _is_address(text: str) -> bool:
    """Tell whether *text* is `host` or `host:port`, the port one that can be connected to."""
    match = _HOST.fullmatch(text)
    return match is not None and 0 < int(match["port"] or 80) <= _MAX_PORT


def _bad_url() -> ConfigError:
    return ConfigError("--web.external-url: not of the form http[s]://host[:port][/path]")
