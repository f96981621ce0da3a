"""The whole way: which PBX is written until when, where a run ends early, and what is left then."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.commands.shared import shared_in_files
from cdr_exporter.errors import ConfigError, WaitLong
from cdr_exporter.history import Asked, Machine, Result, write_past
from cdr_exporter.history.past import Interrupted
from cdr_exporter.history.reading import ReadingFailed
from cdr_exporter.ingest import FirstShown, StateChange
from cdr_exporter.settings import PBX, SecretSource, Settings
from cdr_exporter.store import FileStore

from ..support.fake_clock import FakeClock
from ..support.fake_pbx import FakePBX
from ..support.rows import BOUNDS

HOUR, DAY = 3_600, 86_400


class Site:
    """PBXs with a call each hour of two days, their exporter's state, and a folder."""

    def __init__(self, directory: Path, *names: str) -> None:
        self.clock = FakeClock(1_700_006_400.0)
        self.state_dir, self.output = directory / "state", directory / "out"
        self.lists = {name: self._pbx() for name in names}
        self.said: list[str] = []
        self.hide_families: tuple[str, ...] = ()

    def _pbx(self) -> FakePBX:
        pbx = FakePBX()
        pbx.clock = self.clock
        for hours in range(48, 0, -1):
            pbx.call(started_at=int(self.clock.wall) - hours * HOUR)
        return pbx

    def shown(self, name: str, at: float) -> None:
        """Let the exporter have shown a PBX since *at*."""
        with closing(FileStore(self.state_dir, name, "me", BOUNDS)) as store:
            store.load()
            store.commit(StateChange(first_shown=FirstShown(at, False, at)))

    def write(self, *, said: Callable[[str], None] | None = None, **asked: Any) -> Result:
        """Run once."""
        pbxs = [
            PBX(
                name=name,
                base_url="http://127.0.0.1",
                client_id="me",
                secret=SecretSource(env="X"),
            )
            for name in self.lists
        ]
        settings = Settings(
            pbxs=tuple(pbxs), state_dir=self.state_dir, hide_families=self.hide_families
        )
        machine = Machine(
            *(self.clock, lambda pbx: self.lists[pbx.name], said or self.said.append),
            shared_in_files(settings).publication,
        )
        usual = {"days": 31, "step": 300, "end": None, "labels": {"job": "x"}, "text": True}
        return write_past(Asked(self.output, **{**usual, **asked}), settings, BOUNDS, machine)

    def last_sample(self, name: str) -> int:
        """Return the time of the last sample of a PBX."""
        lines = [
            line
            for path in self.output.glob("*.om")
            for line in path.read_text().splitlines()
            if line.startswith("cdr_up{") and f'pbx="{name}"' in line
        ]
        return max(int(line.rsplit(" ", 1)[1]) for line in lines)


def test_each_pbx_ends_at_its_own_seam(tmp_path: Path) -> None:
    it = Site(tmp_path, "hq", "branch")
    now = it.clock.wall
    it.shown("branch", now - DAY)
    result = it.write()

    assert {name: end for name, (_, end) in result.spans.items()} == {
        "hq": now - 3 * HOUR,
        "branch": now - DAY,
    }
    assert it.last_sample("hq") == now - 3 * HOUR - 300
    assert it.last_sample("branch") == now - DAY - 300


def test_it_begins_with_the_oldest_record_where_there_are_fewer_than_asked_for(
    tmp_path: Path,
) -> None:
    it = Site(tmp_path, "hq")
    result = it.write()

    assert it.clock.wall - 50 * HOUR <= result.spans["hq"][0] <= it.clock.wall - 48 * HOUR


def test_it_begins_so_many_days_before_the_end(tmp_path: Path) -> None:
    it = Site(tmp_path, "hq")
    begin, end = it.write(days=1).spans["hq"]

    assert DAY <= end - begin < DAY + 2 * HOUR


def test_a_pbx_without_records_of_that_time_is_left_out(tmp_path: Path) -> None:
    it = Site(tmp_path, "hq", "branch")
    it.shown("branch", it.clock.wall - 10 * DAY)
    it.lists["hq"].reset()

    assert it.write() == Result(0, None, {})
    assert list(it.output.iterdir()) == []


def test_what_was_kept_to_go_on_is_gone_at_the_end(tmp_path: Path) -> None:
    it = Site(tmp_path, "hq")
    it.write()

    assert {path.suffix for path in it.output.iterdir()} == {".om"}
    assert it.said[0] == "hq: 48 rows read"
    assert it.said[-1].endswith(" blocks written")


def test_a_family_that_the_exporter_does_not_show_is_left_out(tmp_path: Path) -> None:
    it = Site(tmp_path, "hq")
    it.hide_families = ("cdr_ring_duration_seconds", "cdr_call_legs")
    it.write()

    text = "".join(path.read_text() for path in it.output.glob("*.om"))
    named = set(
        re.findall("^# TYPE (cdr_(?:ring|talk)_duration_seconds|cdr_call_legs) ", text, re.M)
    )
    assert named == {"cdr_talk_duration_seconds"}


def test_an_end_after_the_first_sample_of_any_pbx_is_refused_before_anything_is_read(
    tmp_path: Path,
) -> None:
    it = Site(tmp_path, "hq", "branch")
    it.shown("branch", it.clock.wall - DAY)

    with pytest.raises(ConfigError, match="pbx branch: --end is later"):
        it.write(end=it.clock.wall - 4 * HOUR)
    assert [each.queries for each in it.lists.values()] == [[], []]


def test_a_run_that_was_told_to_end_goes_on_with_the_same_end(tmp_path: Path) -> None:
    it = Site(tmp_path, "hq")
    end = it.clock.wall - 3 * HOUR

    def stop_at_a_block(said: str) -> None:
        it.clock.stopping = "3 of" in said

    with pytest.raises(Interrupted, match="the same command goes on"):
        it.write(said=stop_at_a_block)
    written = {path: path.stat().st_mtime_ns for path in it.output.glob("*.om")}
    it.clock.stopping = False
    it.clock.pass_(DAY)
    asked = len(it.lists["hq"].queries)
    result = it.write()

    assert len(written) == 3
    assert result.spans["hq"][1] == end
    assert len(it.lists["hq"].queries) == asked
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_run_is_not_gone_on_with_by_other_flags(tmp_path: Path) -> None:
    it = Site(tmp_path, "hq")
    it.lists["hq"].failures = [WaitLong("denied", reason="auth", first=1, most=2)]
    with pytest.raises(ReadingFailed, match="hq: denied; when that is mended, the same command"):
        it.write()

    with pytest.raises(ConfigError, match="begun with other flags"):
        it.write(days=7)
    assert it.write().blocks > 0
