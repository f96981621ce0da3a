"""`promtool test rules`, with no rule that a test does not look at.

promtool evaluates every rule it is given at every step of every test, and that is nearly all it
does. What a test looks at reads a few of them, directly or by what is recorded; a rule that it does
not read cannot change what it finds. With these few, `prometheus/tests` take 4 seconds of processor
time, and 28 with all.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from .programs import require
from .prometheus_rules import RULES, Rule

Document = Mapping[str, Any]
"""A test document of promtool."""


class _Loader(yaml.SafeLoader):
    """Reads numbers as promtool does: `0x20` is 21 samples of 0 and not 32."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:int"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]+$"), list("-+0123456789")
)


def read(path: Path) -> Document:
    """Return the test document in a file, with absolute paths of the rule files."""
    document: dict[str, Any] = yaml.load(path.read_text(), _Loader)  # noqa: S506 - a safe one
    return document | {
        "rule_files": [str((path.parent / name).resolve()) for name in document["rule_files"]]
    }


def run(*paths: Path, program: str | None = None) -> None:
    """Run test documents; fails the test with what promtool, or *program*, says."""
    done = subprocess.run(
        [program or require("promtool"), "test", "rules", *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        # It allocates much and keeps little, so that it need not collect garbage all the time.
        env={**os.environ, "GOGC": "400"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def write_trimmed(directory: Path, document: Document) -> list[Path]:
    """Write a document for each test of *document*, with the rules that it needs."""
    return [
        _write(directory / f"test-{number}", document, test)
        for number, test in enumerate(document["tests"])
    ]


def _write(directory: Path, document: Document, test: Mapping[str, Any]) -> Path:
    directory.mkdir()
    names = needed(_looked_at(test))
    files = {Path(path): _groups(Path(path), names) for path in document["rule_files"]}
    there = {group["name"] for groups in files.values() for group in groups}
    order = [name for name in document.get("group_eval_order", ()) if name in there]
    rules = [
        str(_dump(directory / path.name, {"groups": groups}))
        for path, groups in files.items()
        if groups
    ]
    return _dump(
        directory / "document.yml",
        {**document, "rule_files": rules, "group_eval_order": order, "tests": [test]},
    )


def _dump(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path


def _groups(path: Path, names: set[str]) -> list[dict[str, Any]]:
    """Return the groups of a rule file with the rules of *names*, none without any."""
    groups = yaml.safe_load(path.read_text())["groups"]
    kept = (
        {**group, "rules": [r for r in group["rules"] if _name(r) in names]} for group in groups
    )
    return [group for group in kept if group["rules"]]


def _looked_at(test: Mapping[str, Any]) -> Iterator[str]:
    for case in test.get("alert_rule_test", ()):
        yield case["alertname"]
    for case in test.get("promql_expr_test", ()):
        yield from _words(case["expr"])


def _name(rule: Rule) -> str:
    name: str = rule.get("record") or rule["alert"]
    return name


def _words(expression: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_:][\w:]*", expression))


EXPRESSIONS: dict[str, list[str]] = {}
"""What the rules of a name evaluate; a recorded metric may be made by several."""
for _rule in RULES:
    EXPRESSIONS.setdefault(_name(_rule), []).append(_rule["expr"])


def needed(names: Iterable[str]) -> set[str]:
    """Return the names of the rules that *names* read: directly, or by what is recorded.

    Whatever looks like the name of a rule in an expression counts as read. An expression that looks
    for metrics by a pattern of their names reads all rules.
    """
    found: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in EXPRESSIONS and name not in found:
            found.add(name)
            for expression in EXPRESSIONS[name]:
                queue += EXPRESSIONS if "__name__" in expression else _words(expression)
    return found
