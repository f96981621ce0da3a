"""A setting is declared once: what follows from its declaration, and that something uses it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import pytest

import cdr_exporter
from cdr_exporter.config.mistake import Mistake, Mistakes, Place
from cdr_exporter.config.reading import Form, Reader, completed
from cdr_exporter.settings import PBX, TLS, Buckets, SecretSource, Settings, kinds
from cdr_exporter.settings.kinds import Setting, group_of

PACKAGE = Path(cdr_exporter.__file__).parent


@dataclass(frozen=True)
class Tea:
    """A group of settings that is declared here and named nowhere else."""

    minutes: Annotated[float, Setting(kinds.duration("1m", "10m"))] = 180.0
    leaves: Annotated[str, Setting(kinds.one_of("tea", "green", "black"))] = "black"


@dataclass(frozen=True)
class Kitchen:
    """A group with a group in it."""

    cups: Annotated[int, Setting(kinds.whole_number(1, "write how many"), missing="count them")]
    tea: Annotated[Tea, Setting(group_of(Tea))] = Tea()
    shelf: Annotated[Path, Setting(kinds.PATH, key="shelf_dir")] = Path("shelf")


def kitchen(*written: dict[str, Any]) -> Any:
    """Return what is meant by the *written* values, the first of which override the others."""
    group = group_of(Kitchen)
    mistakes = Mistakes()
    reader = Reader(Form(group), Path("/house"), mistakes)
    read = [reader.read(group, each, Place({})) for each in written]
    for mistake in mistakes.noted:
        raise mistake
    return completed(group, *read)


def test_a_setting_is_read_and_has_its_default_by_its_declaration_alone() -> None:
    assert kitchen({"cups": 4, "shelf_dir": "left"}) == Kitchen(4, Tea(), Path("/house/left"))


def test_a_value_overrides_another_within_groups_too() -> None:
    top = {"cups": 4, "tea": {"minutes": "2m", "leaves": "green"}}

    assert kitchen({"cups": 2, "tea": {"minutes": "5m"}}, top) == Kitchen(2, Tea(300, "green"))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        pytest.param({}, "cups: is missing; count them", id="missing"),
        pytest.param({"cups": 0}, "cups: is less than 1; write how many", id="too_few"),
        pytest.param(
            {"cups": 1, "tea": {"leaves": "red"}},
            "tea.leaves: is not a known tea; write green or black",
            id="not_one_of_them",
        ),
        pytest.param(
            {"cups": 1, "tea": {"minutes": "20s"}},
            "tea.minutes: is out of range; write a duration from 1m to 10m",
            id="out_of_range",
        ),
        pytest.param(
            {"cups": 1, "tea": {"minute": "20s"}},
            "tea.minute: is an unknown key; did you mean minutes?",
            id="unknown",
        ),
    ],
)
def test_a_mistake_is_found_by_the_declaration_alone(written: dict[str, Any], message: str) -> None:
    with pytest.raises(Mistake) as caught:
        kitchen(written)

    assert str(caught.value) == message


def names_used(files: Iterable[Path]) -> set[str]:
    """Return the names of all attributes that the code in *files* reads."""
    return {
        node.attr
        for path in files
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }


@pytest.mark.parametrize("kind", [Settings, PBX, SecretSource, TLS, Buckets])
def test_every_setting_is_used(kind: type) -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "settings"]

    assert {field.name for field in fields(kind)} - names_used(files) == set()
