"""A mistake in `exporter.yml`: where it is, what is wrong, what to do.

Rule: a message never contains a value of the file, and a key only if it looks like one: after a
forgotten space or a wrong indentation, YAML may take the client secret for a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

# All keys are lower-case words, while client secrets mix upper case, lower case and digits.
_WORDS = re.compile(r"[a-z]+(_[a-z]+)*(_sha256)?")
_LONGEST = 32


class Mistake(Exception):
    """Used within `config` only, which turns it into the `ConfigError`.

    *path* is where the mistake is, empty for the file as a whole; *message* has the form `what is
    wrong; what to do`.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)


@contextmanager
def mistake_at(path: str) -> Iterator[None]:
    """Turn a `ValueError` raised inside the `with` block into a `Mistake` at *path*."""
    try:
        yield
    except ValueError as error:
        raise Mistake(path, str(error)) from error


def join_path(place: str, key: str) -> str:
    """Return the path of *key* in the group at *place*, which is empty at the top of the file."""
    return f"{place}.{key}" if place else key


def key_for_message(key: str, line: int) -> str:
    """Return *key* if it looks like a key, else only a hint at the line it is on."""
    if len(key) <= _LONGEST and _WORDS.fullmatch(key):
        return key
    return f"<key on line {line}>"
