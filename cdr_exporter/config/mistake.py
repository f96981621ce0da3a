"""A mistake in `exporter.yml`: where it is, what is wrong, what to do.

Rule: a message never contains a value of the file, and a key only if it looks like one: after a
forgotten space or a wrong indentation, YAML may take the client secret for a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LineOfKey = Mapping[tuple[str, str], int]
"""The line of a key, by the path of its group and the key."""

# All keys are lower-case words, while client secrets mix upper case, lower case and digits.
_WORDS = re.compile(r"[a-z]+(_[a-z]+)*(_sha256)?|http2")
_LONGEST = 32


class Mistake(Exception):
    """Used within `config` only, which turns it into the `ConfigError`.

    *path* is where the mistake is, empty for the file as a whole; *message* has the form `what is
    wrong; what to do`.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)


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
