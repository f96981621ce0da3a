"""From the typed content of the file to checked settings.

Rule: a setting is taken from the entry of the PBX, else from the top of the file, else from
`settings`, the only place with defaults. A mistake is reported with the path where the value was
written.

Relative paths start at the directory of the file, as in Prometheus, and not at the working
directory: whether the program finds its state again must not depend on where it is started from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict, TypeVar

from msgspec import UNSET

from .. import settings
from ..cdr.contract import NUMBER_PLAN, NumberRanges
from . import durations, schema, values
from .mistake import Mistake, join_path, key_for_message, mistake_at

T = TypeVar("T")
U = TypeVar("U")
Sources = Sequence[tuple[str, Any]]
"""Where a setting may be written, in the order of precedence: a path, and what is written there."""
LineOfKey = Mapping[tuple[str, str], int]
"""The line of a key, by the path of its group and the key."""

_DEFAULTS: dict[str, Any] = {
    field.name: field.default
    for kind in (settings.Settings, settings.Buckets, settings.PBX)
    for field in dataclasses.fields(kind)
}
_SECRET_KEYS = ("client_secret_file", "client_secret_env", "client_secret")
_CERTIFICATE_KEYS = ("ca_file", "fingerprint_sha256", "insecure_skip_verify")


class _OverridableValues(TypedDict):
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
    number_plan: Mapping[str, NumberRanges]
    emergency_numbers: tuple[str, ...]


def build_settings(file: schema.ConfigFile, base: Path, lines: LineOfKey) -> settings.Settings:
    """Return the settings in *file*; raises `Mistake`.

    *base* is the directory where relative paths start, *lines* the lines of the keys.
    """
    top = [("", file)]
    # The top of the file is checked by itself first: a mistake there is one even if every PBX
    # overrides the value.
    _overridable_values(top)
    if not file.pbxs:
        raise Mistake("pbxs", "has no PBX; add a list with at least one PBX")
    pbxs = tuple(_pbx(f"pbxs[{n}]", entry, file, base, lines) for n, entry in enumerate(file.pbxs))
    _refuse_shared_names(pbxs)
    resolve_path = values.path_parser(base)
    return settings.Settings(
        pbxs=pbxs,
        state_dir=_setting(top, "state_dir", resolve_path, base / _DEFAULTS["state_dir"]),
        machine_callees=_setting(
            top, "machine_callees", _machine_callees, _DEFAULTS["machine_callees"]
        ),
        buckets=_buckets(file.buckets),
    )


def _setting(sources: Sources, key: str, check: Callable[[Any], T], default: T) -> T:
    for place, entry in sources:
        written = getattr(entry, key)
        if written is not UNSET:
            with mistake_at(join_path(place, key)):
                return check(written)
    return default


def _overridable_values(sources: Sources) -> _OverridableValues:
    def seconds(key: str, default: float) -> float:
        return _setting(sources, key, values.duration_parser(key), default)

    poll_interval = seconds("poll_interval", _DEFAULTS["poll_interval"])
    stale_after = seconds("stale_after", max(_DEFAULTS["stale_after"], 4 * poll_interval))
    _refuse_stale_too_early(sources[0][0], stale_after, poll_interval)
    return _OverridableValues(
        poll_interval=poll_interval,
        request_timeout=seconds("request_timeout", _DEFAULTS["request_timeout"]),
        start=_setting(sources, "start", values.parse_start, _DEFAULTS["start"]),
        stale_after=stale_after,
        birth_hold=seconds("birth_hold", _DEFAULTS["birth_hold"]),
        late_window=seconds("late_window", _DEFAULTS["late_window"]),
        longest_call=seconds("longest_call", _DEFAULTS["longest_call"]),
        call_settle=seconds("call_settle", _DEFAULTS["call_settle"]),
        legs_appear=_setting(
            sources, "legs_appear", values.parse_legs_appear, _DEFAULTS["legs_appear"]
        ),
        max_trunks=_setting(
            sources, "max_trunks", values.parse_max_trunks, _DEFAULTS["max_trunks"]
        ),
        number_plan=_number_plan(sources),
        emergency_numbers=_emergency_numbers(sources),
    )


def _number_plan(sources: Sources) -> Mapping[str, NumberRanges]:
    """Return the ranges of each kind; of a kind that is not given, those of the next source."""
    plans = [(join_path(place, "number_plan"), entry.number_plan) for place, entry in sources]
    return MappingProxyType(
        {kind: _ranges(plans, kind, default) for kind, default in NUMBER_PLAN.items()}
    )


def _ranges(plans: Sources, kind: str, default: NumberRanges) -> NumberRanges:
    for place, plan in plans:
        written = getattr(plan, kind)
        if written is not UNSET:
            path = join_path(place, kind)
            return tuple(
                _checked(f"{path}[{n}]", values.parse_number_range, each)
                for n, each in enumerate(written)
            )
    return default


def _emergency_numbers(sources: Sources) -> tuple[str, ...]:
    for place, entry in sources:
        if entry.emergency_numbers is not UNSET:
            path = join_path(place, "emergency_numbers")
            return tuple(
                _checked(f"{path}[{n}]", values.parse_number, each)
                for n, each in enumerate(entry.emergency_numbers)
            )
    return settings.EMERGENCY_NUMBERS


def _refuse_stale_too_early(place: str, stale_after: float, poll_interval: float) -> None:
    if stale_after < 2 * poll_interval:
        is_now, interval, least = map(
            durations.format_duration, (stale_after, poll_interval, 2 * poll_interval)
        )
        raise Mistake(
            join_path(place, "stale_after"),
            f"{is_now} is less than twice poll_interval ({interval}); write {least} or more",
        )


def _buckets(entry: schema.BucketsEntry) -> settings.Buckets:
    source = [("buckets", entry)]
    return settings.Buckets(
        duration=_setting(source, "duration", values.parse_buckets, _DEFAULTS["duration"]),
        ring=_setting(source, "ring", values.parse_buckets, _DEFAULTS["ring"]),
        wait=_setting(source, "wait", values.parse_wait_buckets, _DEFAULTS["wait"]),
    )


def _machine_callees(written: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        _checked(f"machine_callees[{n}]", values.parse_machine_callee, name)
        for n, name in enumerate(written)
    )


def _pbx(
    place: str, entry: schema.PBXEntry, file: schema.ConfigFile, base: Path, lines: LineOfKey
) -> settings.PBX:
    source = [(place, entry)]
    return settings.PBX(
        name=_setting(source, "name", values.parse_name, ""),
        base_url=_base_url(place, entry),
        client_id=entry.client_id,
        secret=_secret(place, entry, base),
        api_path=_setting(source, "api_path", values.parse_api_path, _DEFAULTS["api_path"]),
        tls=_tls(place, entry, base),
        timezone=_setting(source, "timezone", values.parse_timezone, _DEFAULTS["timezone"]),
        dids=_labels(join_path(place, "dids"), entry.dids, lines),
        queues=_labels(join_path(place, "queues"), entry.queues, lines),
        destinations=_destinations(join_path(place, "destinations"), entry.destinations, lines),
        **_overridable_values([*source, ("", file)]),
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


def _base_url(place: str, entry: schema.PBXEntry) -> str:
    path = join_path(place, "base_url")
    with mistake_at(path):
        url = values.parse_base_url(entry.base_url)
    in_clear = values.is_plaintext(url) and values.leaves_the_machine(url)
    if in_clear and not entry.tls.allow_plaintext:
        raise Mistake(
            path,
            "is http:// to another machine, which would send the secret in clear text; "
            "write https://, or set tls.allow_plaintext: true",
        )
    return url


def _secret(place: str, entry: schema.PBXEntry, base: Path) -> settings.SecretSource:
    written = [key for key in _SECRET_KEYS if getattr(entry, key) is not UNSET]
    if not written:
        raise Mistake(place, f"has no client secret; set one of {', '.join(_SECRET_KEYS)}")
    if len(written) > 1:
        raise Mistake(place, f"{' and '.join(written)} say the same thing; keep one")
    source = [(place, entry)]
    return settings.SecretSource(
        file=_setting(source, "client_secret_file", values.path_parser(base), None),
        env=_setting(source, "client_secret_env", values.parse_variable_name, None),
        value=None if entry.client_secret is UNSET else entry.client_secret,
    )


def _tls(place: str, entry: schema.PBXEntry, base: Path) -> settings.TLS:
    path = join_path(place, "tls")
    written = [key for key in _CERTIFICATE_KEYS if getattr(entry.tls, key) not in (UNSET, False)]
    if len(written) > 1:
        raise Mistake(path, f"{' and '.join(written)} exclude each other; keep one")
    if written and values.is_plaintext(entry.base_url):
        raise Mistake(
            join_path(path, written[0]),
            "has no effect on http://; remove it, or write https:// in base_url",
        )
    source = [(path, entry.tls)]
    return settings.TLS(
        ca_file=_setting(source, "ca_file", values.path_parser(base), None),
        fingerprint_sha256=_setting(source, "fingerprint_sha256", values.parse_fingerprint, None),
        insecure_skip_verify=entry.tls.insecure_skip_verify,
    )


def _labels(place: str, entry: schema.LabelByNumber, lines: LineOfKey) -> Mapping[str, str]:
    found = {}
    for number, label in _checked(place, values.check_entry_count, entry).items():
        path = join_path(place, key_for_message(number, lines[place, number]))
        found[_checked(path, values.parse_number, number)] = _checked(
            path, values.parse_label, label
        )
    return MappingProxyType(found)


def _destinations(
    place: str, entry: schema.PrefixesByLabel, lines: LineOfKey
) -> Mapping[str, tuple[str, ...]]:
    owners: dict[str, str] = {}
    found = {}
    for label, written in _checked(place, values.check_entry_count, entry).items():
        path = join_path(place, key_for_message(label, lines[place, label]))
        _checked(path, values.parse_label, label)
        prefixes = enumerate(_checked(path, values.check_prefixes, written))
        found[label] = tuple(_prefix(f"{path}[{n}]", prefix, owners) for n, prefix in prefixes)
    return MappingProxyType(found)


def _prefix(path: str, written: str, owners: dict[str, str]) -> str:
    """Return the prefix, which may be written only once.

    *owners* has the paths of the earlier prefixes; this one is added.
    """
    prefix = _checked(path, values.parse_number, written)
    if prefix in owners:
        raise Mistake(path, f"is the same as {owners[prefix]}; keep one")
    owners[prefix] = path
    return prefix


def _checked(path: str, check: Callable[[T], U], written: T) -> U:
    with mistake_at(path):
        return check(written)
