"""Whom a leg went to: a person, or a machine of the PBX; and which number that is.

The PBX writes `Anna Simmons<2008>`, `Queue Support<6400>`, `PlayFile`, `0171234`; which of name
and number stands in brackets depends on a setting of the PBX. Machines are told by how their
name begins, so an unknown callee counts as a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_PARTS = re.compile(r"([^<>]*)<([^<>]*)>([^<>]*)", re.DOTALL)
_NUMBER = re.compile(r"[+*#0-9][-+*#0-9 ./()]*")
_SEPARATORS = re.compile(r"[-\s./()]")

_RING_GROUPS = ("ringgroup", "ring group")
_QUEUES = ("queue",)


class Callee(NamedTuple):
    """*number* is what was dialled, digits, `+`, `*` and `#` only; empty where there is none."""

    number: str
    is_machine: bool
    is_ring_group: bool
    is_queue: bool


def parse_callee(text: str, machines: Iterable[str]) -> Callee:
    """Read `call_to`; *machines* are beginnings of names, folded as by `normalised`."""
    name, number = _name_and_number(text)
    start = normalised(name)
    return Callee(
        number=_SEPARATORS.sub("", number),
        is_machine=_begins_with_word(start, machines),
        is_ring_group=_begins_with_word(start, _RING_GROUPS),
        is_queue=_begins_with_word(start, _QUEUES),
    )


def normalised(name: str) -> str:
    """Return *name* as it is compared."""
    return " ".join(name.split()).casefold()


def _name_and_number(text: str) -> tuple[str, str]:
    parts = _PARTS.fullmatch(text)
    outside, inside = (parts[1] + parts[3], parts[2]) if parts else (text, "")
    first, second = outside.strip(), inside.strip()
    if _NUMBER.fullmatch(second):
        return first, second
    if _NUMBER.fullmatch(first):
        return second, first
    return first or second, ""


def _begins_with_word(name: str, words: Iterable[str]) -> bool:
    """Say whether *name* begins with one of *words*, as words: `Ivrea` is no `IVR`."""
    return any(name.startswith(word) and not name[len(word) :][:1].isalpha() for word in words)
