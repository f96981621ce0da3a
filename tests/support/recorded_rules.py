"""What recording rules would have recorded of a past, as a block that promtool makes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from .processes import Prometheus
from .programs import require

Rules = Mapping[str, Mapping[str, Any]]
"""Recording rules by the name of what they record."""


def rules_in(path: Path, wanted: Collection[str] = ()) -> Rules:
    """Return the recording rules of a file: the *wanted* ones and those that they read, or all."""
    groups = yaml.safe_load(path.read_text())["groups"]
    rules = {rule["record"]: rule for group in groups for rule in group["rules"]}
    return _needed(rules, wanted) if wanted else rules


def record(
    directory: Path, prometheus: Callable[[], Prometheus], rules: Rules, times: Iterable[int]
) -> None:
    """Add what *rules* record at *times* to the `data` of *directory*, which *prometheus* holds.

    Prometheus sees only what was there when it was started; so it is asked once for the rules that
    read the counters, then for those that build upon these, and so on. (`promtool tsdb
    create-blocks-from rules` would make a block of each rule, which takes seconds.)
    """
    while rules:
        ready = {name: rule for name, rule in rules.items() if not _reads(rule) & rules.keys()}
        rules = {name: rule for name, rule in rules.items() if name not in ready}
        path = directory / "recorded.om"
        with prometheus() as running:
            found = "".join(_samples(running, ready, times))
            running.stop()
        path.write_text(f"{found}# EOF\n")
        promtool("openmetrics", "--max-block-duration=1440h", path, directory / "data")


def _samples(prometheus: Prometheus, rules: Rules, times: Iterable[int]) -> Iterator[str]:
    """Yield what *rules* record at *times*, as OpenMetrics."""
    for name, rule in rules.items():
        for moment in times:
            for found in prometheus.query(rule["expr"], time=moment):
                labels = {**found["metric"], **rule.get("labels", {})}
                inner = ",".join(
                    f"{label}={json.dumps(value)}"
                    for label, value in labels.items()
                    if label != "__name__"
                )
                yield f"{name}{{{inner}}} {found['value'][1]} {moment}\n"


def _reads(rule: Mapping[str, Any]) -> set[str]:
    """Return the names of recorded metrics, `level:metric:operation`, in an expression."""
    return set(re.findall(r"\w+:\w+:\w+", rule["expr"]))


def _needed(rules: Rules, wanted: Collection[str]) -> Rules:
    if not wanted:
        return {}
    found = {name: rules[name] for name in wanted}
    return {**_needed(rules, set().union(*map(_reads, found.values()))), **found}


def promtool(kind: str, *arguments: str | Path) -> None:
    """Let promtool make blocks of samples from a file of one *kind*."""
    command = [require("promtool"), "tsdb", "create-blocks-from", kind, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
