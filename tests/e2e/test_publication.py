"""What Prometheus makes of the pages: simulated hours, scraped every 15 s, judged by promtool."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cdr_exporter.errors import TryAgain
from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.serving import serve

from ..support.processes import Process, Prometheus, eventually, free_port
from ..support.scrape_history import HOUR, MINUTE, Page, World, calls_of, total

pytestmark = pytest.mark.slow

RECORDS = "cdr_records_total"
COUNTS = (
    RECORDS,
    "cdr_duration_seconds_count",
    "cdr_ring_duration_seconds_count",
    "cdr_talk_duration_seconds_count",
    "cdr_calls_total",
    "cdr_call_wait_seconds_count",
    "cdr_call_talk_seconds_count",
    "cdr_call_duration_seconds_count",
)
ANSWERED = RECORDS + '{disposition="ANSWERED",call_type="Inbound"}'
"""The few series that rise here; promtool takes no more than 10,000 samples in one expression."""

RATE_A_MINUTE = f"sum(rate({ANSWERED}[5m])) * 60"
CALLS_A_MINUTE = 'sum(rate(cdr_calls_total{outcome="answered",call_type="Inbound"}[5m])) * 60'
NOTHING = (0, 0)


def about(number: float, share: float = 0.03) -> tuple[float, float]:
    return number * (1 - share), number * (1 + share)


Worlds = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Worlds]:
    with ExitStack() as worlds:

        def make(**settings: object) -> World:
            each = World(tmp_path / str(time.monotonic_ns()), **settings)
            worlds.callback(lambda: each.store.close())
            return each

        yield make


def at_work(it: World, seconds: float = HOUR) -> World:
    """Let calls end and be counted for a while; there were 300 before."""
    it.pbx.call(300)
    it.traffic()
    it.run(seconds)
    return it


# --- births --------------------------------------------------------------------------------------


def claims_of_a_new_trunk(calls: int) -> dict[str, tuple[float, float]]:
    """Claim that *calls* calls of a trunk were seen by every family, the first one too."""
    return {f'sum(increase({name}{{trunk="New"}}[10m]))': about(calls, 0.1) for name in COUNTS}


def test_the_first_call_of_a_new_trunk_is_an_increase_of_1_in_every_family(world: Worlds) -> None:
    it = at_work(world(), 10 * MINUTE)
    it.pbx.call(src_trunk="New")
    it.run(5 * MINUTE)

    it.history.assert_that(claims_of_a_new_trunk(1))
    assert it.history.falls() == []


@pytest.mark.parametrize("away", ["PBX", "exporter"])
def test_the_first_call_of_a_trunk_that_was_born_in_a_catch_up_is_an_increase_of_1(
    world: Worlds, away: str
) -> None:
    it = at_work(world())
    leave, come_back = (it.cut, it.mend) if away == "PBX" else (it.stop, it.start)
    leave()
    it.run(HOUR / 2)
    it.pbx.call(src_trunk="New")
    it.run(HOUR / 2)
    come_back()
    it.run(8 * MINUTE)

    it.history.assert_that(claims_of_a_new_trunk(1))
    assert it.history.falls() == []


def test_a_trunk_that_is_born_while_a_slow_catch_up_is_under_way_is_an_increase(
    world: Worlds,
) -> None:
    it = at_work(world(), 10 * MINUTE)
    it.stop()
    it.pbx.call(3000)
    it.pbx.call(src_trunk="New")
    it.pbx.before_answer = lambda: it.clock.pass_(10)
    it.start()
    it.run(4 * MINUTE)
    hidden = calls_of(it.page()) == {}
    it.pbx.before_answer = lambda: None
    it.run(6 * MINUTE)

    assert hidden
    it.history.assert_that(claims_of_a_new_trunk(1))


# --- outages -------------------------------------------------------------------------------------


@pytest.mark.fault("H5")
@pytest.mark.parametrize("away", ["PBX", "exporter", "PBX hangs"])
def test_coming_back_after_an_hour_is_no_spike_and_no_call_is_lost(
    world: Worlds, away: str
) -> None:
    it = at_work(world())
    leave, come_back = {
        "PBX": (it.cut, it.mend),
        "exporter": (it.stop, it.start),
        "PBX hangs": (lambda: hang(it), it.mend),
    }[away]
    leave()
    it.run(HOUR)
    come_back()
    it.pbx.before_answer = lambda: it.clock.pass_(20)  # so that scrapes fall into the catch-up
    it.run(10 * MINUTE)
    it.mend()
    it.run(50 * MINUTE)

    it.history.assert_that(
        {
            f"max_over_time(({RATE_A_MINUTE})[3h:15s])": about(5, 0.3),
            f"max_over_time(({RATE_A_MINUTE})[20m:15s] offset 45m)": about(5, 0.3),
            f"sum(increase({RECORDS}[3h]))": about(900),
            f"sum(increase({COUNTS[1]}[3h]))": about(900),
            # Calls wait for two polls or three, which are slow here for a while.
            f"max_over_time(({CALLS_A_MINUTE})[3h:15s])": about(5, 0.5),
            'sum(increase(cdr_calls_total{outcome="answered"}[3h]))': about(900),
            "sum(increase(cdr_call_wait_seconds_count[3h]))": about(900),
        }
    )
    assert it.history.falls() == []


def hang(it: World) -> None:
    """Let the PBX take every request and answer none, until the patience is over."""

    def wait() -> None:
        it.clock.pass_(30)
        raise TryAgain("no answer", reason="timeout")

    it.pbx.before_answer = wait


def test_the_calls_of_a_silent_pbx_are_absent_for_prometheus_and_what_is_about_us_is_not(
    world: Worlds,
) -> None:
    it = at_work(world(), 10 * MINUTE)
    it.cut()
    it.run(10 * MINUTE)

    it.history.assert_that(
        {
            f"count({RECORDS})": (1, 1000),
            "min(cdr_exporter_late_records_total)": NOTHING,
        },
        at=14 * MINUTE,
    )
    it.history.assert_that(
        {
            f"absent({RECORDS})": (1, 1),
            "absent(cdr_duration_seconds_bucket)": (1, 1),
            "min(cdr_exporter_late_records_total)": NOTHING,
            "min(cdr_exporter_polls_total)": (1, 100),
            "sum(cdr_up)": NOTHING,
        },
        at=16 * MINUTE,
    )


# --- restarts ------------------------------------------------------------------------------------


def restart(it: World, times: int = 1) -> None:
    for _ in range(times):
        it.stop()
        it.start()


def kill_in_a_catch_up(it: World) -> None:
    """Kill it three times in the middle of reading 2,000 rows."""
    it.pbx.call(2000)
    for _ in range(3):
        it.kill_after(3)
        it.start()


def lose_the_last_commits(it: World) -> None:
    """Bring back a state of five minutes ago; the PBX has all rows since, and no label is new."""
    it.stop()
    it.set_aside()
    it.start()
    it.run(5 * MINUTE)
    it.stop()
    it.bring_back()
    it.start()


@pytest.mark.parametrize(
    ("disturb", "also"),
    [
        pytest.param(lambda it: None, 0, id="none, to compare"),
        pytest.param(restart, 0, id="restart"),
        pytest.param(lambda it: restart(it, 20), 0, id="twenty restarts"),
        pytest.param(kill_in_a_catch_up, 2000, id="kills in a catch-up"),
        pytest.param(lose_the_last_commits, 0, id="last commits lost"),
    ],
)
def test_a_restart_is_invisible(
    world: Worlds, disturb: Callable[[World], object], also: int
) -> None:
    it = at_work(world(), HOUR / 2)
    disturb(it)
    it.run(HOUR / 2 - (it.clock.elapsed - HOUR / 2))

    assert it.history.falls() == []
    it.history.assert_that(
        {
            f"sum(resets({RECORDS}[1h]))": NOTHING,
            "sum(resets(cdr_duration_seconds_sum[1h]))": NOTHING,
            f"sum(increase({RECORDS}[1h]))": about(300 + also),
            f"sum(rate({RECORDS}[5m])) * 60": about(5, 0.2),
            f"sum({RECORDS})": (296 + also, 300 + also),
            f"min_over_time(({RATE_A_MINUTE})[50m:15s])": about(5, 0.3),
        }
    )


# --- the first start -----------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 1], ids=["at once", "slowly"])
def test_a_baseline_of_5000_rows_is_no_increase_and_what_comes_after_is(
    world: Worlds, seconds: float
) -> None:
    it = world(start="all")
    for ago in range(5000, 0, -1):
        it.pbx.call(started_at=int(it.clock.wall) - 120 - ago)
    it.pbx.before_answer = lambda: it.clock.pass_(seconds)
    it.run(20 * MINUTE)
    it.mend()
    before = it.clock.elapsed // 15 * 15
    it.traffic()
    it.run(20 * MINUTE)

    it.history.assert_that(
        {f"sum(increase({name}[20m]))": NOTHING for name in COUNTS}
        | {f"sum({name})": (5000, 5000) for name in COUNTS},
        at=before,
    )
    it.history.assert_that(
        {f"sum(increase({name}[20m]))": about(100, 0.08) for name in COUNTS}
        | {f"max_over_time(({RATE_A_MINUTE})[20m:15s])": about(5, 0.3)}
    )
    assert it.history.falls() == []


# --- whole pages, and none too early -------------------------------------------------------------


def scrape_in_every_poll(it: World, pages: list[Page], seconds: float = 1.0) -> None:
    """Have the PBX take its time, and scrape before and after each of its answers."""

    def answering() -> None:
        pages.append(it.page())
        it.clock.pass_(seconds)
        pages.append(it.page())

    it.pbx.before_answer = answering


def assert_whole(pages: list[Page]) -> None:
    for page in pages:
        if calls_of(page):
            assert total(page, RECORDS) == total(page, "cdr_duration_seconds_count")
            assert total(page, RECORDS) * 60 == total(page, "cdr_duration_seconds_sum")


@pytest.mark.parametrize("start", ["now", "all"])
def test_after_a_start_no_calls_are_shown_before_the_start_is_read_whole(
    world: Worlds, start: str
) -> None:
    it = world(start=start, poll_interval=10.0)
    it.pbx.call(300)
    it.run(MINUTE)
    it.pbx.call(20)
    it.run(5 * MINUTE)
    it.stop()
    before = total(it.history.pages[-1], RECORDS)
    it.pbx.call(2500)
    pages: list[Page] = []
    it.start()
    pages.append(it.page())
    scrape_in_every_poll(it, pages)
    it.traffic()
    it.run(3 * MINUTE)
    shown = [page for page in pages if calls_of(page)]

    assert before == (320 if start == "all" else 20)
    assert len(pages) - len(shown) > 10
    assert shown == pages[-len(shown) :]
    assert all(total(page, RECORDS) >= before + 2500 for page in shown)
    assert all({"cdr_up", "cdr_exporter_backlog"} <= names(page) for page in pages[1:])
    assert all(names(page) >= ABOUT_US for page in pages)
    assert_whole(pages)


ABOUT_US = {
    "cdr_up",
    "cdr_exporter_polls_total",
    "cdr_exporter_backlog",
    "cdr_exporter_late_records_total",
    "cdr_exporter_state_write_ok",
}


def names(page: Page) -> set[str]:
    return {series.partition("{")[0] for series in page}


def test_scrapes_in_the_middle_of_a_poll_see_whole_pages_of_the_pbx(world: Worlds) -> None:
    it = at_work(world(), 10 * MINUTE)
    pages: list[Page] = []
    scrape_in_every_poll(it, pages)
    it.pbx.call(4000)
    it.run(2 * MINUTE)
    counts = [total(page, RECORDS) for page in pages if calls_of(page)]

    assert len(counts) == len(pages)
    assert len({count for count in counts if 100 < count < 4000}) > 3
    assert counts == sorted(counts)
    assert_whole(pages)


def test_calls_are_hidden_by_the_clock_in_the_middle_of_a_poll_and_until_all_is_read(
    world: Worlds,
) -> None:
    it = at_work(world(stale_after=200.0), 10 * MINUTE)
    it.traffic(False)
    it.run(MINUTE)
    held: list[float] = []

    def hang_once() -> None:
        it.pbx.before_answer = lambda: None
        held.append(it.clock.elapsed)
        it.pbx.call(2500)
        it.clock.pass_(20 * MINUTE)
        scrape_in_every_poll(it, back)

    back: list[Page] = []
    it.pbx.before_answer = hang_once
    it.run(2 * HOUR)
    pages = list(enumerate(it.history.pages))[1:]
    hidden = [number * 15 for number, page in pages if not calls_of(page)]
    shown = [page for page in back if calls_of(page)]

    assert len(held) == 1
    assert held[0] - 31 <= hidden[0] - 200 <= held[0] - 29 + 15  # the last poll was 30 s before
    assert hidden == list(range(hidden[0], hidden[-1] + 1, 15))
    assert hidden[-1] >= held[0] + 20 * MINUTE
    assert len(back) - len(shown) > 10
    assert {total(page, RECORDS) for page in shown} == {total(it.page(), RECORDS)}
    assert it.history.falls() == []


# --- commit, then publish ------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["now", "all"])
def test_no_scrape_ever_shows_more_than_a_kill_at_that_instant_would_leave(
    world: Worlds, tmp_path: Path, start: str
) -> None:
    it = world(start=start, birth_hold=1.0)
    it.pbx.call(100)
    it.run(2 * MINUTE)
    seen: list[float] = []
    above: list[str] = []  # SQLite swallows what is raised under it

    def compare() -> None:
        page = calls_of(it.page())
        found = it.durable(tmp_path / "found")
        above.extend(name for name, value in page.items() if value > found.get(name, -1))
        seen.append(total(page, RECORDS))

    def compare_before_commits(statement: str) -> None:
        if statement == "COMMIT":
            compare()

    it.store._db.set_trace_callback(compare_before_commits)
    it.pbx.before_answer = compare
    for _ in range(3):
        it.pbx.call(150)
        it.pbx.call(src_trunk=f"New {len(seen)}")
        it.run(MINUTE)
    it.store._db.execute("PRAGMA query_only=1")
    it.pbx.call(50)
    it.run(2 * MINUTE)
    compare()
    full = seen[-1]
    it.store._db.execute("PRAGMA query_only=0")
    it.run(5 * MINUTE)
    compare()

    assert above == []
    assert full == seen[0] + 3 * 151
    assert seen[-1] == full + 50
    assert len(set(seen)) > 5


# --- the real ones -------------------------------------------------------------------------------


@pytest.mark.e2e
def test_a_real_prometheus_sees_no_restart_of_a_real_exporter_under_live_traffic(
    tmp_path: Path,
) -> None:
    pbx = SimulatedPBX(api=APISettings(client_secret="secret"))
    pbx.office.calls(500)
    target = f"127.0.0.1:{free_port()}"
    path = tmp_path / "exporter.yml"
    with serve(pbx) as server:
        path.write_text(
            "poll_interval: 1s\nbirth_hold: 2s\nstart: all\npbxs:\n"
            f"  - {{name: hq, base_url: '{server.base_url}', client_id: simulated,"
            " client_secret: secret}\n"
        )

        def exporter() -> Process:
            arguments = ("--config.file", str(path), "--web.listen-address", target)
            return Process(sys.executable, "-m", "cdr_exporter", *arguments)

        with exporter() as first, Prometheus(tmp_path, target) as prometheus:

            def held() -> float:
                result = prometheus.query(f"sum({RECORDS})")
                return float(result[0]["value"][1]) if result else 0

            eventually("the baseline", lambda: held() == 500)
            pbx.office.calls(20)
            eventually("calls", lambda: held() == 520)
            assert first.stop() == 0
            for end in ("kill", "stop"):
                pbx.office.calls(30)
                with exporter() as next_one:
                    pbx.office.calls(30)
                    eventually("calls", lambda: held() == sum(pbx.expected.totals().values()))
                    getattr(next_one, end)()
            resets = prometheus.query(f"sum(resets({RECORDS}[5m]))")
            lowest = prometheus.query(f"sum(min_over_time({RECORDS}[5m]))")

    assert sum(pbx.expected.totals().values()) == 640
    assert float(resets[0]["value"][1]) == 0
    assert float(lowest[0]["value"][1]) >= 500
