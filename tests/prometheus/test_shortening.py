"""That shortening changes every duration of what is shipped, by one factor, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..support.paths import ROOT
from ..support.programs import require
from ..support.shortening import shortened

FOLDER = ROOT / "prometheus"
RULE_FILES = sorted((FOLDER / "rules").glob("*.yml"))
SHIPPED = [*RULE_FILES, FOLDER / "prometheus.yml", FOLDER / "alertmanager.yml"]

FACTOR = 60

shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)


def test_durations_of_rules_and_expressions_are_divided_and_all_else_stays() -> None:
    rules: dict[str, Any] = {
        "groups": [
            {
                "name": "for 5m",
                "interval": "2m",
                "limit": 60,
                "rules": [
                    {
                        "alert": "A",
                        "expr": "level:a:increase1h{x=\"5m\", y='1h'} > 300\n"
                        "and max_over_time(b:ratio1d[1w:1d] offset 1d) < rate(c[90s] offset -1h)",
                        "for": "1h30m",
                        "keep_firing_for": "1m",
                        "annotations": {"summary": "5m, or [5m]"},
                        "labels": {"window": "1h"},
                    }
                ],
            }
        ]
    }

    rule = rules["groups"][0]["rules"][0]
    expected = rule | {
        "expr": "level:a:increase1h{x=\"5m\", y='1h'} > 300\n"
        "and max_over_time(b:ratio1d[2h48m:24m] offset 24m) < rate(c[1s500ms] offset -1m)",
        "for": "1m30s",
        "keep_firing_for": "1s",
    }
    group = {"name": "for 5m", "interval": "2s", "limit": 60, "rules": [expected]}
    assert shortened(rules, FACTOR) == {"groups": [group]}


def test_routes_within_routes_and_what_is_scraped_wait_less() -> None:
    routes = {"group_wait": "0s", "routes": [{"group_interval": "5m", "repeat_interval": "1w"}]}
    scraping = {"global": {"scrape_interval": "30s", "scrape_timeout": "6s"}, "url": "5m"}

    assert shortened(routes, FACTOR) == {
        "group_wait": "0s",
        "routes": [{"group_interval": "5s", "repeat_interval": "2h48m"}],
    }
    assert shortened(scraping, FACTOR) == {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "100ms"},
        "url": "5m",
    }


def test_a_duration_that_cannot_be_divided_is_an_error() -> None:
    with pytest.raises(ValueError, match="1s divided by 60"):
        shortened({"for": "1s"}, FACTOR)


@shipped
def test_every_duration_of_what_is_shipped_is_divided_by_the_factor(path: Path) -> None:
    before, after = document(path), shortened(document(path), FACTOR)

    found = [
        (old, new)
        for (key, old_text), (_, new_text) in zip(leaves(before), leaves(after), strict=True)
        if key not in {"summary", "description", "window"}
        for old, new in zip(words(unquoted(old_text)), words(unquoted(new_text)), strict=True)
        if seconds(old) is not None
    ]
    assert found or path.name == "cdr-thresholds.yml"
    for old, new in found:
        assert seconds(new) == pytest.approx((seconds(old) or 0.0) / FACTOR), (old, new)


@shipped
def test_nothing_else_of_what_is_shipped_is_touched(path: Path) -> None:
    before, after = document(path), shortened(document(path), FACTOR)

    for (key, old), (new_key, new) in zip(leaves(before), leaves(after), strict=True):
        assert key == new_key
        if old != new:
            kept = [word for word in words(old) if seconds(word) is None]
            assert kept == [word for word in words(new) if seconds(word) is None]


def test_promtool_accepts_the_shortened_rules(tmp_path: Path) -> None:
    for path in RULE_FILES:
        (tmp_path / path.name).write_text(json.dumps(shortened(document(path), FACTOR)))

    done = subprocess.run(
        [require("promtool"), "check", "rules", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield all that is no list or mapping, as text, with the key that it is under."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, key)
    else:
        yield key, str(node)


def words(text: str) -> list[str]:
    """Return the words of *text* and what is between them."""
    return re.split(r"([^\w:]+|(?<=\w):(?=\d))", text)


def unquoted(text: str) -> str:
    """Return *text* without what stands in quotes: the value of a label is no duration."""
    return re.sub(r'"[^"]*"', '""', text)


UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def seconds(word: str) -> float | None:
    """Return the seconds of a word that is a duration, or None."""
    if not re.fullmatch(r"(?:\d+[a-z]+)+", word):
        return None
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([a-z]+)", word))
