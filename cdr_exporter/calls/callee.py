"""Who was called: a person, or a machine of the PBX (IVR, queue, …); and which number that is.

The PBX writes `Anna Simmons<2008>`, `Queue Support<6400>`, `PlayFile`, `0171234`; a setting of the
PBX decides whether the name or the number stands in the brackets. A machine is recognised by the
first words of its name, so an unknown callee counts as a person.
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
    """Who was called. *number* has digits, `+`, `*` and `#` only; it is empty where none was given.

    A ring group or a queue is a machine only where the user's list of machines says so.
    """

    number: str
    is_machine: bool
    is_ring_group: bool
    is_queue: bool


def parse_callee(text: str, machines: Iterable[str]) -> Callee:
    """Parse the CDR field `call_to`.

    *machines* are the first words of machines' names, each passed through `normalised`.
    """
    name, number = _name_and_number(text)
    start = normalised(name)
    return Callee(
        number=_SEPARATORS.sub("", number),
        is_machine=_begins_with_word(start, machines),
        is_ring_group=_begins_with_word(start, _RING_GROUPS),
        is_queue=_begins_with_word(start, _QUEUES),
    )


def normalised(name: str) -> str:
    """Return *name* as names are compared: without regard to case, or to how many blanks."""
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
    """Say whether *name* begins with one of *words* as a whole word: `Ivrea` is not an `IVR`."""
    return any(name.startswith(word) and not name[len(word) :][:1].isalpha() for word in words)
