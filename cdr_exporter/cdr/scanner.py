"""Takes a JSON text apart into the places of its values, also where it departs from JSON.

Rule: work goes by the length of the text alone, and memory by the depth of its nesting, one byte a
level. Nothing is decoded here, and a value that nobody asks for is passed over.

What it takes beside JSON:

- in a string any byte but the closing quote: raw control bytes, bytes that are not UTF-8, escapes
  that JSON does not know;
- where a value should stand any word (`NaN`, `undefined`, `007`), or nothing;
- with *guess*, quotes, 1,000 at most, or a lone backslash within a string: a string ends at the
  first quote after which the object or list goes on as it should.

Everything else that is not JSON raises `NotJSON`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .record import GarbledAnswer

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_INNER_QUOTE = rb'"(?!\s*+(?::|[}\]]\s*+(?:[,}\]]|\Z)|,\s*+"[a-z_0-9]{1,32}"\s*+:))[^"]*+'
# Atomic and counted: Python before 3.11.5 matches a possessive repetition with an assertion in it
# wrongly, and an atomic one keeps each round in memory.
_GUESSED_STRING = rb'"[^"]*+(?>(?:%b){0,1000})"' % _INNER_QUOTE
_BLANKS = rb"[ \t\r\n]*+"
_PLAIN = rb'[^"\[\]{}]*+'
_BYTE_ORDER_MARKS = re.compile(rb"(?:\xef\xbb\xbf)*+")
_SPACE = re.compile(_BLANKS)
_CLOSING = {b"{": b"}", b"[": b"]"}


class NotJSON(GarbledAnswer):
    """The text is not JSON, nor near it."""


class Value(NamedTuple):
    """The place of a value in the text, without blanks around it; *end* is after its last byte."""

    start: int
    end: int


class _Patterns(NamedTuple):
    """What a value, and what the name of a member, look like.

    *value* is all of it, or the first bracket where it holds other objects or lists; *bracket* is
    all up to and with the next bracket of such a value, or the next string or leaf in it.

    No alternative stands in a possessive repetition, for the same reason as above.
    """

    value: re.Pattern[bytes]
    member: re.Pattern[bytes]
    bracket: re.Pattern[bytes]


def _patterns(string: bytes) -> _Patterns:
    # Objects and lists that hold no others are matched whole, which is most of them.
    leaf = rb"%b(?:%b%b)*+" % (_PLAIN, string, _PLAIN)
    leaf = rb"\{%b\}|\[%b\]" % (leaf, leaf)
    return _Patterns(
        re.compile(
            rb'%b(%b|%b|[\[{]|[^" \t\r\n,:\[\]{}]*+)%b' % (_BLANKS, string, leaf, _BLANKS), re.S
        ),
        re.compile(rb"%b(%b)%b:" % (_BLANKS, string, _BLANKS), re.S),
        re.compile(rb'%b(?:%b|%b|([\[\]{}"]|\Z))' % (_PLAIN, string, leaf), re.S),
    )


_STRICT, _GUESSING = _patterns(_STRING), _patterns(_GUESSED_STRING)


class Scanner:
    """The values in *text*; see above for *guess*."""

    def __init__(self, text: bytes, *, guess: bool = False) -> None:
        self._text = text
        self._patterns = _GUESSING if guess else _STRICT

    def whole(self) -> Value:
        """Return the one value that the text is, after byte order marks."""
        value, end = self._value(self._after(_BYTE_ORDER_MARKS, 0))
        if end != len(self._text):
            raise NotJSON("something follows the answer")
        return value

    def members(self, value: Value) -> Iterator[tuple[Value, Value]]:
        """Yield the names, as strings, and the values of an object."""
        at = self._start_of_contents(value, b"{")
        while at < value.end:
            name = self._patterns.member.match(self._text, at)
            if name is None:
                raise NotJSON("the answer is not JSON: a name and a colon are missing")
            member, at = self._value(name.end())
            yield Value(*name.span(1)), member
            at = self._after_comma(at, value)

    def items(self, value: Value) -> Iterator[Value]:
        """Yield the values of a list."""
        at = self._start_of_contents(value, b"[")
        while at < value.end:
            item, at = self._value(at)
            yield item
            at = self._after_comma(at, value)

    def is_empty(self, value: Value) -> bool:
        """Return whether an object or a list holds nothing."""
        return self._after(_SPACE, value.start + 1) == value.end - 1

    def _start_of_contents(self, value: Value, bracket: bytes) -> int:
        if self._text[value.start : value.start + 1] != bracket:
            raise NotJSON("the answer is not JSON of the expected shape")
        return value.end if self.is_empty(value) else value.start + 1

    def _after_comma(self, at: int, value: Value) -> int:
        """Return where the next value may start, or the end of *value* after its last one."""
        if at == value.end - 1:
            return value.end
        if self._text[at : at + 1] != b",":
            raise NotJSON("the answer is not JSON: a comma is missing")
        return at + 1

    def _value(self, at: int) -> tuple[Value, int]:
        """Return the value at *at*, and where the next token stands."""
        found = self._patterns.value.match(self._text, at)
        if found is None:  # never: a word may be empty
            raise NotJSON("the answer is not JSON")
        start, end = found.span(1)
        if end - start == 1 and found[1] in _CLOSING:
            end = self._end_of_nested(start)
            return Value(start, end), self._after(_SPACE, end)
        return Value(start, end), found.end()

    def _end_of_nested(self, at: int) -> int:
        """Return where the object or list at *at* ends; what is in it may be anything balanced."""
        open_brackets = bytearray(_CLOSING[self._text[at : at + 1]])
        for found in self._patterns.bracket.finditer(self._text, at + 1):
            bracket = found[1]
            if bracket is None:  # a string, or what holds no brackets
                continue
            if bracket in _CLOSING:
                open_brackets += _CLOSING[bracket]
            elif not bracket or open_brackets.pop() != bracket[0]:
                break
            elif not open_brackets:
                return found.end()
        raise NotJSON("the answer is not JSON: brackets do not match")

    def _after(self, pattern: re.Pattern[bytes], at: int) -> int:
        found = pattern.match(self._text, at)
        return found.end() if found else at
