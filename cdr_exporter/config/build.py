"""What the file says, checked and put together into settings.

Rule: a setting is taken from the PBX, else from the top of the file, else from `settings`, which
alone holds the defaults. A mistake is reported where it was written.

Relative paths start at the file's directory, as in Prometheus: from where a service manager
happens to start the program must not decide whether it finds its state again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict, TypeVar

from msgspec import UNSET, Struct

from .. import settings
from . import durations, schema, values
from .mistake import Mistake, at, join, shown

T = TypeVar("T")
U = TypeVar("U")
Levels = Sequence[tuple[str, Struct]]
"""The places where a setting may stand and what is said there, the nearest first."""
Lines = Mapping[tuple[str, str], int]
"""On which line a key stands, by place and key."""

_DEFAULTS: dict[str, Any] = {
    field.name: field.default
    for kind in (settings.Settings, settings.Buckets, settings.PBX)
    for field in dataclasses.fields(kind)
}
_SECRETS = ("client_secret_file", "client_secret_env", "client_secret")
_TRUSTS = ("ca_file", "fingerprint_sha256", "insecure_skip_verify")


class _Adjusted(TypedDict):
    poll_interval: float
    request_timeout: float
    start: str
    stale_after: float
    birth_hold: float
    late_window: float
    longest_call: float
    call_settle: float
    legs_appear: str
    max_trunks: int


def assemble(file: schema.File, base: Path, lines: Lines) -> settings.Settings:
    """Return the settings; raises `Mistake`."""
    top = [("", file)]
    # For itself first: what is wrong at the top is wrong even if every PBX overrides it.
    _adjusted(top)
    if not file.pbxs:
        raise Mistake("pbxs", "has no PBX; add a list with at least one PBX")
    pbxs = tuple(_pbx(f"pbxs[{n}]", said, file, base, lines) for n, said in enumerate(file.pbxs))
    _refuse_shared_names(pbxs)
    in_base = values.path(base)
    return settings.Settings(
        pbxs=pbxs,
        state_dir=_first(top, "state_dir", in_base, base / _DEFAULTS["state_dir"]),
        machine_callees=_first(
            top, "machine_callees", _machine_callees, _DEFAULTS["machine_callees"]
        ),
        buckets=_buckets(file.buckets),
    )


def _first(levels: Levels, key: str, check: Callable[[Any], T], default: T) -> T:
    for place, said in levels:
        written = getattr(said, key)
        if written is not UNSET:
            with at(join(place, key)):
                return check(written)
    return default


def _adjusted(levels: Levels) -> _Adjusted:
    def seconds(key: str, default: float) -> float:
        return _first(levels, key, values.duration(key), default)

    poll_interval = seconds("poll_interval", _DEFAULTS["poll_interval"])
    stale_after = seconds("stale_after", max(_DEFAULTS["stale_after"], 4 * poll_interval))
    _refuse_stale_too_early(levels[0][0], stale_after, poll_interval)
    return _Adjusted(
        poll_interval=poll_interval,
        request_timeout=seconds("request_timeout", _DEFAULTS["request_timeout"]),
        start=_first(levels, "start", values.start, _DEFAULTS["start"]),
        stale_after=stale_after,
        birth_hold=seconds("birth_hold", _DEFAULTS["birth_hold"]),
        late_window=seconds("late_window", _DEFAULTS["late_window"]),
        longest_call=seconds("longest_call", _DEFAULTS["longest_call"]),
        call_settle=seconds("call_settle", _DEFAULTS["call_settle"]),
        legs_appear=_first(levels, "legs_appear", values.legs_appear, _DEFAULTS["legs_appear"]),
        max_trunks=_first(levels, "max_trunks", values.max_trunks, _DEFAULTS["max_trunks"]),
    )


def _refuse_stale_too_early(place: str, stale_after: float, poll_interval: float) -> None:
    if stale_after < 2 * poll_interval:
        is_now, interval, least = map(
            durations.show, (stale_after, poll_interval, 2 * poll_interval)
        )
        raise Mistake(
            join(place, "stale_after"),
            f"{is_now} is less than twice poll_interval ({interval}); write {least} or more",
        )


def _buckets(said: schema.Buckets) -> settings.Buckets:
    here = [("buckets", said)]
    return settings.Buckets(
        duration=_first(here, "duration", values.buckets, _DEFAULTS["duration"]),
        ring=_first(here, "ring", values.buckets, _DEFAULTS["ring"]),
        wait=_first(here, "wait", values.wait_buckets, _DEFAULTS["wait"]),
    )


def _machine_callees(written: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        _checked(f"machine_callees[{n}]", values.machine_callee, name)
        for n, name in enumerate(written)
    )


def _pbx(place: str, said: schema.PBX, file: schema.File, base: Path, lines: Lines) -> settings.PBX:
    here = [(place, said)]
    return settings.PBX(
        name=_first(here, "name", values.name, ""),
        base_url=_base_url(place, said),
        client_id=said.client_id,
        secret=_secret(place, said, base),
        api_path=_first(here, "api_path", values.api_path, _DEFAULTS["api_path"]),
        tls=_tls(place, said, base),
        timezone=_first(here, "timezone", values.timezone, _DEFAULTS["timezone"]),
        dids=_labels(join(place, "dids"), said.dids, lines),
        queues=_labels(join(place, "queues"), said.queues, lines),
        destinations=_destinations(join(place, "destinations"), said.destinations, lines),
        **_adjusted([*here, ("", file)]),
    )


def _refuse_shared_names(pbxs: Sequence[settings.PBX]) -> None:
    owners: dict[str, int] = {}
    for n, pbx in enumerate(pbxs):
        owner = owners.setdefault(pbx.name.casefold(), n)
        if owner != n:
            raise Mistake(
                f"pbxs[{n}].name",
                f"is the name of pbxs[{owner}] too, upper and lower case taken as one; change it",
            )


def _base_url(place: str, said: schema.PBX) -> str:
    path = join(place, "base_url")
    with at(path):
        url = values.base_url(said.base_url)
    in_clear = values.is_plaintext(url) and values.leaves_the_machine(url)
    if in_clear and not said.tls.allow_plaintext:
        raise Mistake(
            path,
            "is http:// to another machine, which would send the secret in clear text; "
            "write https://, or set tls.allow_plaintext: true",
        )
    return url


def _secret(place: str, said: schema.PBX, base: Path) -> settings.SecretSource:
    written = [key for key in _SECRETS if getattr(said, key) is not UNSET]
    if not written:
        raise Mistake(place, f"has no client secret; set one of {', '.join(_SECRETS)}")
    if len(written) > 1:
        raise Mistake(place, f"{' and '.join(written)} say the same thing; keep one")
    here = [(place, said)]
    return settings.SecretSource(
        file=_first(here, "client_secret_file", values.path(base), None),
        env=_first(here, "client_secret_env", values.variable, None),
        value=None if said.client_secret is UNSET else said.client_secret,
    )


def _tls(place: str, said: schema.PBX, base: Path) -> settings.TLS:
    path = join(place, "tls")
    written = [key for key in _TRUSTS if getattr(said.tls, key) not in (UNSET, False)]
    if len(written) > 1:
        raise Mistake(path, f"{' and '.join(written)} exclude each other; keep one")
    if written and values.is_plaintext(said.base_url):
        raise Mistake(
            join(path, written[0]),
            "has no effect on http://; remove it, or write https:// in base_url",
        )
    here = [(path, said.tls)]
    return settings.TLS(
        ca_file=_first(here, "ca_file", values.path(base), None),
        fingerprint_sha256=_first(here, "fingerprint_sha256", values.fingerprint, None),
        insecure_skip_verify=said.tls.insecure_skip_verify,
    )


def _labels(place: str, said: schema.Labels, lines: Lines) -> Mapping[str, str]:
    found = {}
    for number, label in _checked(place, values.entries, said).items():
        path = join(place, shown(number, lines[place, number]))
        found[_checked(path, values.number, number)] = _checked(path, values.label, label)
    return MappingProxyType(found)


def _destinations(place: str, said: schema.Classes, lines: Lines) -> Mapping[str, tuple[str, ...]]:
    owners: dict[str, str] = {}
    found = {}
    for label, written in _checked(place, values.entries, said).items():
        path = join(place, shown(label, lines[place, label]))
        _checked(path, values.label, label)
        prefixes = enumerate(_checked(path, values.prefixes, written))
        found[label] = tuple(_prefix(f"{path}[{n}]", prefix, owners) for n, prefix in prefixes)
    return MappingProxyType(found)


def _prefix(path: str, written: str, owners: dict[str, str]) -> str:
    """Return a prefix, which has one owner only; *owners* are the paths of those before."""
    prefix = _checked(path, values.number, written)
    if prefix in owners:
        raise Mistake(path, f"is the same as {owners[prefix]}; keep one")
    owners[prefix] = path
    return prefix


def _checked(path: str, check: Callable[[T], U], written: T) -> U:
    with at(path):
        return check(written)
