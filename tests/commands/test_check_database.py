"""What `check` says of the database of `state_url_file`: one line with what to do, no secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cdr_exporter import cli
from cdr_exporter.database import Database, prepare_schema

from ..support.postgres import TestDatabase

PASSWORD = "sw0rdfish"
"""In each password of the tests."""


@pytest.fixture
def check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[str], tuple[int, str]]]:
    """Return a function that runs `check` with a URL: its exit code, and what it says."""
    shown: list[str] = []

    def run(url: str) -> tuple[int, str]:
        (tmp_path / "url").write_text(url)
        path = tmp_path / "exporter.yml"
        path.write_text(
            "state_url_file: url\nlease: 10s\n"
            "pbxs: [{name: hq, base_url: 'https://192.0.2.1', client_id: x, client_secret: y}]\n"
        )
        code = cli.main(["check", "--config.file", str(path)])
        out = capsys.readouterr()
        shown.append(out.out + out.err)
        return code, shown[-1]

    yield run
    assert PASSWORD not in "".join(shown)


Check = Callable[[str], tuple[int, str]]


def test_a_database_that_can_be_used_is_valid_and_nothing_is_made_in_it(
    check: Check, postgres: TestDatabase, tmp_path: Path
) -> None:
    code, said = check(postgres.url().reveal())

    valid, warning = said.splitlines()
    assert (code, valid) == (0, f"{tmp_path / 'exporter.yml'}: valid, 1 PBX")
    assert warning.startswith("warning: state_url_file: the server runs with fsync")  # for tests
    assert postgres.run("SELECT to_regnamespace('cdr_exporter')") == [(None,)]
    assert not (tmp_path / "state").exists()


def nothing(_: TestDatabase) -> None:
    pass


def forbid_to_create(postgres: TestDatabase) -> None:
    postgres.run(f"ALTER DATABASE {postgres.name} OWNER TO postgres")


def make_newer(postgres: TestDatabase) -> None:
    database = Database(postgres.url(), 30.0)
    prepare_schema(database)
    database.close()
    postgres.run("UPDATE cdr_exporter.version SET version = 99")


@pytest.mark.parametrize(
    ("others", "prepare", "said"),
    [
        pytest.param({"port": 1}, nothing, "nothing listens at the", id="unreachable"),
        pytest.param({"password": f"{PASSWORD}-old"}, nothing, "the user or the", id="password"),
        pytest.param({"name": "other"}, nothing, "no such database", id="database"),
        pytest.param({}, forbid_to_create, "CREATE SCHEMA cdr_exporter", id="rights"),
        pytest.param({}, make_newer, "of version 99, newer than", id="newer"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_with_exit_code_2(
    others: dict[str, object],
    prepare: Callable[[TestDatabase], None],
    said: str,
    check: Check,
    postgres: TestDatabase,
) -> None:
    prepare(postgres)

    code, shown = check(postgres.url(**others).reveal())

    assert code == 2
    [line] = shown.splitlines()
    assert line.startswith("cdr-exporter: state_url_file: ")
    assert said in line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param(f"mysql://cdr:{PASSWORD}@db/cdr", "postgresql://", id="mysql"),
        pytest.param(f"postgresql://cdr:{PASSWORD}%zz@db/cdr", "no URL of PostgreSQL", id="bad"),
    ],
)
def test_a_bad_url_is_said_before_anything_is_asked(url: str, said: str, check: Check) -> None:
    code, shown = check(url)

    assert code == 2
    [line] = shown.splitlines()
    assert line.startswith("cdr-exporter: state_url_file: ")
    assert said in line
