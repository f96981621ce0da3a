"""Who was called: a person or which kind of machine of the PBX; and which number that is.

Evidence counts in this order:

1. A leg that leaves by a trunk went to somebody outside: a person, whatever the contact is called.
2. The callee's number, where the number plan says what it is. `*…` and `#…` are feature codes.
3. The words at the beginning of its name: IVR, Queue, Voicemail, …
4. None of these: a person, which is counted, so that a wrong number plan shows itself.

The number beats the name (`Queue Manager<1051>` is a telephone), but for *Voicemail* and *Fax to
Email*: there the number is that of the extension whose box it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

PERSON, RING_GROUP, QUEUE, CONFERENCE = "person", "ring_group", "queue", "conference"
MENU = "menu"
"""A menu, an announcement, a call flow, DISA or an AI receptionist: it may pass the caller on."""
MACHINE = "machine"

NEITHER, CONFLICT = DOUBTS = ("neither", "conflict")
"""Neither number nor name says who picked up; or number and name disagree."""

KIND_OF_PLAN: Mapping[str, str] = {
    "extension": PERSON,
    "parking": MACHINE,
    "group_voicemail": MACHINE,
    "ivr": MENU,
    "ring_group": RING_GROUP,
    "queue": QUEUE,
    "conference": CONFERENCE,
    "paging": MACHINE,
    "machine": MACHINE,
}
"""What each kind of the setting `number_plan` is in a call."""

_KIND_OF_WORDS = {
    "IVR": MENU,
    "Queue": QUEUE,
    "Ring Group": RING_GROUP,
    "Conference": CONFERENCE,
    "Voicemail": MACHINE,
    "Group Voicemail": MACHINE,
    "Play File": MENU,
    "Play Prompt": MENU,
    "Satisfaction Survey": MACHINE,
    "AI Receptionist": MENU,
    "Call Flow": MENU,
    "DISA": MENU,
    "Fax to Email": MACHINE,
    "Paging": MACHINE,
    "Parking": MACHINE,
    "Callback": MACHINE,
}
_BEATS_NUMBER = ("Voicemail", "Fax to Email")
_PLAYERS = ("Play File", "Play Prompt")

_PEOPLE = frozenset({PERSON, CONFERENCE})

_PARTS = re.compile(r"([^<>]*)<([^<>]*)>([^<>]*)", re.DOTALL)
_NUMBER = re.compile(r"[+*#0-9][-+*#0-9 ./()]*")
_NUMBER_THEN_NAME = re.compile(r"([+*#0-9]+)\s*-\s*(.*[^\W\d_].*)", re.DOTALL)
_SEPARATORS = re.compile(r"[-\s./()]")


class Callee(NamedTuple):
    """Who was called, by number and name alone.

    *number* has digits, `+`, `*` and `#` only; it is empty where none was given. *kind* is one of
    the constants above, *doubt* one of `DOUBTS` or empty.
    """

    number: str
    kind: str
    doubt: str


class NumberPlan:
    """Which of the PBX's own numbers are what. Of several ranges the narrowest decides.

    *ranges* are the first and the last number of ranges by kind (keys of `KIND_OF_PLAN`); both
    have the same count of digits, and so have the numbers in it. *queues* are numbers that the
    user named as queues.
    """

    def __init__(
        self, ranges: Mapping[str, Sequence[tuple[str, str]]], queues: Iterable[str] = ()
    ) -> None:
        self._queues = frozenset(queues)
        found = [
            (int(last) - int(first), len(first), int(first), int(last), KIND_OF_PLAN[kind])
            for kind, each in ranges.items()
            for first, last in each
        ]
        self._narrowest_first = sorted(found, key=lambda each: each[0])

    def kind_of(self, number: str) -> str:
        """Return what *number* is; empty where nothing says it."""
        if number in self._queues:
            return QUEUE
        if number[:1] in ("*", "#"):
            return MACHINE
        if not (number.isascii() and number.isdigit()):
            return ""
        value, digits = int(number), len(number)
        for _, length, first, last, kind in self._narrowest_first:
            if length == digits and first <= value <= last:
                return kind
        return ""


class CalleeParser:
    """Reads the fields `call_to` and `call_from`.

    *machines* are further beginnings of the names of machines, besides the built-in ones.
    """

    def __init__(self, plan: NumberPlan, machines: Iterable[str] = ()) -> None:
        self._plan = plan
        words = [(_beginning(each), MACHINE) for each in machines]
        words += [(_beginning(each), kind) for each, kind in _KIND_OF_WORDS.items()]
        self._words = words

    def parse(self, text: str, number: str = "") -> Callee:
        """Return who *text*, the field `call_to`, is; *number* is `call_to_number`, if given."""
        name, in_text = split_party(text)
        # Newer firmware writes the name there, too, where somebody has no number.
        number = number.strip() if _NUMBER.fullmatch(number.strip()) else in_text
        number = _SEPARATORS.sub("", number)
        by_name, by_number = self._kind_of_name(name), self._plan.kind_of(number)
        if _begins_with(name, _ALWAYS):
            return Callee(number, MACHINE, "")
        if not by_number:
            return Callee(number, by_name or PERSON, "" if by_name else NEITHER)
        disagree = by_name and by_name != by_number and not {by_name, by_number} <= _PEOPLE
        return Callee(number, by_number, CONFLICT if disagree else "")

    def _kind_of_name(self, name: str) -> str:
        return next((kind for word, kind in self._words if word.match(name)), "")


def is_player(text: str) -> bool:
    """Say whether *text*, the field `call_from`, is the PBX that plays a file or a prompt."""
    # The first is quick, and false of nearly every caller; no two of them have the same text.
    return "play" in text.casefold() and _begins_with(split_party(text)[0], _PLAYER_WORDS)


def split_party(text: str) -> tuple[str, str]:
    """Return name and number of a party; one of them may be empty.

    The forms are `Name<number>`, `number<Name>`, `number-Name`, a number or a name alone.
    """
    if (parts := _PARTS.fullmatch(text)) is not None:
        first, second = (parts[1] + parts[3]).strip(), parts[2].strip()
        if _NUMBER.fullmatch(second):
            return first, second
        if _NUMBER.fullmatch(first):
            return second, first
        return first or second, ""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return "", text
    if (numbered := _NUMBER_THEN_NAME.fullmatch(text)) is not None:
        return numbered[2], numbered[1]
    return text, ""


def _beginning(words: str) -> re.Pattern[str]:
    """Return what names match that begin with *words*: `Play File`, `play_file` and `PlayFile`.

    No letter follows the last word: `IVR2` is a menu, `Ivrea` is none.
    """
    parts = [re.escape(part) for part in re.split(r"[\s_-]+", words) if part]
    return re.compile(r"\s*" + r"[\s_-]*".join(parts) + r"(?![^\W\d_])", re.IGNORECASE)


def _begins_with(name: str, words: Iterable[re.Pattern[str]]) -> bool:
    return any(word.match(name) for word in words)


_ALWAYS = tuple(map(_beginning, _BEATS_NUMBER))
_PLAYER_WORDS = tuple(map(_beginning, _PLAYERS))
