"""A mistake in `exporter.yml`: where it is, what is wrong, what to do.

Rule: no value of the file is ever part of a message, and a key only where it reads like one: what
follows a forgotten space or a wrong indent may be the client secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

# Lower-case words, as all settings are. Client secrets are mixed letters and digits.
_WORDS = re.compile(r"[a-z]+(_[a-z]+)*(_sha256)?")
_LONGEST = 32


class Mistake(Exception):
    """Internal to `config`, which makes the one `ConfigError` of it.

    *path* is empty for the file as a whole; *message* reads `what is wrong; what to do`.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)


@contextmanager
def mistake_at(path: str) -> Iterator[None]:
    """Say of a `ValueError` raised inside that it is about *path*."""
    try:
        yield
    except ValueError as error:
        raise Mistake(path, str(error)) from error


def join_path(place: str, key: str) -> str:
    """Return the path of *key* in *place*."""
    return f"{place}.{key}" if place else key


def key_for_message(key: str, line: int) -> str:
    """Return *key* if it reads like a key, else only the line it is on."""
    if len(key) <= _LONGEST and _WORDS.fullmatch(key):
        return key
    return f"<key on line {line}>"
