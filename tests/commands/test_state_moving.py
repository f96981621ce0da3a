"""`state` with a database: what is shown and copied there, and states moved to it and back."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter import cli
from cdr_exporter.database import DatabaseDocuments
from cdr_exporter.errors import LeaseLost, StateUnusable
from cdr_exporter.pbx import TOKEN, Documents, FileDocuments
from cdr_exporter.pbx.attempt_record import AttemptRecord
from cdr_exporter.pbx.attempt_rules import Attempt, added
from cdr_exporter.store import FileStore, moving

from ..support.counts import records
from ..support.database_states import StatesInDatabase, states_in
from ..support.postgres import PostgresServer, TestDatabase
from ..support.rows import BOUNDS
from ..support.store_states import Process, add, content, opened, reopened

TOKENS = b'{"not": "looked at"}'
RECORD = ".logins-127.0.0.1-8088"


@pytest.fixture(scope="module")
def one_database(postgres_server: PostgresServer) -> Iterator[StatesInDatabase]:
    with states_in(postgres_server) as states:
        yield states


class Machine:
    """A configuration of PBXs over a database, and the command `state`."""

    def __init__(
        self,
        directory: Path,
        states: StatesInDatabase,
        capsys: pytest.CaptureFixture[str],
        *names: str,
    ) -> None:
        self.old, self.states = directory / "old", states
        self._config, self._capsys = directory / "exporter.yml", capsys
        url = directory / "url"
        url.write_text(states.server.url().reveal())
        url.chmod(0o600)
        entries = "".join(
            f"  - {{name: {name}, base_url: 'http://127.0.0.1:{number}', client_id: me,"
            " client_secret: y}\n"
            for number, name in enumerate(names, 1)
        )
        self._config.write_text(f"state_url_file: {url}\npbxs:\n{entries}")

    def state(self, *arguments: str | Path) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = cli.main(["state", *map(str, arguments), "--config.file", str(self._config)])
        return code, *self._capsys.readouterr()

    def move_in(self) -> tuple[int, str, str]:
        return self.state("import", "--from", self.old)

    def move_out(self) -> tuple[int, str, str]:
        return self.state("export", "--to", self.old)

    def in_database(self, name: str = "hq") -> int:
        """Return how many records a new holder of the lease finds."""
        found = Process(self.states.open(name)).kept
        self.states.run("UPDATE cdr_exporter.lease SET ends = '-infinity'")
        return records(found.totals)


@pytest.fixture
def machine(
    tmp_path: Path, one_database: StatesInDatabase, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Machine]:
    one_database.clear()
    one_database.run("DELETE FROM cdr_exporter.document")
    return lambda *names: Machine(tmp_path, one_database, capsys, *(names or ("hq",)))


Machines = Callable[..., Machine]


def counted_in_files(it: Machine, name: str = "hq", rows: int = 3) -> Any:
    with opened(it.old, name) as store:
        add(store, *range(rows, 0, -1), src_trunk="gsm", born_at=200.5)
        return content(store.kept)


# --- looked at -----------------------------------------------------------------------------------


def test_a_state_in_a_database_is_shown_checked_and_copied_beside_its_owner(
    machine: Machines, tmp_path: Path
) -> None:
    it = machine()
    process = Process(it.states.open())
    add(process, 3, 2, 1)
    shown = it.state("show")
    checked = it.state("check")
    copied = it.state("backup", "--output", tmp_path / "copies")
    add(process, 4)

    assert shown[0] == 0
    assert shown[1].startswith("hq: the database, ")
    assert "3 (ANSWERED 3)" in shown[1]
    assert (checked[0], checked[2]) == (0, "")
    assert re.fullmatch(r"hq: whole, \d+ kB\n", checked[1])
    assert copied == (0, f"hq: {tmp_path}/copies/hq.db, whole\n", "")
    assert records(reopened(tmp_path / "copies").totals) == 3


def test_without_a_state_in_the_database_that_is_said(machine: Machines, tmp_path: Path) -> None:
    it = machine()

    assert it.state("show") == (0, "hq: no state yet\n  token            none\n", "")
    assert it.state("check") == (1, "hq: no state yet\n", "")
    assert it.state("backup", "--output", tmp_path / "copies") == (1, "hq: no state yet\n", "")


@pytest.mark.parametrize("action", [("show",), ("check",), ("backup", "--output", "copies")])
def test_damage_in_a_database_is_one_line_and_nothing_is_changed(
    machine: Machines,
    action: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    it = machine("hq", "branch")
    for name in ("hq", "branch"):
        add(Process(it.states.open(name)), 1)
    it.states.run("UPDATE cdr_exporter.state SET checksum = 1 WHERE pbx = 'hq' AND part = 'chunk'")
    before = it.states.names()
    code, _, err = it.state(*action)

    assert code == 1
    assert "hq: the database: it is damaged" in err
    assert it.states.names() == before


@pytest.mark.parametrize("action", [("show",), ("check",), ("import", "--from", "/nowhere")])
def test_a_database_that_does_not_answer_is_one_line_for_all_pbxs(
    machine: Machines, action: tuple[str, ...]
) -> None:
    it = machine("hq", "branch")
    (it.old.parent / "url").write_text(it.states.server.url(port=1).reveal())
    code, out, err = it.state(*action)

    assert (code, out) == (1, "")
    assert err == "cdr-exporter: state_url_file: nothing listens at the database's address\n"


def test_a_database_that_nobody_has_used_holds_no_state_and_stays_as_it_is(
    machine: Machines, postgres: TestDatabase
) -> None:
    it = machine()
    (it.old.parent / "url").write_text(postgres.url().reveal())
    said = [it.state(action) for action in ("show", "check")]

    assert said[0] == (0, "hq: no state yet\n  token            none\n", "")
    assert said[1] == (1, "hq: no state yet\n", "")
    assert postgres.run("SELECT to_regnamespace('cdr_exporter')") == [(None,)]


def test_moving_needs_a_database(machine: Machines) -> None:
    it = machine()
    it._config.write_text(it._config.read_text().split("\n", 1)[1])
    code, _, err = it.move_in()

    assert code == 2
    assert "state_url_file: is missing" in err


# --- into the database ---------------------------------------------------------------------------


def test_what_was_counted_in_files_goes_on_in_the_database(machine: Machines) -> None:
    it = machine("hq", "a.b")
    before = {name: counted_in_files(it, name, rows) for name, rows in (("hq", 3), ("a.b", 5))}
    files = FileDocuments(it.old)
    files.open(TOKEN, "hq.token").change(lambda _: {"hq.token": TOKENS})
    code, out, err = it.move_in()

    assert (code, err) == (0, "")
    assert re.fullmatch(
        r"hq: moved to the database, \d commits, whole\n"
        r"a\.b: moved to the database, \d commits, whole\n",
        out,
    )
    for name, expected in before.items():
        process = Process(it.states.open(name))
        assert content(process.kept) == expected
        add(process, 6)
    moved = sorted(path.name for path in it.old.iterdir() if ".moved-" in path.name)
    assert [name.split(".moved-")[0] for name in moved] == ["a%2Eb", "hq"]
    assert not [*it.old.glob("*.db"), *it.old.glob("*.token")]
    documents = DatabaseDocuments(it.states.database)
    assert documents.open(TOKEN, "hq.token").read() == {"hq.token": TOKENS}


def test_how_far_it_is_is_told_step_by_step(machine: Machines, tmp_path: Path) -> None:
    it, told = machine(), list[str]()
    counted_in_files(it)
    database = it.states.database
    moving.move_in(it.old, database, "hq", "me", told.append)
    moving.move_out(database, "hq", tmp_path / "new", told.append)

    assert told == [
        *("is checked", "is written to the database", "is put in its place"),
        *("is read", "is written"),
    ]


def test_what_was_moved_already_is_not_moved_twice(machine: Machines) -> None:
    it = machine()
    counted_in_files(it)
    it.move_in()
    again = it.move_in()

    assert again == (0, "hq: is in the database already\n", "")
    assert it.in_database() == 3


def test_a_directory_without_a_state_is_said_to_have_none(machine: Machines) -> None:
    it = machine()
    missing = it.move_in()
    it.old.mkdir()

    assert missing == (1, "", f"hq: {it.old}: there is no such directory\n")
    assert it.move_in() == (1, f"hq: no state in {it.old}\n", "")


def test_a_running_exporter_is_refused(machine: Machines) -> None:
    it = machine()
    with opened(it.old) as store:
        add(store, 1)
        code, out, err = it.move_in()
        add(store, 2)

    assert (code, out) == (3, "")
    assert err == f"hq: {it.old}/hq.lock: an exporter runs on this state; stop it first\n"
    assert it.states.names() == []


def test_a_state_that_the_database_has_already_is_not_replaced(machine: Machines) -> None:
    it = machine()
    counted_in_files(it)
    add(Process(it.states.open()), 1)
    code, out, err = it.move_in()

    assert (code, out) == (1, "")
    assert "the database has a state of this PBX already" in err
    assert it.in_database() == 1
    assert records(reopened(it.old).totals) == 3


@pytest.mark.parametrize("client", ["me", "another"])
def test_a_file_that_is_not_whole_or_anothers_stays_where_it_is(
    machine: Machines, client: str
) -> None:
    it = machine()
    with opened(it.old, client_id=client) as store:
        add(store, 1)
    path = it.old / "hq.db"
    if client == "me":
        path.write_bytes(path.read_bytes().replace(b"cdr_records_total", b"cdr_rec\x6erds_total"))
    before = path.read_bytes()
    code, out, err = it.move_in()

    assert (code, out) == (1, "")
    assert ("it is damaged" if client == "me" else "counts for another client_id") in err
    assert path.read_bytes() == before
    assert it.states.names() == []


def test_logins_on_record_are_added_to_those_of_the_database(machine: Machines) -> None:
    it = machine()
    counted_in_files(it)
    places: list[Documents] = [FileDocuments(it.old), DatabaseDocuments(it.states.database)]
    for number, place in enumerate(places):
        attempt = Attempt(name=f"n{number}", client="c", secret="s", at=1.0, errcode=10002)
        AttemptRecord(place, [RECORD]).change(
            lambda _, attempt=attempt: lambda known: added(known, attempt),  # type: ignore[misc]
            9.0,
        )
    it.move_in()

    def noted(place: Any) -> set[str]:
        found = AttemptRecord(place, [RECORD]).change(lambda _: lambda known: known, 9.0)
        return {each.name for each in found}

    assert noted(places[1]) == {"n0", "n1"}
    it.move_out()
    assert noted(places[0]) == {"n0", "n1"}


# --- and back ------------------------------------------------------------------------------------


def test_what_was_counted_in_the_database_goes_on_in_files(machine: Machines) -> None:
    it = machine()
    before = counted_in_files(it)
    it.move_in()
    code, out, err = it.move_out()

    assert (code, err) == (0, "")
    assert re.fullmatch(rf"hq: moved to {re.escape(str(it.old))}/hq\.db, \d commits, whole\n", out)
    with opened(it.old) as store:
        assert content(store.kept) == before
        assert store.kept.lost_commits == 0
        add(store, 9)
    [aside] = it.states.names()
    assert aside.startswith("hq:moved-")
    assert it.in_database() == 0


def test_a_pbx_that_a_replica_holds_is_not_moved_out(machine: Machines) -> None:
    it = machine()
    process = Process(it.states.open())
    add(process, 1)
    it.states.run("UPDATE cdr_exporter.lease SET ends = clock_timestamp() + interval '1 minute'")
    code, out, err = it.move_out()
    add(process, 2)

    assert (code, out) == (3, "")
    assert err.startswith("hq: the replica at here:1 counts for this PBX; stop all replicas")
    assert not (it.old / "hq.db").exists()


def test_who_held_it_last_cannot_commit_once_it_has_moved_out(machine: Machines) -> None:
    it = machine()
    process = Process(it.states.open())
    add(process, 1)
    it.move_out()
    with pytest.raises(LeaseLost):
        add(process, 2)

    assert records(reopened(it.old).totals) == 1


def test_a_file_that_is_there_is_not_replaced(machine: Machines) -> None:
    it = machine()
    counted_in_files(it)
    add(Process(it.states.open()), 1)
    code, out, err = it.move_out()

    assert (code, out) == (1, "")
    assert err == f"hq: {it.old}/hq.db is there already, and stays as it is\n"
    assert records(reopened(it.old).totals) == 3
    assert it.in_database() == 1


def test_a_damaged_state_is_not_moved_out(machine: Machines) -> None:
    it = machine()
    add(Process(it.states.open()), 1)
    it.states.run("UPDATE cdr_exporter.state SET checksum = 1 WHERE part = 'chunk'")
    code, _, err = it.move_out()

    assert code == 1
    assert "what is in it is not what was written" in err
    assert it.states.names() == ["hq"]


def test_nothing_left_to_move_out_is_said(machine: Machines) -> None:
    it = machine()
    nothing = it.move_out()
    add(Process(it.states.open()), 1)
    it.move_out()

    assert nothing == (1, "hq: no state in the database\n", "")
    assert it.move_out() == (0, f"hq: is in {it.old} already\n", "")


# --- killed in between ---------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone."""


IN = ("check_file", "write_first_rows", "set_file_aside", "rename_rows")
OUT = ("read_rows", "write_file", "set_rows_aside", "_finished_before")
STEPS = [("in", step) for step in IN] + [("out", step) for step in OUT]


def usable(it: Machine, name: str = "hq") -> int:
    """Return how many states there are that somebody could count on with."""
    return sum((name in it.states.names(), (it.old / f"{name}.db").exists()))


@pytest.mark.fault("E27")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("way", "step"), STEPS)
def test_who_is_killed_at_any_step_runs_it_again_and_nothing_is_there_twice(
    machine: Machines, monkeypatch: pytest.MonkeyPatch, way: str, step: str, when: str
) -> None:
    it = machine()
    before = counted_in_files(it)
    if way == "out":
        it.move_in()
    real = getattr(moving, step)

    def killed(*arguments: Any, **named: Any) -> Any:
        if when == "after":
            real(*arguments, **named)
        raise Killed

    monkeypatch.setattr(moving, step, killed)
    with suppress(Killed):
        it.move_in() if way == "in" else it.move_out()
    assert usable(it) <= 1
    monkeypatch.setattr(moving, step, real)
    code, _, err = it.move_in() if way == "in" else it.move_out()

    assert (code, err) == (0, "")
    assert usable(it) == 1
    if way == "in":
        assert content(Process(it.states.open()).kept) == before
    else:
        with opened(it.old) as store:
            assert content(store.kept) == before


@contextmanager
def killed_before(step: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let what moves a state within the block be killed before this *step* of it."""

    def killed(*_: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched, suppress(Killed):
        patched.setattr(moving, step, killed)
        yield


def test_a_replica_begins_no_new_state_while_one_is_moved_in(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = machine()
    counted_in_files(it)
    with killed_before("_finish", monkeypatch):
        it.move_in()
    replica = it.states.open()
    with pytest.raises(StateUnusable, match="run `cdr-exporter state import` again"):
        replica.load()
    it.move_in()

    assert records(replica.load().totals) == 3


def test_an_exporter_that_counted_on_after_a_kill_is_moved_as_it_is_then(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = machine()
    counted_in_files(it)
    with killed_before("set_file_aside", monkeypatch):
        it.move_in()
    with opened(it.old) as store:
        add(store, 7)
    it.move_in()

    assert it.in_database() == 4


def test_an_old_file_left_from_a_kill_is_not_taken_for_the_state(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = machine()
    process = Process(it.states.open())
    add(process, 1)
    with killed_before("set_rows_aside", monkeypatch):
        it.move_out()
    add(Process(it.states.open()), 2)
    it.move_out()

    assert records(reopened(it.old).totals) == 2


def test_the_files_set_aside_are_shown(machine: Machines, tmp_path: Path) -> None:
    it = machine()
    counted_in_files(it)
    it.move_in()
    it.move_out()
    shown = it.state("show")[1]

    assert re.search(r"set aside +hq:moved-\d{8}T\d{6}Z\n", shown)
    [moved] = it.old.glob("hq.moved-*")
    shutil.copy(moved, tmp_path / "hq.db")
    FileStore(tmp_path, "hq", "me", BOUNDS).close()
