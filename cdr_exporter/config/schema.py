"""The keys of `exporter.yml` and their types; msgspec's errors in our words.

Rule: a key is listed here only if something uses it; any other key is refused as unknown.

The structs have the shape of the file: text is not checked or converted yet, and UNSET is a key
that was not written. `build` makes `settings` of them.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..secret import Secret
from .mistake import Mistake, join_path, key_for_message
from .yaml_text import ParsedYAML


class NumberPlanEntry(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The key `number_plan`: which numbers of the PBX are what."""

    extension: list[str] | UnsetType = UNSET
    parking: list[str] | UnsetType = UNSET
    group_voicemail: list[str] | UnsetType = UNSET
    ivr: list[str] | UnsetType = UNSET
    ring_group: list[str] | UnsetType = UNSET
    queue: list[str] | UnsetType = UNSET
    conference: list[str] | UnsetType = UNSET
    paging: list[str] | UnsetType = UNSET
    machine: list[str] | UnsetType = UNSET


class OverridableKeys(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Keys at the top of the file, for every PBX, that one PBX may override in its entry."""

    poll_interval: str | UnsetType = UNSET
    request_timeout: str | UnsetType = UNSET
    start: str | UnsetType = UNSET
    stale_after: str | UnsetType = UNSET
    birth_hold: str | UnsetType = UNSET
    late_window: str | UnsetType = UNSET
    longest_call: str | UnsetType = UNSET
    call_settle: str | UnsetType = UNSET
    legs_appear: str | UnsetType = UNSET
    max_trunks: int | UnsetType = UNSET
    number_plan: NumberPlanEntry = NumberPlanEntry()
    emergency_numbers: list[str] | UnsetType = UNSET


class TLSEntry(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The key `tls` of a PBX: which certificate to accept, and whether to do without TLS."""

    ca_file: str | UnsetType = UNSET
    fingerprint_sha256: str | UnsetType = UNSET
    insecure_skip_verify: bool = False
    allow_plaintext: bool = False


LabelByNumber = dict[str, str]
PrefixesByLabel = dict[str, list[str]]


class PBXEntry(OverridableKeys, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One entry of `pbxs`."""

    name: str
    base_url: str
    client_id: str
    api_path: str | UnsetType = UNSET
    client_secret_file: str | UnsetType = UNSET
    client_secret_env: str | UnsetType = UNSET
    client_secret: Secret | UnsetType = UNSET
    tls: TLSEntry = TLSEntry()
    timezone: str | UnsetType = UNSET
    dids: LabelByNumber = {}
    queues: LabelByNumber = {}
    destinations: PrefixesByLabel = {}


class BucketsEntry(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The key `buckets`: upper bounds of the histograms."""

    duration: list[int] | UnsetType = UNSET
    ring: list[int] | UnsetType = UNSET
    wait: list[int] | UnsetType = UNSET


class ConfigFile(OverridableKeys, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The file as a whole."""

    pbxs: list[PBXEntry]
    state_dir: str | UnsetType = UNSET
    machine_callees: list[str] | UnsetType = UNSET
    buckets: BucketsEntry = BucketsEntry()


STRUCT_OF_PLACE: dict[str, type[Struct]] = {
    "": ConfigFile,
    "buckets": BucketsEntry,
    "number_plan": NumberPlanEntry,
    "pbxs[]": PBXEntry,
    "pbxs[].number_plan": NumberPlanEntry,
    "pbxs[].tls": TLSEntry,
}
"""The struct for each group of keys, by its path without list indexes."""

USER_KEYED_PLACES: dict[str, Any] = {
    "pbxs[].dids": LabelByNumber,
    "pbxs[].queues": LabelByNumber,
    "pbxs[].destinations": PrefixesByLabel,
}
"""The type of each group whose keys the user chooses, by its path without list indexes."""

_MSGSPEC_MESSAGE = re.compile(r"(.*?)(?: - at `\$\.?([a-z0-9_.\[\]]*)`)?", re.DOTALL)
# What msgspec writes in place of a key that the user has chosen.
_UNNAMED_KEY = "[...]"
_UNKNOWN_KEY = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING_KEY = re.compile(r"Object missing required field `(\w+)`")
_WRONG_TYPE = re.compile(r"Expected `(\w+)`, got `(\w+)`")

# msgspec's names for types, and Python's where `_wrap_secret` says it.
_TYPE_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number with a fraction",
    "bool": "a yes or no",
    "date": "a date",
    "datetime": "a date",
    "array": "a list",
    "list": "a list",
    "object": "a group of keys",
    "dict": "a group of keys",
}
_REMEDIES = {
    "str": "put it in quotes",
    "int": "write it without quotes, point or unit",
    "bool": "write true or false, without quotes",
    "array": "write one entry after another, each after a hyphen",
    "object": "write its keys below it, indented",
}
_DURATION = "write it with its unit, 30s for thirty seconds"
_REMEDY_OF_KEY = {
    "poll_interval": _DURATION,
    "request_timeout": _DURATION,
    "stale_after": _DURATION,
    "birth_hold": _DURATION,
    "late_window": _DURATION,
    "longest_call": _DURATION,
    "call_settle": _DURATION,
    "start": "write now or all",
    "legs_appear": "write at_call_end or one_by_one",
}
_ADD = "add it"
_ADD_OF_KEY = {
    "pbxs": "add a list with at least one PBX",
    "name": "add the name this PBX shall have in the metrics",
    "base_url": "add it, such as https://192.0.2.10:8088",
    "client_id": "copy it from the PBX, Integrations > API",
}


def has_user_keys(place: str) -> bool:
    """Return whether the keys of the group at *place* are chosen by the user."""
    return _without_indexes(place) in USER_KEYED_PLACES


def convert(parsed: ParsedYAML) -> ConfigFile:
    """Return the content of the file with its types checked; raises `Mistake`."""
    if parsed.content is None:
        raise Mistake("", "is empty; start from the example exporter.yml")
    try:
        return msgspec.convert(parsed.content, ConfigFile, dec_hook=_wrap_secret)
    except msgspec.ValidationError as error:
        raise _mistake_of(str(error), parsed) from error


def _wrap_secret(kind: type, value: object) -> Secret:
    """Make a `Secret` of a client secret at once, so that nothing can print it (msgspec hook)."""
    if isinstance(value, str):
        return Secret(value)
    raise ValueError(f"Expected `str`, got `{type(value).__name__}`")


def _mistake_of(complaint: str, parsed: ParsedYAML) -> Mistake:
    split = _MSGSPEC_MESSAGE.fullmatch(complaint)
    problem, path = (split[1], split[2] or "") if split else (complaint, "")
    if unknown := _UNKNOWN_KEY.fullmatch(problem):
        return _unknown_key(path, unknown[1], parsed)
    if missing := _MISSING_KEY.fullmatch(problem):
        key = missing[1]
        return Mistake(join_path(path, key), f"is missing; {_ADD_OF_KEY.get(key, _ADD)}")
    return _wrong_type(path, problem, parsed)


def _unknown_key(place: str, key: str, parsed: ParsedYAML) -> Mistake:
    name = key_for_message(key, parsed.lines.get((place, key), 0))
    return Mistake(join_path(place, name), f"is an unknown key; {_suggestion(place, key)}")


def _suggestion(place: str, key: str) -> str:
    elsewhere = next(
        (p for p, struct in STRUCT_OF_PLACE.items() if key in struct.__struct_fields__), None
    )
    if elsewhere is not None:
        return f"it belongs {f'in {elsewhere}' if elsewhere else 'at the top of the file'}"
    known = STRUCT_OF_PLACE[_without_indexes(place)].__struct_fields__
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"the keys here are {', '.join(known)}"


def _wrong_type(path: str, problem: str, parsed: ParsedYAML) -> Mistake:
    kinds = _WRONG_TYPE.fullmatch(problem)
    expected, got = kinds.groups() if kinds else ("", "")
    place = _path_with_key(path, parsed)
    if got in ("null", "NoneType"):
        return Mistake(place, "is empty; give it a value or remove the key")
    remedy = _REMEDY_OF_KEY.get(path.rpartition(".")[2]) or _REMEDIES.get(expected, _ADD)
    wanted, found = (_TYPE_WORDS.get(kind, "something else") for kind in (expected, got))
    return Mistake(place, f"is {found} where {wanted} is expected; {remedy}")


def _path_with_key(path: str, parsed: ParsedYAML) -> str:
    """Return *path* with the key that msgspec left out: the first one with an invalid value."""
    place, some_key, rest = path.partition(_UNNAMED_KEY)
    if not some_key:
        return path
    kind = USER_KEYED_PLACES[_without_indexes(place)]
    entries = _value_at(place, parsed).items()
    key = next(key for key, value in entries if not _is_valid({key: value}, kind))
    return join_path(place, key_for_message(key, parsed.lines[place, key])) + rest


def _value_at(place: str, parsed: ParsedYAML) -> Any:
    content: Any = parsed.content
    for step in re.findall(r"[a-z_]+|[0-9]+", place):
        content = content[int(step) if step.isdigit() else step]
    return content


def _is_valid(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _without_indexes(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)
