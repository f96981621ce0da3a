"""What each place for documents has to do, whatever it is: files, a database, a fake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from cdr_exporter.database import Database, DatabaseDocuments, prepare_schema
from cdr_exporter.errors import TryAgain
from cdr_exporter.pbx import Cancelled, Documents, FileDocuments
from cdr_exporter.pbx.documents import LOGINS, TOKEN, Contents, locked

from ..support.memory_documents import MemoryDocuments
from ..support.postgres import TestDatabase

NAMES = (".logins-192.0.2.1-8088", ".logins-pbx.test-8088")
NEVER = threading.Event()


class Place(Protocol):
    """Documents, with another process's view of the same ones."""

    def __call__(self) -> Documents:
        """Return the view of one more process."""


def in_files(tmp_path: Path, _: pytest.FixtureRequest) -> Iterator[Place]:
    yield lambda: FileDocuments(tmp_path)


def in_memory(_: Path, __: pytest.FixtureRequest) -> Iterator[Place]:
    shared = MemoryDocuments(lambda: 0.0)
    yield lambda: shared


def in_database(_: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    postgres: TestDatabase = request.getfixturevalue("postgres")
    made = [Database(postgres.url(), 30.0, connections=3) for _ in range(2)]
    prepare_schema(made[0])
    documents = iter([DatabaseDocuments(each) for each in made])
    yield lambda: next(documents)
    for each in made:
        each.close()


@pytest.fixture(
    params=[
        pytest.param(in_files, id="files"),
        pytest.param(in_database, id="database"),
        pytest.param(in_memory, id="memory"),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from request.param(tmp_path, request)


def replaced(**contents: bytes | None) -> Callable[[Contents], Contents]:
    """Return what replaces the contents of two documents."""
    return lambda _: dict(zip(NAMES, contents.values(), strict=True))


def test_what_was_written_is_read_by_another_process(place: Place) -> None:
    ours, others = place().open(LOGINS, *NAMES), place().open(LOGINS, *reversed(NAMES))
    with locked(ours, 60.0, 1.0, NEVER):
        before = ours.read()
        ours.change(replaced(first=b"\x00\xff{}", second=b""))

    assert before == dict.fromkeys(NAMES)
    assert others.read() == {NAMES[0]: b"\x00\xff{}", NAMES[1]: b""}


def test_one_that_is_removed_is_gone_and_one_that_is_left_out_stays(place: Place) -> None:
    ours = place().open(LOGINS, *NAMES)
    with locked(ours, 60.0, 1.0, NEVER):
        ours.change(replaced(first=b"1", second=b"2"))
        ours.change(lambda found: {NAMES[0]: None})
        ours.change(lambda found: {})

    assert place().open(LOGINS, *NAMES).read() == {NAMES[0]: None, NAMES[1]: b"2"}


def test_a_change_is_made_of_what_is_there(place: Place) -> None:
    documents = [place().open(TOKEN, "hq.token"), place().open(TOKEN, "hq.token")]
    for document in documents:
        with locked(document, 60.0, 1.0, NEVER):
            document.change(lambda found: {"hq.token": (found["hq.token"] or b"") + b"x"})

    assert documents[0].read() == {"hq.token": b"xx"}


def test_where_the_edit_raises_nothing_is_changed_and_the_error_passed_on(place: Place) -> None:
    ours = place().open(LOGINS, *NAMES)

    def refuse(_: Contents) -> Contents:
        raise TryAgain("the next login is due later", reason="auth")

    with locked(ours, 60.0, 1.0, NEVER):
        ours.change(replaced(first=b"1", second=b"2"))
        with pytest.raises(TryAgain, match="due later") as caught:
            ours.change(refuse)

    assert caught.value.reason == "auth"
    assert ours.read() == {NAMES[0]: b"1", NAMES[1]: b"2"}


@pytest.mark.parametrize("names", [NAMES, NAMES[:1], NAMES[1:]], ids=["both", "first", "second"])
def test_the_lock_on_one_of_them_keeps_others_from_all_of_them(
    place: Place, names: tuple[str, ...]
) -> None:
    ours, others = place().open(LOGINS, *names), place().open(LOGINS, *NAMES)
    with locked(ours, 60.0, 1.0, NEVER) as lock:
        kept_out = others.try_lock(60.0)
        held = lock.is_held()
    after = others.try_lock(60.0)

    assert (kept_out, held) == (None, True)
    assert after is not None
    after.release()


def test_a_lock_that_was_not_given_leaves_none_behind(place: Place) -> None:
    ours, others = place(), place()
    with locked(ours.open(LOGINS, NAMES[1]), 60.0, 1.0, NEVER):
        assert others.open(LOGINS, *NAMES).try_lock(60.0) is None
        first = ours.open(LOGINS, NAMES[0]).try_lock(60.0)

    assert first is not None
    first.release()


def test_documents_of_other_names_are_locked_by_others(place: Place) -> None:
    with (
        locked(place().open(TOKEN, "hq.token"), 60.0, 1.0, NEVER),
        locked(place().open(TOKEN, "branch.token"), 60.0, 1.0, NEVER),
    ):
        pass


def test_who_waits_in_vain_is_told_so_and_who_is_to_stop_stops(place: Place) -> None:
    ours, others = place().open(TOKEN, "hq.token"), place().open(TOKEN, "hq.token")
    stopped = threading.Event()
    stopped.set()
    with locked(ours, 60.0, 1.0, NEVER):
        with (
            pytest.raises(TryAgain, match="another process is busy logging in"),
            locked(others, 60.0, 0.0, NEVER),
        ):
            pytest.fail("the lock was given twice")
        with pytest.raises(Cancelled), locked(others, 60.0, 60.0, stopped):
            pytest.fail("the lock was given twice")


def test_a_turn_is_given_to_who_is_alone(place: Place) -> None:
    with place().turn("hq.requests", 60.0, NEVER):
        pass
