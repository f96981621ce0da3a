"""The checks of single values: from what is written to what is meant.

Rule: each function takes what was written and returns what is meant, or raises a `ValueError` of
the form `what is wrong; what to do`, which quotes nothing of the file. The caller adds the path.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit
from zoneinfo import available_timezones

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_API_PATH = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_API_VERSION = re.compile(r"v([0-9]+)(\.[0-9]+)*")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# A last label of digits alone is a mistyped IPv4 address; no top-level domain is a number.
_DNS_NAME = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*(?![0-9]+\.?$){_LABEL}\.?")
# Some versions of Python ignore what is written between a closing bracket and the port's colon.
_NETLOC = re.compile(r"(\[[^\]]*\]|[^\[\]:]+)(:.*)?")
_NUMBER = re.compile(r"[0-9+*#]+")
_NUMBER_RANGE = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,15}))?", re.ASCII)
_CREDENTIAL = re.compile(r"[!-~]+")
# Blanks and line ends of any kind; byte order marks; a blank of no width, as web pages have.
_AROUND = re.compile(r"\A[\s\ufeff\u200b]+|[\s\ufeff\u200b]+\Z")
_DEFAULT_PORTS = {"https": 443, "http": 80}
_RESERVED = "other"

_LONGEST_CALLEE = 64
"""Characters."""

_LONGEST_CREDENTIAL = 256
"""Characters; the PBX's own have 16 to 32."""

_LONGEST_LABEL = 64
"""Bytes."""

_ALWAYS_IN_WAIT = (5, 20)
"""Bounds in seconds that the recording rules of service levels use."""


def parse_name(text: str) -> str:
    """Return the name of a PBX, which is a label value, a file name and part of a URL."""
    if not _NAME.fullmatch(text):
        raise ValueError(
            "is not a name; write 1 to 63 of the characters A-Z a-z 0-9 _ . -, "
            "the first a letter or digit"
        )
    return text


def parse_machine_callee(text: str) -> str:
    """Return how the name of a callee that is not a person starts."""
    if len(text) > _LONGEST_CALLEE:
        raise ValueError(
            f"is longer than {_LONGEST_CALLEE} characters; write what the name starts with"
        )
    return text


def parse_timezone(text: str) -> str:
    """Return the name of a time zone of the IANA database."""
    if text not in _zones():
        raise ValueError(f"is not a time zone of the IANA database; {_zone_hint(text)}")
    return text


def _zone_hint(text: str) -> str:
    offset = _OFFSET.fullmatch(text.strip())
    if offset:
        return _offset_hint(offset)
    meant = _MEANT_ZONE.get(text.strip().upper()) or _nearest_zone(text)
    return f"did you mean {meant}?" if meant else "write it as Europe/Berlin"


def _offset_hint(offset: re.Match[str]) -> str:
    """Say what to write instead of an offset like `UTC+2`, whose sign in `Etc/GMT-2` is the other.

    Few want one: it has no summer time.
    """
    sign, hours, minutes = offset.groups()
    hint = "an offset has no summer time: write the zone of a city there, as Europe/Berlin"
    zone = f"Etc/GMT{'-' if sign == '+' else '+'}{int(hours)}"
    if int(minutes or 0) or zone not in _zones():
        return hint
    way = "ahead of" if sign == "+" else "behind"
    return f"{hint}, or {zone}, which is {int(hours)} h {way} UTC"


_OFFSET = re.compile(r"(?:GMT|UTC|Z)?\s*([+-])\s*([0-9]{1,2})(?::?([0-9]{2}))?", re.IGNORECASE)

_MEANT_ZONE = {
    abbreviation: zone
    for zone, abbreviations in {
        "Africa/Johannesburg": "SAST, South Africa Standard Time",
        "America/Chicago": "CDT, CST, CT, US Central, Central Standard Time, Central Time",
        "America/Denver": "MDT, MT, Mountain Standard Time, Mountain Time",
        "America/Los_Angeles": "PDT, PST, PT, Pacific Standard Time, Pacific Time",
        "America/New_York": "EDT, ET, Eastern Standard Time, Eastern Time",
        "America/Sao_Paulo": "BRT, E. South America Standard Time",
        "Asia/Dubai": "GST, Arabian Standard Time",
        "Asia/Hong_Kong": "HKT",
        "Asia/Kolkata": "IST, India Standard Time",
        "Asia/Shanghai": "China Standard Time, Beijing, Peking",
        "Asia/Singapore": "SGT, Singapore Standard Time",
        "Asia/Tokyo": "JST, Tokyo Standard Time",
        "Australia/Sydney": "AEST, AEDT, AUS Eastern Standard Time",
        "Europe/Athens": "EEST, GTB Standard Time",
        "Europe/Berlin": "CEST, MEZ, MESZ, W. Europe Standard Time, Germany, Deutschland",
        "Europe/Budapest": "Central Europe Standard Time",
        "Europe/Istanbul": "TRT, Turkey Standard Time",
        "Europe/Lisbon": "WEST",
        "Europe/London": "BST, GMT Standard Time, UK",
        "Europe/Moscow": "MSK, Russian Standard Time",
        "Europe/Paris": "Romance Standard Time, France",
        "Europe/Warsaw": "Central European Standard Time",
        "Pacific/Auckland": "NZST, NZDT, New Zealand Standard Time",
        "UTC": "Z, UTC+0, GMT+00:00",
    }.items()
    for abbreviation in abbreviations.upper().split(", ")
}
"""Which zone is meant by an abbreviation or a name of Windows; of those that IANA does not have.

Where several zones have one abbreviation, it is that of the most people with such a PBX.
"""


@cache
def _zones() -> frozenset[str]:
    """Return the names of all time zones.

    A name is compared with these, since `ZoneInfo(name)` would open a file of that name. Some
    systems list their own zone as `localtime`, which is a different one on each machine.
    """
    return frozenset(available_timezones() - {"localtime"})


def _nearest_zone(text: str) -> str | None:
    """Return the time zone whose name, or the name of whose city, is most like *text*.

    Names with an offset are never suggested, since they mislead: Etc/GMT+1 is behind UTC.
    """
    names = sorted(name for name in _zones() if "GMT" not in name)
    by_city = {name.rpartition("/")[2].lower(): name for name in names}
    known = by_city | {name.lower(): name for name in names}
    near = difflib.get_close_matches(text.lower().replace(" ", "_"), known, n=1, cutoff=0.75)
    return known[near[0]] if near else None


def parse_number(text: str) -> str:
    """Return a phone number, or the beginning of one, as the PBX writes it."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("is not a number; write digits, +, * and # only, nothing in between")
    return text


def parse_number_range(text: str) -> tuple[str, str]:
    """Return the first and the last number of a range, or of a single number."""
    split = _NUMBER_RANGE.fullmatch(text)
    if split is None:
        raise ValueError("is no range of numbers; write 6400-6499, or one number")
    first, last = split[1], split[2] or split[1]
    if len(first) != len(last) or first > last:
        raise ValueError(
            "does not go up from one number to another of as many digits; write 6400-6499"
        )
    return first, last


def parse_prefixes(written: Sequence[str]) -> tuple[str, ...]:
    """Return the prefixes of one label of destinations; there is at least one."""
    if not written:
        raise ValueError("has no prefix; write at least one, or remove the key")
    return tuple(written)


def parse_label(text: str) -> str:
    """Return a label value that the user chose."""
    if text.lower() == _RESERVED:
        raise ValueError("is the label of all the rest; write another")
    if len(text.encode()) > _LONGEST_LABEL:
        raise ValueError(f"is longer than {_LONGEST_LABEL} bytes; write a shorter label")
    return text


def parse_buckets(bounds: Sequence[int]) -> tuple[int, ...]:
    """Return histogram bounds, in seconds."""
    if not bounds:
        raise ValueError("has no bound; write at least one, or remove the key")
    if bounds[0] < 1:
        raise ValueError("has a bound below 1; write whole seconds from 1 up")
    if any(lower >= upper for lower, upper in pairwise(bounds)):
        raise ValueError("is not ascending; write each bound once, from small to large")
    return tuple(bounds)


def parse_wait_buckets(bounds: Sequence[int]) -> tuple[int, ...]:
    """Return the bounds of the histogram of waits, with those that the rules need."""
    return tuple(sorted({*parse_buckets(bounds), *_ALWAYS_IN_WAIT}))


def parse_path(text: str) -> Path:
    """Return a path; where a relative one starts is for the caller to say."""
    if text.startswith("~"):
        raise ValueError("starts with ~, which only a shell knows; write the whole path")
    return Path(text)


def parse_url_file(text: str) -> Path:
    """Return the path of a file with a URL; refuse the URL itself, which holds a password."""
    if "://" in text or "password=" in text:
        raise ValueError("is the URL itself; write it into a file, and here the path of that")
    return parse_path(text)


def parse_entries(written: Sequence[T]) -> tuple[T, ...]:
    """Return the entries of `pbxs`; there is at least one."""
    if not written:
        raise ValueError("has no PBX; add a list with at least one PBX")
    return tuple(written)


def parse_credential(text: str) -> str:
    """Return a client_id or a client secret, without what an editor or a shell put around it."""
    inner = _AROUND.sub("", text)
    if not inner:
        raise ValueError("is empty or not set; copy it from the PBX, Integrations > API")
    if len(inner) > _LONGEST_CREDENTIAL:
        raise ValueError(
            f"is longer than {_LONGEST_CREDENTIAL} characters; "
            "copy it from the PBX, Integrations > API, and nothing else"
        )
    if not _CREDENTIAL.fullmatch(inner):
        raise ValueError(
            "holds a blank, a line end or another sign that a PBX uses in none; "
            "copy it from the PBX, Integrations > API, and nothing else"
        )
    return inner


def parse_variable_name(text: str) -> str:
    """Return the name of an environment variable."""
    if not _VARIABLE.fullmatch(text):
        raise ValueError("is not the name of an environment variable; write it without $")
    return text


def parse_fingerprint(text: str) -> str:
    """Return a certificate's SHA-256 as 64 lower-case hex digits."""
    digits = text.replace(":", "").lower()
    if not _FINGERPRINT.fullmatch(digits):
        raise ValueError(
            "is not a SHA-256 fingerprint; write 64 hex digits, with or without colons, as "
            "openssl x509 -noout -fingerprint -sha256 prints them"
        )
    return digits


def parse_api_path(text: str) -> str:
    """Return the API's path without slashes at its ends."""
    inner = text.strip("/")
    if not _API_PATH.fullmatch(inner) or set(inner.split("/")) & {".", ".."}:
        raise ValueError("is not a path; write it as openapi/v1.0")
    if _is_of_version_2(inner):
        raise ValueError(
            "is the path of version 2.0, which is another API: its records are whole calls,"
            " without the disposition, trunk and ring time of each leg; write openapi/v1.0, which"
            " has the records of all firmware"
        )
    return inner


def _is_of_version_2(path: str) -> bool:
    """Return whether the last version in *path* is 2; before it may stand that of a proxy."""
    found = [_API_VERSION.fullmatch(part) for part in path.lower().split("/")]
    versions = [version[1] for version in found if version]
    return versions[-1:] == ["2"]


def parse_base_url(text: str) -> str:
    """Return scheme, host and port, in lower case and without a trailing slash."""
    parts = _split_url(text)
    for found, complaint in _URL_CHECKS:
        if found(parts, text):
            raise ValueError(complaint)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def is_plaintext(url: str) -> bool:
    """Return whether *url* does without TLS."""
    return urlsplit(url).scheme == "http"


def leaves_the_machine(url: str) -> bool:
    """Return whether *url*, which was checked before, leads to another machine."""
    host = urlsplit(url).hostname or ""
    address = _ip_address(host)
    return host != "localhost" if address is None else not address.is_loopback


def server_of(url: str) -> tuple[str, int]:
    """Return host and port of *url*, which was checked before."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


def _split_url(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        # The message of Python's error quotes the host.
        raise ValueError(_NO_HOST) from None


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _has_bad_host(parts: SplitResult, text: str) -> bool:
    if not _NETLOC.fullmatch(parts.netloc):
        return True
    host = parts.hostname or ""
    return _ip_address(host) is None and not _DNS_NAME.fullmatch(host)


def _has_bad_port(parts: SplitResult, text: str) -> bool:
    try:
        return parts.port == 0 or parts.netloc.endswith(":")
    except ValueError:
        return True


_NO_HOST = "has no usable host; write a DNS name, an IPv4 address or an IPv6 address in brackets"
# In this order: user info has to be reported before the host is checked.
_URL_CHECKS: tuple[tuple[Callable[[SplitResult, str], bool], str], ...] = (
    (
        lambda parts, text: parts.scheme not in ("http", "https") or not parts.netloc,
        "does not start with https:// and a host; write it as https://192.0.2.10:8088",
    ),
    (
        lambda parts, text: "@" in parts.netloc,
        "holds user info; remove everything up to the @, the secret has keys of its own",
    ),
    (
        lambda parts, text: "?" in text or "#" in text,
        "has a query or a fragment; remove everything from the ? or # on",
    ),
    (
        lambda parts, text: parts.path not in ("", "/"),
        "has a path; end it after the port and write the path as api_path",
    ),
    (_has_bad_host, _NO_HOST),
    (_has_bad_port, "has no usable port; write a number from 1 to 65535 after the last colon"),
)
