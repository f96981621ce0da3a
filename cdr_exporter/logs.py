"""Logging: one event, one line, in logfmt or JSON.

    log.info("page counted", extra={"fields": {"pbx": "hq", "rows": 20}})
    ts=2026-11-23T08:00:00.123Z level=info logger=poller msg="page counted" pbx=hq rows=20

Rule: whatever a message or a field holds, it stays one line of printable ASCII and of bounded
length: neither a line break nor a terminal's escape sequence from the network gets through.

Who logs keeps tokens out. Redaction here is the second net, for libraries and tracebacks.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_LEVEL_NAMES = {number: name for name, number in LEVELS.items()} | {logging.CRITICAL: "error"}

# At lower levels these print the URLs they fetch, and ours hold the token.
_TALKATIVE = ("urllib3", "requests", "waitress")

_LONGEST_VALUE = 200
_LONGEST_MESSAGE = 500
_LONGEST_TRACE = 4000

_SECRET_KEYS = frozenset({"access_token", "refresh_token", "password", "client_secret"})
# After `=` any word, as in a URL; after `:` only what is quoted, as in JSON, a dict's repr, or
# either of them quoted again; so `client_secret: is empty` stays readable.
_SECRET = re.compile(
    rf"""(?P<key>(?:{"|".join(sorted(_SECRET_KEYS))})\\*["']?\s*)
         (?:(?P<colon>[=:]\s*b?)(?P<quote>\\*["']).*?(?:(?<!\\)(?P=quote)|\Z)
           |(?P<equals>=\s*)[^\s&"'\\<>]+)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_REDACTED = "<secret>"

_BARE = re.compile(r"[A-Za-z0-9_.:/+@-]+")
_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9_.]")

_Value = str | int | float | bool | None


def setup(level: str, format: str, stream: TextIO) -> None:
    """Send all logging to *stream*, in place of what was set up before.

    *level* is one of `LEVELS`, *format* one of `FORMATS`.
    """
    handler = _Handler(stream)
    handler.setFormatter(_OneLine(FORMATS[format]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(LEVELS[level], logging.WARNING))
    # Python's own warnings would otherwise be printed past this, with source lines.
    logging.captureWarnings(True)


def redacted(text: str) -> str:
    """Return *text* with what looks like a token or password replaced."""
    return _SECRET.sub(_without_secret, text)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the line: logging would print the raw message and its arguments instead."""


class _OneLine(logging.Formatter):
    def __init__(self, render: Callable[[Mapping[str, _Value]], str]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for *record*, without its line break."""
        line: dict[str, _Value] = {
            "ts": _timestamp(record.created),
            "level": _LEVEL_NAMES.get(record.levelno, record.levelname.lower()),
            "logger": _text(record.name, _LONGEST_VALUE),
            "msg": _text(_message(record), _LONGEST_MESSAGE),
        }
        for key, value in _fields(record).items():
            name = _NOT_IN_A_KEY.sub("_", str(key))
            line[f"{name}_" if name in line else name] = _value(name, value)
        return self._render(line | self._error(record))

    def _error(self, record: logging.LogRecord) -> dict[str, _Value]:
        if not record.exc_info or record.exc_info[1] is None:
            return {}
        error = record.exc_info[1]
        return {
            "error": _text(f"{type(error).__qualname__}: {error}", _LONGEST_VALUE),
            "trace": _end(redacted(self.formatException(record.exc_info)), _LONGEST_TRACE),
        }


def _timestamp(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, LookupError):
        # Its arguments do not fit it: our mistake, and no reason to lose the event.
        return str(record.msg)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields = getattr(record, "fields", {})
    return fields if isinstance(fields, Mapping) else {"fields": fields}


def _value(key: str, value: object) -> _Value:
    if key.lower() in _SECRET_KEYS:
        return _REDACTED
    if (
        value is None
        or isinstance(value, int)
        or (isinstance(value, float) and math.isfinite(value))
    ):
        return value
    return _text(str(value), _LONGEST_VALUE)


def _text(text: str, longest: int) -> str:
    text = redacted(text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _end(text: str, longest: int) -> str:
    """Cut from the front: a traceback's last lines say what happened."""
    return text if len(text) <= longest else f"...{text[3 - longest :]}"


def _without_secret(found: re.Match[str]) -> str:
    quote = found["quote"] or ""
    return f"{found['key']}{found['colon'] or found['equals']}{quote}{_REDACTED}{quote}"


def _logfmt(line: Mapping[str, _Value]) -> str:
    return " ".join(f"{key}={_word(value)}" for key, value in line.items())


def _word(value: _Value) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if _BARE.fullmatch(text) else _ascii(text)


def _ascii(value: object) -> str:
    return json.dumps(value)  # as ASCII, with everything unprintable escaped


FORMATS: dict[str, Callable[[Mapping[str, _Value]], str]] = {"logfmt": _logfmt, "json": _ascii}
