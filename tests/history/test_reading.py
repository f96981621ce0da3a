"""Reading what a PBX still has: whole, once each, no further than wanted, and on after a kill."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.errors import TryAgain, WaitLong
from cdr_exporter.history.reading import ReadingFailed, Source, read_past
from cdr_exporter.settings import PBX, SecretSource
from cdr_exporter.store import FileStore, LegFile
from cdr_exporter.tail.page_reader import CDRList, Stopped
from pbx_simulator import SimulatedPBX
from pbx_simulator.firmware import KINDS

from ..support.fake_clock import FakeClock
from ..support.fake_pbx import FakePBX
from ..support.in_process_cdr_list import InProcessCDRList
from ..support.oversized import make_oversized
from ..support.rows import BOUNDS

HQ = PBX(name="hq", base_url="http://127.0.0.1", client_id="me", secret=SecretSource(env="X"))


def read(
    cdr_list: CDRList,
    directory: Path,
    clock: FakeClock | None = None,
    *,
    not_before: float | None = None,
    noted: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """Read the list, and return the dispositions of the rows that were kept, the oldest first."""
    source = Source(HQ, cdr_list, (), BOUNDS, clock or FakeClock(), noted)
    directory.mkdir(exist_ok=True)
    with closing(LegFile(directory / "hq.legs")) as legs:
        read_past(source, legs, directory / "hq", not_before)
        return [disposition for disposition, _ in legs.rows(0, 2**40)]


def pbx_with(rows: int, *, apart: int = 60) -> FakePBX:
    """Return a PBX with so many calls of a minute, the newest of which has just ended."""
    pbx = FakePBX()
    now = int(pbx.clock.wall)
    for number in range(rows, 0, -1):
        pbx.call(started_at=now - number * apart)
    return pbx


def test_every_row_is_kept_once(tmp_path: Path) -> None:
    assert len(read(pbx_with(1_234), tmp_path)) == 1_234


@pytest.mark.fault("C25")
@pytest.mark.parametrize("position", [0, 7, 700], ids=str)
def test_beside_a_row_that_is_too_large_every_other_row_is_kept(
    tmp_path: Path, position: int
) -> None:
    pbx = pbx_with(1_234)
    make_oversized(pbx, position)

    assert len(read(pbx, tmp_path, pbx.clock)) == 1_233


def test_rows_that_are_added_while_it_reads_move_none_out_of_sight(tmp_path: Path) -> None:
    pbx = pbx_with(3_000)
    pbx.before_answer = lambda: pbx.call(7, started_at=int(pbx.clock.wall) - 60)
    kept = read(pbx, tmp_path, pbx.clock)

    assert 3_000 <= len(kept) <= len(pbx.rows)


def test_rows_that_are_deleted_while_it_reads_move_none_past_it(tmp_path: Path) -> None:
    pbx = pbx_with(3_000)
    chance = random.Random(3)
    deleted: set[int] = set()

    def delete() -> None:
        if len(pbx.queries) > 10:
            return
        gone = {chance.choice(sorted(pbx.rows)) for _ in range(5)}
        deleted.update(gone)
        pbx.delete(*gone)

    pbx.before_answer = delete
    kept = read(pbx, tmp_path, pbx.clock)

    assert len(kept) >= 3_000 - len(deleted)


def test_it_reads_no_further_than_wanted(tmp_path: Path) -> None:
    pbx = pbx_with(10_000)
    wanted = 2_000
    kept = read(pbx, tmp_path, pbx.clock, not_before=pbx.clock.wall - wanted * 60)

    assert wanted <= len(kept) <= wanted + 1_000
    assert pbx.rows_sent <= wanted + 1_600


def test_it_rests_after_each_page_as_long_as_the_page_took(tmp_path: Path) -> None:
    pbx = pbx_with(3_000)
    read(pbx, tmp_path, pbx.clock)
    pages = [query for query in pbx.queries if query.offset]

    assert len(pages) > 5
    assert len(pbx.clock.waited) == len(pages)
    assert pbx.clock.waited == pytest.approx([0.02] * len(pages))


def test_killed_at_any_request_it_goes_on_and_reads_little_again(tmp_path: Path) -> None:
    pbx = pbx_with(4_000)
    kills = 0
    for requests in range(1, 40):
        pbx.kill_after(requests)
        try:
            kept = read(pbx, tmp_path, pbx.clock)
            break
        except SystemExit:
            kills += 1

    assert kills > 3
    assert len(kept) == 4_000
    assert pbx.rows_sent < 4_000 + 700 * kills


@pytest.mark.parametrize("where", ["add", "commit"])
def test_a_kill_between_legs_and_ledger_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    pbx = pbx_with(1_500)
    for times in range(1, 8):
        left = times

        def strike(*_: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise SystemExit

        owner = LegFile if where == "add" else FileStore
        with monkeypatch.context() as patched:
            patched.setattr(owner, where, strike_after(getattr(owner, where), strike))
            with suppress(SystemExit):
                read(pbx, tmp_path, pbx.clock)

    assert len(read(pbx, tmp_path, pbx.clock)) == 1_500


def strike_after(action: Callable[..., Any], strike: Callable[[], None]) -> Callable[..., Any]:
    def struck(*arguments: Any) -> None:
        action(*arguments)
        strike()

    return struck


def test_what_is_kept_has_no_number_and_no_name_and_is_for_its_owner_only(tmp_path: Path) -> None:
    pbx = FakePBX()
    pbx.call(3, call_from="Canary<4711>", call_to="Warbler<1234>", did_number="555777")
    read(pbx, tmp_path, pbx.clock)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in files)

    assert b"ANSWERED" in content
    assert [word for word in (b"Canary", b"4711", b"Warbler", b"555777") if word in content] == []
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def test_a_request_that_fails_is_tried_again(tmp_path: Path) -> None:
    pbx = pbx_with(1_000)
    pbx.failures = [TryAgain("broken", reason="connect") for _ in range(5)]

    assert len(read(pbx, tmp_path, pbx.clock)) == 1_000
    assert pbx.clock.waited[:5] == [2, 4, 8, 16, 32]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(TryAgain("broken", reason="connect"), id="again and again"),
        pytest.param(WaitLong("denied", reason="auth", first=1, most=2), id="for good"),
    ],
)
def test_a_pbx_that_does_not_answer_is_given_up(tmp_path: Path, error: TryAgain | WaitLong) -> None:
    pbx = pbx_with(10)
    pbx.failures = [error] * 100

    with pytest.raises(type(error)):
        read(pbx, tmp_path, pbx.clock)
    assert len(pbx.queries) <= 6


def test_records_that_are_replaced_while_it_reads_are_not_mixed(tmp_path: Path) -> None:
    pbx = pbx_with(3_000)
    pbx.kill_after(8)
    with pytest.raises(SystemExit):
        read(pbx, tmp_path, pbx.clock)
    pbx.before_answer = lambda: None
    pbx.reset()
    pbx.call(50, started_at=int(pbx.clock.wall) - 60)

    with pytest.raises(ReadingFailed, match="replaced"):
        read(pbx, tmp_path, pbx.clock)


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    pbx = pbx_with(3_000)

    def stop(_: int) -> None:
        pbx.clock.stopping = True

    with pytest.raises(Stopped):
        read(pbx, tmp_path, pbx.clock, noted=stop)


def test_a_pbx_without_records_has_no_past(tmp_path: Path) -> None:
    assert read(FakePBX(), tmp_path) == []


@pytest.mark.parametrize("firmware", KINDS)
def test_both_tables_of_newer_firmware_are_read_once_each(tmp_path: Path, firmware: str) -> None:
    clock = FakeClock()
    pbx = SimulatedPBX(clock=lambda: clock.wall, days=6, upgrade=KINDS[firmware], upgraded_days=2)
    kept = read(InProcessCDRList(pbx, lambda: None), tmp_path, clock)

    assert len(pbx.table) > 1_000
    assert len(kept) == len(pbx.table)


@pytest.mark.parametrize("days", [1, 4])
@pytest.mark.parametrize("firmware", KINDS)
def test_of_both_tables_all_is_read_that_ended_since(
    tmp_path: Path, firmware: str, days: int
) -> None:
    clock = FakeClock()
    pbx = SimulatedPBX(clock=lambda: clock.wall, days=6, upgrade=KINDS[firmware], upgraded_days=2)
    since = clock.wall - days * 86_400
    kept = read(InProcessCDRList(pbx, lambda: None), tmp_path, clock, not_before=since)
    ended = [row["timestamp"] + row.get("duration", 0) for row in pbx.table]

    assert len(kept) >= sum(end >= since for end in ended)


def test_older_firmware_is_not_read_twice(tmp_path: Path) -> None:
    pbx = pbx_with(1_000)
    read(pbx, tmp_path, pbx.clock)

    assert pbx.rows_sent < 1_200
