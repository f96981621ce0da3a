"""The command `state`, beside a store that an exporter has open and without one."""

from __future__ import annotations

import re
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from cdr_exporter import cli
from cdr_exporter.pbx import FileDocuments
from cdr_exporter.pbx.token_document import TokenDocument
from cdr_exporter.pbx.token_rules import Token, TokenState
from cdr_exporter.secret import Secret
from cdr_exporter.state_files import file_of
from cdr_exporter.store import FileStore, back_up

from ..support.counts import records
from ..support.rows import BOUNDS
from ..support.store_states import Process, add, killed_in, opened, reopened, set_version

TOKEN = "canary-token-0b9e41d7c2"


class Said(NamedTuple):
    """How a command ended, and what it wrote where."""

    code: int
    out: str
    err: str


class Machine:
    """A directory with a configuration of the PBXs *names*, and the command `state` in it."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str], *names: str) -> None:
        self.state_dir = directory / "state"
        self._config = directory / "exporter.yml"
        self._capsys = capsys
        entries = "".join(
            f"  - {{name: {name}, base_url: 'http://127.0.0.1:{number}', client_id: me,"
            " client_secret: y}\n"
            for number, name in enumerate(names or ("hq",), 1)
        )
        self._config.write_text(f"pbxs:\n{entries}")

    def state(self, *arguments: str) -> Said:
        self._capsys.readouterr()
        code = cli.main(["state", *arguments, "--config.file", str(self._config)])
        return Said(code, *self._capsys.readouterr())


Machines = Callable[..., Machine]


@pytest.fixture
def machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Machines:
    return lambda *names: Machine(tmp_path, capsys, *names)


ACTIONS = pytest.mark.parametrize(
    "action", [("show",), ("check",), ("backup", "--output", "DIR")], ids=lambda each: each[0]
)


def to(action: tuple[str, ...], directory: Path) -> list[str]:
    """Return the arguments of *action*, with the output in *directory*."""
    return [str(directory / "copies") if each == "DIR" else each for each in action]


def listing(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Return content and time of each file, but for the index of a log, which readers share."""
    return {
        each.name: (each.read_bytes(), each.stat().st_mtime_ns)
        for each in directory.iterdir()
        if not each.name.endswith("-shm")
    }


# --- what is kept --------------------------------------------------------------------------------


def test_what_is_kept_is_shown_as_numbers_and_times(machine: Machines) -> None:
    it = machine()
    with opened(it.state_dir) as store:
        add(store, 3, 2, 1, uid="Ada <+49305551234>", src_trunk="Ada-Lovelace")
    account = TokenState(account="a", access=Token(Secret(TOKEN), 1_700_000_000, 1_700_001_800))
    TokenDocument(FileDocuments(it.state_dir), "hq.token", "a").write(account)
    (it.state_dir / "hq.corrupt-20261128T000000Z").touch()
    (it.state_dir / "hq.corrupt-20261128T000000Z-wal").touch()
    said = it.state("show")
    facts = dict(re.findall(r"^  (\S.*?)  +(\S.*)$", said.out, re.MULTILINE))

    assert said.code == 0
    assert said.out.startswith(f"hq: {it.state_dir}/hq.db, ")
    assert facts["order"] == "by id"
    assert facts["newest"] == "3"
    assert facts["unread"] == "0 ranges, 0 ids at most"
    assert facts["records"] == "3 (ANSWERED 3)"
    assert facts["calls"] == "0"
    assert facts["open calls"] == "0"
    assert facts["began anew"] == "never"
    assert facts["token"] == "expires 2023-11-14T22:43:20Z"
    assert facts["set aside"] == "hq.corrupt-20261128T000000Z"
    assert "Ada" not in said.out
    assert "49305551234" not in said.out
    assert TOKEN not in said.out


def test_a_pbx_without_a_state_is_no_mistake_to_show(machine: Machines) -> None:
    said = machine().state("show")

    assert said == Said(0, "hq: no state yet\n  token            none\n", "")


def test_only_the_pbxs_that_are_named_are_looked_at(machine: Machines) -> None:
    said = machine("hq", "branch").state("show", "--pbx", "branch")

    assert said.out.startswith("branch: ")
    assert "hq" not in said.out


@ACTIONS
def test_a_pbx_that_is_not_configured_is_a_mistake(
    machine: Machines, action: tuple[str, ...], tmp_path: Path
) -> None:
    said = machine().state(*to(action, tmp_path), "--pbx", "elsewhere")

    line = "cdr-exporter: --pbx: no PBX of the configuration has that name; it has hq\n"
    assert said == Said(2, "", line)


# --- beside a running exporter -------------------------------------------------------------------


@ACTIONS
def test_it_reads_one_commit_while_a_poller_commits(
    machine: Machines, action: tuple[str, ...], tmp_path: Path
) -> None:
    it, stop = machine(), threading.Event()

    def poll() -> None:
        with opened(it.state_dir) as store:
            number = 1
            while not stop.is_set():
                add(store, number)
                number += 1
                begun.set()

    begun = threading.Event()
    poller = threading.Thread(target=poll)
    poller.start()
    try:
        assert begun.wait(30)
        said = [it.state(*to(action, tmp_path / str(n))) for n in range(5)]
    finally:
        stop.set()
        poller.join()

    assert {each.code for each in said} == {0}
    assert {each.err for each in said} == {""}


@pytest.mark.fault("E12")
def test_where_there_is_no_shared_memory_a_running_exporter_is_named(machine: Machines) -> None:
    it = machine()
    (it.state_dir / "hq.db-shm").mkdir(parents=True)
    with opened(it.state_dir) as store:
        add(store, 1)
        said = it.state("check")

    assert (said.code, said.out) == (1, "")
    assert "hq.db: it is locked by a running exporter" in said.err
    assert it.state("check").code == 0


@ACTIONS
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_nothing_in_the_state_directory_changes(
    machine: Machines, action: tuple[str, ...], running: bool, tmp_path: Path
) -> None:
    it = machine()
    with opened(it.state_dir) as store:
        add(store, 2, 1)
        if not running:
            store.close()
        before = listing(it.state_dir)
        said = it.state(*to(action, tmp_path))
        after = listing(it.state_dir)

    assert said.code == 0
    assert before == after


@ACTIONS
def test_the_log_that_a_kill_left_stays_as_it_is(
    machine: Machines, action: tuple[str, ...], tmp_path: Path
) -> None:
    it = machine()
    assert killed_in(tmp_path) == it.state_dir
    before = listing(it.state_dir)
    said = it.state(*to(action, tmp_path))

    assert said.code == 0
    assert listing(it.state_dir) == before


# --- whether it is whole -------------------------------------------------------------------------


def test_a_state_that_is_whole_is_said_to_be(machine: Machines) -> None:
    it = machine("hq", "branch")
    for name in ("hq", "branch"):
        with opened(it.state_dir, name) as store:
            add(store, 1)
    said = it.state("check")

    assert (said.code, said.err) == (0, "")
    assert [line.split(",")[0] for line in said.out.splitlines()] == ["hq: whole", "branch: whole"]


def flipped(path: Path) -> None:
    text = path.read_bytes()
    path.write_bytes(text.replace(b"cdr_records_total", b"cdr_rec\x6erds_total", 1))


def newer(path: Path) -> None:
    set_version(path.parent, 999)


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE notes (text)")


def planted(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


WRONG = pytest.mark.parametrize(
    ("spoil", "why"),
    [
        pytest.param(flipped, "it is damaged", id="a flipped bit"),
        pytest.param(lambda it: it.write_bytes(b""), "it is empty", id="empty"),
        pytest.param(lambda it: it.write_bytes(b"no state" * 999), "it is damaged", id="junk"),
        pytest.param(foreign, "it is not a state of this program", id="foreign"),
        pytest.param(newer, "is of version 999 and this program knows", id="newer"),
        pytest.param(planted, "it is a symbolic link", id="a link"),
        pytest.param(lambda it: (it.unlink(), it.mkdir()), "it is no regular file", id="directory"),
    ],
)


@pytest.mark.fault("E5")
@ACTIONS
@WRONG
def test_a_state_that_is_not_whole_is_one_line_and_others_are_done(
    machine: Machines,
    action: tuple[str, ...],
    spoil: Callable[[Path], object],
    why: str,
    tmp_path: Path,
) -> None:
    it = machine("hq", "branch")
    for name in ("hq", "branch"):
        with opened(it.state_dir, name) as store:
            add(store, 1)
    spoil(it.state_dir / "hq.db")
    said = it.state(*to(action, tmp_path))

    assert said.code == 1
    assert re.fullmatch(rf"hq: {re.escape(str(it.state_dir))}/hq\.db.*{why}.*\n", said.err)
    assert said.out.startswith("branch: ")
    assert not (tmp_path / "copies" / "hq.db").exists()


def test_a_state_of_another_client_is_said_to_be(machine: Machines) -> None:
    it = machine()
    with opened(it.state_dir, client_id="another") as store:
        add(store, 1)
    said = it.state("check")

    assert (said.code, said.out) == (1, "")
    assert "counts for another client_id" in said.err


@pytest.mark.parametrize("action", [("check",), ("backup", "--output", "DIR")])
def test_without_a_state_there_is_nothing_whole(
    machine: Machines, action: tuple[str, ...], tmp_path: Path
) -> None:
    assert machine().state(*to(action, tmp_path)) == Said(1, "hq: no state yet\n", "")


def test_a_state_of_another_user_is_one_line_with_the_remedy(
    mortal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    it = Machine(mortal, capsys)
    with opened(it.state_dir) as store:
        add(store, 1)
    (it.state_dir / "hq.db").chmod(0)

    assert it.state("check").err == (
        f"hq: {it.state_dir}/hq.db: permission denied; run it as the user the exporter runs as\n"
    )


# --- copies --------------------------------------------------------------------------------------


def test_a_copy_holds_what_was_committed_and_is_the_owners_alone(
    machine: Machines, tmp_path: Path
) -> None:
    it = machine()
    with opened(it.state_dir) as store:
        add(store, 2, 1)
        said = it.state("backup", "--output", str(tmp_path / "copies"))
        add(store, 3)
    copies = tmp_path / "copies"

    assert said == Said(0, f"hq: {copies}/hq.db, whole\n", "")
    assert [each.name for each in copies.iterdir()] == ["hq.db"]
    assert stat.S_IMODE((copies / "hq.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(copies.stat().st_mode) == 0o700
    assert records(reopened(copies).totals) == 2


def test_the_token_is_not_copied(machine: Machines, tmp_path: Path) -> None:
    it = machine()
    with opened(it.state_dir) as store:
        add(store, 1)
    (it.state_dir / "hq.token").write_text(TOKEN)
    it.state("backup", "--output", str(tmp_path / "copies"))

    assert [each.name for each in (tmp_path / "copies").iterdir()] == ["hq.db"]


def test_a_file_that_is_there_is_not_replaced(machine: Machines, tmp_path: Path) -> None:
    it, copies = machine(), tmp_path / "copies"
    with opened(it.state_dir) as store:
        add(store, 1)
    copies.mkdir()
    (copies / "hq.db").write_text("precious")
    said = it.state("backup", "--output", str(copies))

    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"hq: {copies}/hq.db is there already, and stays as it is; name another directory\n"
    )
    assert listing(copies).keys() == {"hq.db"}
    assert (copies / "hq.db").read_text() == "precious"


def test_a_copy_into_the_state_directory_replaces_nothing(machine: Machines) -> None:
    it = machine()
    with opened(it.state_dir) as store:
        add(store, 1)
    before = listing(it.state_dir)

    assert it.state("backup", "--output", str(it.state_dir)).code == 1
    assert listing(it.state_dir) == before


@pytest.mark.parametrize("output", ["/dev/full/copies", "/proc/copies"])
def test_a_place_that_cannot_be_written_is_one_line(machine: Machines, output: str) -> None:
    it = machine()
    with opened(it.state_dir) as store:
        add(store, 1)
    said = it.state("backup", "--output", output)

    assert (said.code, said.out) == (1, "")
    assert said.err.count("\n") == 1
    assert said.err.startswith("hq: /")


def test_a_file_planted_where_a_copy_is_made_is_not_written_through(
    machine: Machines, tmp_path: Path
) -> None:
    it, copies, precious = machine(), tmp_path / "copies", tmp_path / "precious"
    with opened(it.state_dir) as store:
        add(store, 1)
    copies.mkdir()
    precious.write_text("kept")
    (copies / "hq.new").symlink_to(precious)

    assert it.state("backup", "--output", str(copies)).code == 0
    assert precious.read_text() == "kept"


def test_a_name_with_a_dot_is_that_of_its_own_file(machine: Machines, tmp_path: Path) -> None:
    it = machine("hq", "hq.db")
    for name, rows in (("hq", (1,)), ("hq.db", (2, 1))):
        with closing(FileStore(it.state_dir, name, "me", BOUNDS)) as file:
            add(Process(file), *rows)
    it.state("backup", "--output", str(tmp_path / "copies"))

    for name, expected in (("hq", 1), ("hq.db", 2)):
        assert file_of(tmp_path / "copies", name, "db").exists()
        assert records(reopened(tmp_path / "copies", name=name).totals) == expected


def test_how_far_a_copy_is_is_told_up_to_its_end(tmp_path: Path) -> None:
    shares: list[float] = []
    with opened(tmp_path / "state") as store:
        add(store, 1)
        back_up(tmp_path / "state", "hq", "me", tmp_path / "copies", shares.append)

    assert shares == sorted(shares)
    assert shares[-1] == 1.0
