"""The rules that are shipped, and what their expressions read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from cdr_exporter.metrics.catalogue import FAMILIES, HISTOGRAM, Family

from .paths import ROOT

FOLDER = ROOT / "prometheus"
RULE_FILES = sorted((FOLDER / "rules").glob("*.yml"))

Rule = dict[str, Any]
"""A rule as it stands in its file."""


def rules_of(path: Path) -> list[Rule]:
    """Return the rules of a file, in order."""
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts_of(name: str) -> list[str]:
    """Return the names of the alerts of one rule file."""
    return [rule["alert"] for rule in rules_of(FOLDER / "rules" / name) if "alert" in rule]


RULES = [rule for path in RULE_FILES for rule in rules_of(path)]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}


def samples(families: Iterable[Family]) -> dict[str, set[str]]:
    """Return the labels of every sample name of *families*."""
    return {
        name: {*family.labels, *(() if family.process_wide else ("pbx",)), *extra}
        for family in families
        for name, extra in (
            {
                f"{family.name}_bucket": ("le",),
                f"{family.name}_count": (),
                f"{family.name}_sum": (),
            }
            if family.kind == HISTOGRAM
            else {family.name: ()}
        ).items()
    }


SAMPLES = samples(FAMILIES)
"""The labels of every sample name we expose."""


def metrics_in(expression: str) -> dict[str, set[str]]:
    """Return the label names matched on, by metric: good for the selectors used here."""
    found: dict[str, set[str]] = {}
    for metric, matchers in re.findall(
        r"(?<![\w:])((?:\w+:)?cdr_\w+(?::\w+)?|up\b)(?:\{([^}]*)\})?",
        re.sub(r'"[^"]*"', '""', expression),
    ):
        found.setdefault(metric, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    return found
