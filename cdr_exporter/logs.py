"""Logging: one line for each event, in logfmt or JSON.

    log.info("page counted", extra={"fields": {"pbx": "hq", "rows": 20}})
    for_pbx(log, "hq").info("page counted", rows=20)     writes the same line:
    ts=2026-11-23T08:00:00.123Z level=info logger=poller msg="page counted" pbx=hq rows=20

Rule: a line is one line of printable ASCII of bounded length, whatever its message and fields
contain; no line break and no escape sequence from the network reaches the terminal.

Code that logs must leave secrets out. The redaction here is a second safeguard, for messages of
libraries and for tracebacks.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_LEVEL_NAMES = {number: name for name, number in LEVELS.items()} | {logging.CRITICAL: "error"}

# Below warning these log the URLs they request, and the URLs of a PBX contain the token; asyncio
# logs which system call it uses.
_VERBOSE_LIBRARIES = ("urllib3", "requests", "asyncio")

# In characters.
MAX_VALUE = 200
_MAX_MESSAGE = 500
_MAX_TRACEBACK = 4000

_SECRET_KEYS = frozenset({"access_token", "refresh_token", "password", "client_secret"})
# After `=` any word is a secret, as in a URL. After `:` only a quoted text is, as in JSON, in the
# repr of a dict, or in one of these quoted again; so `client_secret: is empty` stays readable.
_SECRET = re.compile(
    rf"""(?P<key>(?:{"|".join(sorted(_SECRET_KEYS))})\\*["']?\s*)
         (?:(?P<colon>[=:]\s*b?)(?P<quote>\\*["']).*?(?:(?<!\\)(?P=quote)|\Z)
           |(?P<equals>=\s*)[^\s&"'\\<>]+)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_REDACTED = "<secret>"

_UNQUOTED = re.compile(r"[A-Za-z0-9_.:/+@-]+")
_INVALID_IN_KEY = re.compile(r"[^A-Za-z0-9_.]")

_FieldValue = str | int | float | bool | None


def setup(level: str, format: str, stream: TextIO) -> None:
    """Send all logging to *stream*, replacing any earlier setup.

    *level* is one of `LEVELS`, *format* one of `FORMATS`; others raise `KeyError`.
    """
    handler = _Handler(stream)
    handler.setFormatter(_OneLineFormatter(FORMATS[format]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    for name in _VERBOSE_LIBRARIES:
        logging.getLogger(name).setLevel(max(LEVELS[level], logging.WARNING))
    # Otherwise Python prints its own warnings directly to standard error, over several lines.
    logging.captureWarnings(True)


def for_pbx(log: logging.Logger, name: str) -> PBXLog:
    """Return *log* for events of the PBX *name*: every line has the field `pbx`."""
    return PBXLog(log, {"pbx": name})


class PBXLog(logging.LoggerAdapter[logging.Logger]):
    """A logger of one PBX; keyword arguments that are not logging's own become fields."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Turn keyword arguments into the fields of the line, `pbx` first."""
        own = {key: value for key, value in kwargs.items() if key in _LOGGINGS_OWN}
        fields = {key: value for key, value in kwargs.items() if key not in _LOGGINGS_OWN}
        return msg, {**own, "extra": {"fields": {**(self.extra or {}), **fields}}}


_LOGGINGS_OWN = frozenset({"exc_info", "stack_info", "stacklevel"})


def redact(text: str) -> str:
    """Return *text* with everything that looks like a token or password replaced."""
    return _SECRET.sub(_redact_match, text)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the line; the method of the base class would print it with all its arguments."""


class _OneLineFormatter(logging.Formatter):
    def __init__(self, render: Callable[[Mapping[str, _FieldValue]], str]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for *record*, without a line break at its end."""
        line: dict[str, _FieldValue] = {
            "ts": _timestamp(record.created),
            "level": _LEVEL_NAMES.get(record.levelno, record.levelname.lower()),
            "logger": _bounded(record.name, MAX_VALUE),
            "msg": _bounded(_message(record), _MAX_MESSAGE),
        }
        for key, value in _fields(record).items():
            name = _INVALID_IN_KEY.sub("_", str(key))
            line[f"{name}_" if name in line else name] = _safe_value(name, value)
        return self._render(line | self._error(record))

    def _error(self, record: logging.LogRecord) -> dict[str, _FieldValue]:
        if not record.exc_info or record.exc_info[1] is None:
            return {}
        error = record.exc_info[1]
        return {
            "error": _bounded(f"{type(error).__qualname__}: {error}", MAX_VALUE),
            "trace": _bounded_end(redact(self.formatException(record.exc_info)), _MAX_TRACEBACK),
        }


def _timestamp(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, LookupError):
        # The arguments do not fit the message: a mistake in the code, but the event still counts.
        return str(record.msg)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields = getattr(record, "fields", {})
    return fields if isinstance(fields, Mapping) else {"fields": fields}


def _safe_value(key: str, value: object) -> _FieldValue:
    if key.lower() in _SECRET_KEYS:
        return _REDACTED
    if (
        value is None
        or isinstance(value, int)
        or (isinstance(value, float) and math.isfinite(value))
    ):
        return value
    return _bounded(str(value), MAX_VALUE)


def _bounded(text: str, maximum: int) -> str:
    text = redact(text)
    return text if len(text) <= maximum else f"{text[: maximum - 3]}..."


def _bounded_end(text: str, maximum: int) -> str:
    """Return the last *maximum* characters: the end of a traceback says what happened."""
    return text if len(text) <= maximum else f"...{text[3 - maximum :]}"


def _redact_match(found: re.Match[str]) -> str:
    quote = found["quote"] or ""
    return f"{found['key']}{found['colon'] or found['equals']}{quote}{_REDACTED}{quote}"


def _logfmt(line: Mapping[str, _FieldValue]) -> str:
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in line.items())


def _logfmt_value(value: _FieldValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if _UNQUOTED.fullmatch(text) else _json_ascii(text)


def _json_ascii(value: object) -> str:
    return json.dumps(value)  # ASCII, with everything unprintable escaped


FORMATS: dict[str, Callable[[Mapping[str, _FieldValue]], str]] = {
    "logfmt": _logfmt,
    "json": _json_ascii,
}
