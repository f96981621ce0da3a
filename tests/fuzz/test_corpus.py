"""Each file of the corpus, and that the promises that it is held against can be broken."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from cdr_exporter.cdr import CDRAnswer, Record, labels
from cdr_exporter.config import mistake
from cdr_exporter.web import landing

from . import targets
from .targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


def test_every_target_has_a_corpus() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_whatever_comes_every_promise_holds(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def example(target: str, name: str) -> bytes:
    return (CORPUS / target / name).read_bytes()


def test_a_row_that_counts_again_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count(1)

    def with_new_ids(body: bytes, most_rows: int) -> CDRAnswer:
        return CDRAnswer(errcode=0, rows=[Record(id=next(numbers), uid="a")])

    monkeypatch.setattr(targets, "decode", with_new_ids)

    with pytest.raises(AssertionError):
        targets.answer(example("answer", "contract"))


def test_a_person_on_the_page_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "trunk_label", lambda _: "Ada Ahorn<2001>")

    with pytest.raises(AssertionError, match="Ada Ahorn"):
        targets.answer(example("answer", "contract").replace(b"SIP 1", b"SIP 9"))


def test_a_page_that_cannot_be_made_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "page_body", lambda *_: 1 / 0)

    with pytest.raises(AssertionError):
        targets.request(b"GET /")


def test_a_secret_as_the_name_of_a_pbx_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mistake, "_may_be_shown", lambda _: True)

    with pytest.raises(AssertionError, match="shown"):
        targets.configuration(example("configuration", "secret_as_name"))


def test_a_secret_in_a_message_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mistake, "key_for_message", lambda key, _: key)

    with pytest.raises(AssertionError, match="shown"):
        targets.configuration(f"{targets.SECRET}: 1".encode())
