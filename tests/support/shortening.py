"""Rules and configurations of Prometheus and Alertmanager in which all takes less time.

`shortened` divides every duration by one factor: how often there is a scrape and an evaluation, how
long an alert is pending, how long a range, subquery step or offset is, how long Alertmanager waits.
So an alert that is ten minutes on its way is seen in ten seconds, by the rules that are shipped.

What is no duration stays, and so means something else beside shorter windows:

- Numbers of calls or polls are now those of a shorter window: five rows in 3 s, not in 3 minutes.
- Numbers of seconds that are compared with a clock or with talk are real seconds: `time() - … <
  86400`, `cdr_threshold:stale_seconds`, the hours of a night. These alerts come as late as ever,
  and night and weekend are those of the day on which the test runs.
- What Prometheus itself has as a flag: it tells Alertmanager again of an alert that still fires
  after a minute, and looks back 5 minutes for a sample.
- The texts of alerts, which say "10 minutes" as before.

That the durations are right as they are shipped is for the tests by promtool.
"""

from __future__ import annotations

import re
from typing import Any

from cdr_exporter.settings import durations

_KEYS = re.compile(r"for|keep_firing_for|(\w+_)?interval|\w+_(timeout|wait|offset)")
"""Keys that have a duration, in a rule, a group, a scrape configuration or a route."""

_TOKENS = re.compile(
    r"""
      "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'   # text between quotes
    | [a-zA-Z_][\w:]*                          # names: cdr_inbound_calls:increase1h
    | (?<![\w.]) (?P<duration> (?:\d+(?:ms|[smhdwy]))+ ) \b
    """,
    re.VERBOSE,
)
"""Durations in PromQL, and what may look as if it had some and has none."""


def shortened(document: Any, factor: int) -> Any:
    """Return a loaded YAML *document* with each duration divided by *factor*.

    Raises `ValueError` where the result would not be whole milliseconds, the finest that
    Prometheus reads.
    """
    if isinstance(document, list):
        return [shortened(each, factor) for each in document]
    if not isinstance(document, dict):
        return document
    return {key: _shortened_value(key, value, factor) for key, value in document.items()}


def _shortened_value(key: str, value: Any, factor: int) -> Any:
    if not isinstance(value, str):
        return shortened(value, factor)
    if key == "expr":
        return _shortened_expression(value, factor)
    return _shortened_duration(value, factor) if _KEYS.fullmatch(key) else value


def _shortened_expression(text: str, factor: int) -> str:
    def replaced(found: re.Match[str]) -> str:
        duration = found["duration"]
        return found[0] if duration is None else _shortened_duration(duration, factor)

    return _TOKENS.sub(replaced, text)


def _shortened_duration(text: str, factor: int) -> str:
    milliseconds, rest = divmod(round(durations.parse_duration(text) * 1000), factor)
    if rest:
        raise ValueError(f"{text} divided by {factor} is not whole milliseconds")
    return durations.format_duration(milliseconds / 1000)
