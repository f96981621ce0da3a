"""What a new configuration means for the PBXs that are polled."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from cdr_exporter.commands.exporter import Exporter, histogram_bounds
from cdr_exporter.commands.fleet import FileFleet, change_between
from cdr_exporter.commands.reload import (
    ReloadRequests,
    other_meanings,
    refuse_what_needs_a_restart,
)
from cdr_exporter.errors import ConfigError
from cdr_exporter.poller.board import SnapshotBoard
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, Buckets, SecretSource, Settings
from cdr_exporter.web import ListenAddress

from ..support.rows import BOUNDS
from ..support.web import snapshot


def pbx(name: str, **others: Any) -> PBX:
    given = {"base_url": f"https://{name}", "client_id": "me", "secret": SecretSource(env="X")}
    return PBX(name=name, **{**given, **others})


def settings(*pbxs: PBX, **others: Any) -> Settings:
    return Settings(pbxs=pbxs, **others)


HQ, BRANCH = pbx("hq"), pbx("branch")


def test_only_what_is_different_is_touched() -> None:
    before = settings(HQ, BRANCH, pbx("old"))
    after = settings(replace(BRANCH, poll_interval=9.0), HQ, pbx("new"))

    change = change_between(before, after)

    assert (change.gone, change.changed, change.new) == (["old"], ["branch"], ["new"])


def test_the_same_file_changes_nothing() -> None:
    change = change_between(settings(HQ, BRANCH), settings(pbx("hq"), pbx("branch")))

    assert not any(change)


def test_other_machines_of_the_whole_file_change_every_pbx() -> None:
    change = change_between(settings(HQ, BRANCH), settings(HQ, BRANCH, machine_callees=("Bot",)))

    assert change.changed == ["hq", "branch"]


@pytest.mark.parametrize(
    ("changed", "keeps"),
    [
        ({"poll_interval": 9.0}, True),
        ({"client_id": "x"}, False),
        ({"base_url": "https://x"}, False),
    ],
    ids=["an interval", "another account", "another address"],
)
def test_a_token_is_kept_for_the_same_account_only(changed: dict[str, Any], keeps: bool) -> None:
    change = change_between(settings(HQ), settings(replace(HQ, **changed)))

    assert change.changed == ["hq"]
    assert change.same_account == (["hq"] if keeps else [])


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"state_dir": Path("elsewhere")}, id="state_dir"),
        pytest.param({"state_url_file": Path("elsewhere")}, id="state_url_file"),
        pytest.param({"lease": 10.0}, id="lease"),
        pytest.param({"buckets": Buckets(ring=(1, 2))}, id="buckets"),
    ],
)
def test_what_needs_a_restart_is_refused(changed: dict[str, Any]) -> None:
    (name,) = changed

    with pytest.raises(ConfigError, match=f"^{name}: changes only with a restart; "):
        refuse_what_needs_a_restart(settings(HQ), settings(HQ, **changed))
    refuse_what_needs_a_restart(settings(HQ), settings(BRANCH))


def test_settings_by_which_is_counted_in_another_way_are_named() -> None:
    dids = MappingProxyType({"1": "a"})
    after = settings(
        replace(HQ, timezone="Asia/Tokyo", dids=dids), replace(BRANCH, stale_after=7.0)
    )

    assert list(other_meanings(settings(HQ, BRANCH), after)) == [("hq", "timezone"), ("hq", "dids")]


def test_all_that_asked_are_told_of_one_reading() -> None:
    requests = ReloadRequests()
    asked = [requests.ask(), requests.ask()]

    taken = requests.taken()
    for each in taken:
        each.finish(successful=True)

    assert taken == asked
    assert [each.wait() for each in asked] == [True, True]
    assert requests.taken() == []


def test_each_mistake_of_a_file_that_is_read_again_is_a_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def with_mistakes() -> Settings:
        raise ConfigError("exporter.yml: a: wrong; mend it\nexporter.yml: b: wrong; mend it")

    before = settings(pbx("hq", base_url="http://127.0.0.1:1"), state_dir=tmp_path / "state")
    exporter = Exporter(before, [ListenAddress("127.0.0.1", 0)], threading.Event())
    exporter.start()
    try:
        assert not exporter.reload(with_mistakes)
    finally:
        exporter.stop()

    assert [line.getMessage() for line in caplog.records if line.levelname == "ERROR"] == [
        "the configuration stays as it was: exporter.yml: a: wrong; mend it",
        "the configuration stays as it was: exporter.yml: b: wrong; mend it",
    ]


def test_a_pbx_that_is_gone_is_not_shown_and_the_others_are_in_the_files_order() -> None:
    board = SnapshotBoard()
    for name in ("hq", "old", "branch"):
        board.put(snapshot(name))

    board.show(["branch", "new", "hq"])

    assert [each.pbx for each in board.snapshots()] == ["branch", "hq"]

    # One that ended too late puts what nobody shows.
    board.put(snapshot("old"))
    board.put(snapshot("new"))
    assert [each.pbx for each in board.snapshots()] == ["branch", "new", "hq"]


class BoardThatAsks(SnapshotBoard):
    """A board that is told of a change in its midst, and asks whether all that is polled runs."""

    fleet: FileFleet | None = None
    alive: bool | None = None

    def show(self, names: Sequence[str]) -> None:
        super().show(names)
        if self.fleet is not None:
            self.alive = self.fleet.alive


def test_a_change_is_never_taken_for_a_poller_that_has_stopped(tmp_path: Path) -> None:
    nobody = {"base_url": "http://127.0.0.1:1", "secret": SecretSource(value=Secret("x" * 16))}
    hq, branch, new = (pbx(name, client_id=name, **nobody) for name in ("hq", "branch", "new"))
    before = settings(hq, branch, state_dir=tmp_path)
    after = settings(replace(hq, poll_interval=9.0), new, state_dir=tmp_path)
    board = BoardThatAsks()
    board.fleet = fleet = FileFleet(before, histogram_bounds(before), board)
    fleet.start()
    try:
        change = change_between(before, after)
        fleet.end(change)
        assert fleet.alive
        fleet.begin(after, change)

        assert board.alive
        assert fleet.alive
        assert [each.pbx for each in board.snapshots()] == ["hq", "new"]
    finally:
        fleet.stop()
        fleet.cancel()
        fleet.join(10)


def test_it_waits_until_every_pbx_was_attempted_whatever_came_of_it(tmp_path: Path) -> None:
    board = SnapshotBoard()
    names = ("hq", "branch", "new")
    fleet = FileFleet(settings(*map(pbx, names), state_dir=tmp_path), BOUNDS, board)

    assert fleet.waits_for() == "not yet polled: hq, branch, new"
    board.put(snapshot("hq", gauges={"cdr_up": 0.0}, shown=False))
    board.put(snapshot("new"))
    assert fleet.waits_for() == "not yet polled: branch"
    board.put(snapshot("branch"))
    assert fleet.waits_for() == ""
