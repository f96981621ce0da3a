r"""One value of an answer as Python's: a text of bounded length, a number, a truth value, or None.

Rule: a text is cut before it is decoded, so that a value takes little memory however long it was
sent, and a hash is put to it, so that two different texts stay different.

How texts are mended: raw control bytes are kept; `\'` is an apostrophe; every other escape that
JSON does not know is kept with its backslash. A lone surrogate and a byte that is not UTF-8 cannot
be encoded, neither for SQLite nor for a scrape; they are spelt out (`\ud800`, `\udcff`).
"""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal

from .record import LONGEST_TEXT
from .scanner import Value

UNUSABLE = object()
"""In place of an object, a list, or a word that is no value of JSON."""

_WORDS = {"": None, "null": None, "true": True, "false": False}
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,6})?")
_LEADING_ZERO = re.compile(r"-?0[0-9]")
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")

_ESCAPE = re.compile(
    r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|u([0-9a-f]{4})|(.))", re.I | re.S
)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPED |= {char: char for char in "\"\\/'"}
_BLANK = re.compile(rb"[ \t\r\n]*+")

_BYTES_OF_A_CHARACTER = 16
"""More than any takes: the longest are two escapes, `\\ud83d\\ude00`."""

_HASH_BYTES = 8


def parse_value(text: bytes, place: Value, longest: int = LONGEST_TEXT) -> object:
    """Return the value at *place* of *text*, a text in at most *longest* characters.

    A number is an `int`, or a `Decimal` where it is not whole or too large for anything.
    """
    first = text[place.start : place.start + 1]
    if first == b'"':
        return parse_string(text, place, longest)
    if first in (b"{", b"[") or place.end - place.start > _BYTES_OF_A_CHARACTER * LONGEST_TEXT:
        return UNUSABLE
    word = text[place.start : place.end].decode("ascii", "replace")
    if word in _WORDS:
        return _WORDS[word]
    number = None if _LEADING_ZERO.match(word) else parse_number(word)
    return UNUSABLE if number is None else number


def parse_number(word: str) -> int | Decimal | None:
    """Return the number that *word* is, with or without leading zeros; None where it is none.

    A number without a fraction is whole, however it is written: `30.0`, `3e1`. It is an `int`
    unless it is too large for anything, as `1e999`.
    """
    if word.isascii() and word.isdigit() and len(word) < 20:
        return int(word)
    if word in _NOT_FINITE:
        return Decimal(word)
    if not _NUMBER.fullmatch(word):
        return None
    # Not by way of a float: it would round an id of 17 digits.
    number = Decimal(word)
    return int(number) if is_whole(number) and abs(number) < 2**64 else number


def is_whole(number: Decimal) -> bool:
    """Return whether *number* has no fraction."""
    return number.is_finite() and number == number.to_integral_value()


def parse_string(text: bytes, place: Value, longest: int = LONGEST_TEXT) -> str:
    """Return the text of the JSON string at *place*, mended and cut; empty where it is blank."""
    longest_raw = _BYTES_OF_A_CHARACTER * longest
    raw = memoryview(text)[place.start + 1 : place.end - 1]
    parsed = _unescape(str(raw[:longest_raw], "utf-8", "surrogateescape"))
    if parsed.isspace() and (len(raw) <= longest_raw or _BLANK.fullmatch(raw)):
        return ""
    mended = parsed.encode("utf-8", "backslashreplace").decode()
    is_short = len(raw) <= longest_raw and len(mended) <= longest
    return mended if is_short else _shorten(mended, raw, longest)


def _shorten(text: str, whole: memoryview, longest: int) -> str:
    """Return the beginning of *text* and a hash of the *whole*, together *longest* characters."""
    suffix = f"~{hashlib.blake2b(whole, digest_size=_HASH_BYTES).hexdigest()}"
    return text[: longest - len(suffix)] + suffix


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(escape: re.Match[str]) -> str:
    high, low, single, char = escape.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    if single:
        return chr(int(single, 16))
    return _ESCAPED.get(char, escape[0])
