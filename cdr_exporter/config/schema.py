"""What `exporter.yml` may say: its keys and their types, and msgspec's complaints in our words.

Rule: a key stands here only if something reads it. Whatever is not here is unknown and refused.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..secret import Secret
from .mistake import Mistake, join, shown
from .yaml_text import Document


class Adjustable(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What may stand at the top, for every PBX, and again in one PBX."""

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


class TLS(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Whom to believe, and whether to do without."""

    ca_file: str | UnsetType = UNSET
    fingerprint_sha256: str | UnsetType = UNSET
    insecure_skip_verify: bool = False
    allow_plaintext: bool = False


Labels = dict[str, str]
Classes = dict[str, list[str]]


class PBX(Adjustable, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One entry of `pbxs`."""

    name: str
    base_url: str
    client_id: str
    api_path: str | UnsetType = UNSET
    client_secret_file: str | UnsetType = UNSET
    client_secret_env: str | UnsetType = UNSET
    client_secret: Secret | UnsetType = UNSET
    tls: TLS = TLS()
    timezone: str | UnsetType = UNSET
    dids: Labels = {}
    queues: Labels = {}
    destinations: Classes = {}


class Buckets(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Histogram bounds."""

    duration: list[int] | UnsetType = UNSET
    ring: list[int] | UnsetType = UNSET
    wait: list[int] | UnsetType = UNSET


class File(Adjustable, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The file as a whole."""

    pbxs: list[PBX]
    state_dir: str | UnsetType = UNSET
    machine_callees: list[str] | UnsetType = UNSET
    buckets: Buckets = Buckets()


PLACES: dict[str, type[Struct]] = {"": File, "buckets": Buckets, "pbxs[]": PBX, "pbxs[].tls": TLS}
"""Where each mapping stands, list indexes left out."""

OWN_KEYS: dict[str, Any] = {
    "pbxs[].dids": Labels,
    "pbxs[].queues": Labels,
    "pbxs[].destinations": Classes,
}
"""Where the keys are the user's own, and the type there."""

_COMPLAINT = re.compile(r"(.*?)(?: - at `\$\.?([a-z0-9_.\[\]]*)`)?", re.DOTALL)
# msgspec does not tell which key it was.
_SOME_KEY = "[...]"
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_TYPE = re.compile(r"Expected `(\w+)`, got `(\w+)`")

# msgspec's names for types, and Python's where `_secret` says it.
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


def has_own_keys(place: str) -> bool:
    """Say whether the keys at *place* are the user's own."""
    return _general(place) in OWN_KEYS


def convert(document: Document) -> File:
    """Return what the file says, typed; raises `Mistake`."""
    if document.content is None:
        raise Mistake("", "is empty; start from the example exporter.yml")
    try:
        return msgspec.convert(document.content, File, dec_hook=_secret)
    except msgspec.ValidationError as error:
        raise _translated(str(error), document) from error


def _secret(kind: type, value: object) -> Secret:
    """Wrap a client secret before anything could print it."""
    if isinstance(value, str):
        return Secret(value)
    raise ValueError(f"Expected `str`, got `{type(value).__name__}`")


def _translated(complaint: str, document: Document) -> Mistake:
    split = _COMPLAINT.fullmatch(complaint)
    problem, path = (split[1], split[2] or "") if split else (complaint, "")
    if unknown := _UNKNOWN.fullmatch(problem):
        return _unknown(path, unknown[1], document)
    if missing := _MISSING.fullmatch(problem):
        key = missing[1]
        return Mistake(join(path, key), f"is missing; {_ADD_OF_KEY.get(key, _ADD)}")
    return _wrong_type(path, problem, document)


def _unknown(place: str, key: str, document: Document) -> Mistake:
    name = shown(key, document.lines.get((place, key), 0))
    return Mistake(join(place, name), f"is an unknown key; {_suggestion(place, key)}")


def _suggestion(place: str, key: str) -> str:
    elsewhere = next((p for p, struct in PLACES.items() if key in struct.__struct_fields__), None)
    if elsewhere is not None:
        return f"it belongs {f'in {elsewhere}' if elsewhere else 'at the top of the file'}"
    known = PLACES[_general(place)].__struct_fields__
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"the keys here are {', '.join(known)}"


def _wrong_type(path: str, problem: str, document: Document) -> Mistake:
    kinds = _TYPE.fullmatch(problem)
    expected, got = kinds.groups() if kinds else ("", "")
    place = _named(path, document)
    if got in ("null", "NoneType"):
        return Mistake(place, "is empty; give it a value or remove the key")
    remedy = _REMEDY_OF_KEY.get(path.rpartition(".")[2]) or _REMEDIES.get(expected, _ADD)
    wanted, found = (_TYPE_WORDS.get(kind, "something else") for kind in (expected, got))
    return Mistake(place, f"is {found} where {wanted} is expected; {remedy}")


def _named(path: str, document: Document) -> str:
    """Return *path* with the key that msgspec left out."""
    place, some_key, rest = path.partition(_SOME_KEY)
    if not some_key:
        return path
    kind = OWN_KEYS[_general(place)]
    entries = _said(place, document).items()
    key = next(key for key, value in entries if not _fits({key: value}, kind))
    return join(place, shown(key, document.lines[place, key])) + rest


def _said(place: str, document: Document) -> Any:
    content: Any = document.content
    for step in re.findall(r"[a-z_]+|[0-9]+", place):
        content = content[int(step) if step.isdigit() else step]
    return content


def _fits(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _general(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)
