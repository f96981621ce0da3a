"""Mistakes in a configuration file: where each is, what is wrong, what to do.

Rule: a message never contains a value of the file, and a key only if it looks like one: after a
forgotten space or a wrong indentation, YAML may take the client secret for a key. Of the values
only the name of a PBX is shown, which is public: it is a label on every page.

A mistake is raised as a `Mistake` where it is found. Who reads several things of which each may be
wrong, the items of a list or the keys of a group, does so by `Mistakes.attempt`, which notes the
mistake and returns `BROKEN` in place of the value. So all mistakes are told at once, and what
follows from a value that is `BROKEN` is not told as one more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError

LineOfKey = Mapping[tuple[str, str], int]
"""The line of a key, by the path of its group and the key."""

# All keys are lower-case words, while client secrets mix upper case, lower case and digits.
_WORDS = re.compile(r"[a-z]+(_[a-z]+)*(_sha256)?|http2")
_LONGEST = 32

# Long enough for names, and shorter than the secrets of a P-Series PBX, which are 32 letters and
# digits: one that was written in place of the name is not shown, nor what looks like a part of it.
_SHOWN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,23}")
_LIKE_A_SECRET = re.compile(
    r"(?=[A-Z0-9]*[a-z])(?=[a-z0-9]*[A-Z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{13,}"
)
_NUMBERED_PBX = re.compile(r"\bpbxs\[(\d+)\]")

_MOST_TOLD = 20

BROKEN: Any = object()
"""In place of a value with a mistake, which is noted already."""


class Mistake(Exception):
    """Used within `config` only, which turns it into the `ConfigError`.

    *path* is where the mistake is, empty for the file as a whole; *message* has the form `what is
    wrong; what to do`.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class Mistakes:
    """The mistakes that were noted so far, in *noted*."""

    def __init__(self) -> None:
        self.noted: list[Mistake] = []

    def attempt(self, read: Callable[..., Any], *arguments: Any) -> Any:
        """Return what *read* returns for *arguments*; `BROKEN` where it raises a `Mistake`."""
        try:
            return read(*arguments)
        except Mistake as mistake:
            self.noted.append(mistake)
            return BROKEN

    def as_error(self, where: str, lines: LineOfKey, content: object) -> ConfigError:
        """Return the error that tells all of them; *where* is the name of the file.

        It is to be raised outside of any `except`: else it would keep the exceptions behind the
        mistakes, which quote the file, as its context.
        """
        return ConfigError("\n".join(f"{where}: {each}" for each in self._told(lines, content)))

    def _told(self, lines: LineOfKey, content: object) -> list[str]:
        """Return what to say of the mistakes in *content*, in the order of the file."""
        line_of_path = _line_of_path(lines)
        in_order = sorted(self.noted, key=lambda mistake: _line_of(mistake.path, line_of_path))
        names = _names(content)
        # What is wrong for all PBXs is noted with each.
        told = list(dict.fromkeys(_with_names(str(mistake), names) for mistake in in_order))
        more = len(told) - _MOST_TOLD
        if more > 0:
            told[_MOST_TOLD:] = [f"{more} more mistakes; correct these first"]
        return told


def is_broken(value: object) -> bool:
    """Return whether *value*, or what it holds, is `BROKEN`."""
    held = value.values() if isinstance(value, Mapping) else value
    if isinstance(held, str) or not isinstance(held, Iterable):
        return value is BROKEN
    return any(map(is_broken, held))


def _line_of_path(lines: LineOfKey) -> dict[str, int]:
    """Return the line of each key by its path, and of each item of a list that of its first key."""
    found: dict[str, int] = {}
    for (group, key), line in lines.items():
        found.setdefault(group, line)
        found.setdefault(join_path(group, key), line)
    return found


def _line_of(path: str, line_of_path: Mapping[str, int]) -> int:
    """Return the line of what is at *path*, or of the nearest that holds it; 0 for the file."""
    while path and path not in line_of_path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return line_of_path[path] if path else 0


def _with_names(text: str, names: Mapping[int, str]) -> str:
    """Return *text* with the name of each PBX in place of its number, `pbxs[hq]` for `pbxs[0]`."""
    return _NUMBERED_PBX.sub(lambda found: f"pbxs[{names.get(int(found[1]), found[1])}]", text)


def _names(content: object) -> dict[int, str]:
    """Return the names of PBXs that may be shown, by number; none where two have the same."""
    entries = content.get("pbxs") if isinstance(content, Mapping) else None
    written = [
        entry.get("name") if isinstance(entry, Mapping) else None
        for entry in (entries if isinstance(entries, list) else ())
    ]
    names = [name if isinstance(name, str) else "" for name in written]
    times = Counter(name.casefold() for name in names)
    return {
        n: name
        for n, name in enumerate(names)
        if _may_be_shown(name) and times[name.casefold()] == 1
    }


def _may_be_shown(name: str) -> bool:
    is_odd = name.isdigit() or _LIKE_A_SECRET.search(name)
    return _SHOWN_NAME.fullmatch(name) is not None and not is_odd


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the file by its path, `pbxs[0].tls`, which is empty for the file as a whole."""

    lines: LineOfKey
    path: str = ""

    def key(self, key: str) -> Place:
        """Return the place of *key* in the group at this place."""
        shown = key_for_message(key, self.lines.get((self.path, key), 0))
        return Place(self.lines, join_path(self.path, shown))

    def item(self, number: int) -> Place:
        """Return the place of an item, counted from 0, of the list at this place."""
        return Place(self.lines, f"{self.path}[{number}]")

    def mistake(self, message: str) -> Mistake:
        """Return the mistake that there is at this place."""
        return Mistake(self.path, message)


def join_path(place: str, key: str) -> str:
    """Return the path of *key* in the group at *place*, which is empty at the top of the file."""
    return f"{place}.{key}" if place else key


def key_for_message(key: str, line: int) -> str:
    """Return *key* if it looks like a key, else only a hint at the line it is on."""
    if len(key) <= _LONGEST and _WORDS.fullmatch(key):
        return key
    return f"<key on line {line}>"
