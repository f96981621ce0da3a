"""`check --connect` and `history` where tokens, refused logins and states are in a database."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdr_exporter import cli
from cdr_exporter.commands import check, history
from cdr_exporter.errors import ConfigError
from cdr_exporter.ingest import FirstShown, StateChange
from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.http_server import PBXServer
from pbx_simulator.serving import serve

from ..support.database_states import StatesInDatabase, states_in
from ..support.exporter_and_simulator import SECRET, write_config
from ..support.postgres import PostgresServer

HOUR = 3600.0


@pytest.fixture
def pbx() -> SimulatedPBX:
    return SimulatedPBX(api=APISettings(client_secret=SECRET), days=1)


@pytest.fixture
def server(pbx: SimulatedPBX) -> Iterator[PBXServer]:
    with serve(pbx) as server:
        yield server


@pytest.fixture
def states(postgres_server: PostgresServer) -> Iterator[StatesInDatabase]:
    with states_in(postgres_server) as states:
        yield states


@pytest.fixture
def config(tmp_path: Path, server: PBXServer, states: StatesInDatabase) -> Path:
    (tmp_path / "url").write_text(states.server.url().reveal())
    return write_config(tmp_path, server.base_url, extra="state_url_file: url\n")


def documents(states: StatesInDatabase) -> list[str]:
    """Return the names of the documents that are there."""
    rows = states.run(
        "SELECT name FROM cdr_exporter.document WHERE content IS NOT NULL ORDER BY name"
    )
    return [name for (name,) in rows]


def logins(pbx: SimulatedPBX) -> int:
    return pbx.request_log.count("get_token")


# --- check --connect


def test_a_check_keeps_its_token_in_the_database_and_the_next_one_uses_it(
    config: Path, pbx: SimulatedPBX, states: StatesInDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = [check.check_config(config, connect=True) for _ in range(2)]
    said = capsys.readouterr()

    assert codes == [0, 0]
    assert all("fsync" in line for line in said.err.splitlines())
    assert documents(states) == ["pbx0.token"]
    assert logins(pbx) == 1
    assert not (config.parent / "state").exists()


@pytest.mark.fault("A15")
def test_checks_on_all_machines_share_the_refused_logins(
    config: Path, pbx: SimulatedPBX, states: StatesInDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        config.with_name("secret").write_text(f"wrong-{number}")
        assert check.check_config(config, connect=True) == 1
    said = capsys.readouterr().err

    assert logins(pbx) == 4
    assert pbx.tokens.blocked == []
    assert "`cdr-exporter check --connect --last-try` is run; it takes that risk" in said
    assert documents(states) == [f".logins-127.0.0.1-{port(config)}"]


def port(config: Path) -> str:
    return config.read_text().partition("http://127.0.0.1:")[2].partition("'")[0]


@pytest.mark.fault("E22")
def test_a_check_without_its_database_asks_no_pbx(
    config: Path, pbx: SimulatedPBX, capsys: pytest.CaptureFixture[str]
) -> None:
    config.with_name("url").write_text("postgresql://cdr:canary@127.0.0.1:1/cdr")
    code = cli.main(["check", "--connect", "--config.file", str(config)])
    said = capsys.readouterr().err

    assert code == 2
    assert said.startswith(
        "cdr-exporter: state_url_file: nothing listens at the database's address"
    )
    assert "canary" not in said
    assert pbx.request_log.total_requests == 0


# --- history


def write_history(config: Path) -> None:
    """Write it to a folder beside the configuration, as text."""
    flags = ("--config.file", str(config), "--output", str(config.with_name("out")))
    args = cli._parser().parse_args(["history", *flags, "--text", "--step", "5m"])
    assert history.run(args, threading.Event()) == 0


def newest_sample(config: Path) -> int:
    texts = [path.read_bytes() for path in config.with_name("out").glob("*.om")]
    shown = re.findall(rb"(?m)^cdr_up\{.* (\d+)$", b"".join(texts))
    return max(map(int, shown))


def test_history_ends_before_the_first_sample_that_the_database_knows_of(
    config: Path, states: StatesInDatabase, pbx: SimulatedPBX
) -> None:
    first = time.time() - 8 * HOUR
    store = states.open("pbx0", "simulated")
    store.load()
    store.commit(StateChange(first_shown=FirstShown(first, False, first)))
    write_history(config)

    assert first - HOUR < newest_sample(config) < first
    assert documents(states) == ["pbx0.token"]
    assert logins(pbx) == 1


def test_where_the_database_knows_of_no_exporter_history_ends_three_hours_ago(
    config: Path, states: StatesInDatabase
) -> None:
    write_history(config)

    assert time.time() - 4 * HOUR < newest_sample(config) < time.time() - 3 * HOUR


def test_where_a_state_was_lost_history_asks_for_an_end(
    config: Path, states: StatesInDatabase
) -> None:
    states.open("pbx0", "simulated").load()
    states.run("UPDATE cdr_exporter.state SET checksum = checksum + 1")
    states.open("pbx0", "simulated").load()

    with pytest.raises(ConfigError, match="--end"):
        write_history(config)
