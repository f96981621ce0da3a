"""`/sd`: each PBX as a separate scrape target, for Prometheus' HTTP service discovery.

Rule: a target is an address that was checked: that of `--web.external-url`, or the Host header of
the request if it has the form `host[:port]`. Prometheus scrapes what this response names, so a
forged Host header must not get into it.

Where replicas share the PBXs, the target of each is the replica that holds it, at the address that
it was given for that (`--web.advertise-address`). `--web.external-url` leads to any of them, so it
is for browsers and no target; nor is the Host header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..leases import Holder

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_NAME}|\[[0-9A-Fa-f:.]{{2,45}}\])(?::(?P<port>[0-9]{{1,5}}))?")
_MAX_PORT = 65535
_ANY_HOST = ("0.0.0.0", "[::]")  # noqa: S104 - refused
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True, slots=True)
class ScrapeAddress:
    """Where Prometheus reaches this program: *target* is `host[:port]`, *labels* say the rest."""

    target: str
    labels: dict[str, str] = field(default_factory=dict)


def address_from_host(host: str, *, has_tls: bool = False) -> ScrapeAddress | None:
    """Return the address in a Host header, or None if it has not the form `host[:port]`.

    *has_tls* says that this program itself serves TLS; if not, the scrape job says what to speak,
    since a proxy may do it.
    """
    return _own_address(host, has_tls=has_tls) if is_address(host) else None


def address_from_url(url: str, flag: str = "--web.external-url") -> ScrapeAddress:
    """Return the address in the URL that was given as *flag*; raises `ConfigError`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _bad_url(flag) from None
    plain = parts.scheme in ("http", "https") and not parts.query and not parts.fragment
    if not (plain and is_address(parts.netloc) and _PATH.fullmatch(parts.path)):
        raise _bad_url(flag)
    metrics = f"{parts.path.rstrip('/')}/metrics"
    return ScrapeAddress(parts.netloc, {"__scheme__": parts.scheme, "__metrics_path__": metrics})


def check_external_url(url: str, flag: str) -> None:
    """Raise `ConfigError` where *url*, which was given as *flag*, is no address of an exporter."""
    address_from_url(url, flag)


def check_advertised(address: str, flag: str) -> None:
    """Raise `ConfigError` where *address*, which was given as *flag*, is not `host:port`.

    An address that means "any of mine", such as 0.0.0.0, leads nobody here.
    """
    host, _, port = address.rpartition(":")
    if not (host and port and is_address(address)) or host in _ANY_HOST:
        raise ConfigError(f"{flag}: not of the form host:port, at which Prometheus reaches this")


def is_same_site(origin: str, host: str) -> bool:
    """Say whether a request with these headers is not from a page of another site.

    Browsers name the *origin* of what a page sends; other programs name none.
    """
    return not origin or (bool(host) and origin in (f"http://{host}", f"https://{host}"))


def addresses_of_holders(
    holders: Mapping[str, Holder | None], address: str, *, has_tls: bool
) -> Iterator[tuple[str, ScrapeAddress]]:
    """Yield the name of each PBX and where it is scraped: at its holder, or at its last one.

    One that nobody ever held is asked for at *address*, which is that of this replica: it answers
    that it does not have it, so `up` is 0 and not absent.
    """
    for name, holder in holders.items():
        yield name, _own_address(holder.address if holder else address, has_tls=has_tls)


def targets_json(targets: Iterable[tuple[str, ScrapeAddress]]) -> bytes:
    """Return *targets*, names of PBXs and their addresses, as the JSON that Prometheus reads."""
    groups = [
        {
            "targets": [address.target],
            "labels": {**address.labels, "__param_pbx": name, "instance": name},
        }
        for name, address in targets
    ]
    return json.dumps(groups, indent=1).encode()


def _own_address(address: str, *, has_tls: bool) -> ScrapeAddress:
    return ScrapeAddress(address, {"__scheme__": "https"} if has_tls else {})


def is_address(text: str) -> bool:
    """Say whether *text* is `host` or `host:port` with a port from 1 to 65535."""
    match = _HOST.fullmatch(text)
    return match is not None and 0 < int(match["port"] or 80) <= _MAX_PORT


def _bad_url(flag: str) -> ConfigError:
    return ConfigError(f"{flag}: not of the form http[s]://host[:port][/path]")
