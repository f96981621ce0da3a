"""The real process against the simulated PBX over HTTP, judged from outside."""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.commands.demo import FREE_PORT_ADDRESS, PREFERRED_ADDRESS
from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.firmware import KINDS
from pbx_simulator.http_server import PBXServer
from pbx_simulator.scenarios import SCENARIOS
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import (
    SECRET,
    calls_shown,
    records_shown,
    wait_for_rows,
    write_config,
)
from ..support.processes import Exporter, Process, Prometheus, eventually, get
from ..support.programs import require

pytestmark = pytest.mark.e2e


Several = Callable[..., tuple[dict[str, SimulatedPBX], list[str]]]
"""Serves PBXs: a process takes more time to start than PBXs that share it take to be polled."""


@pytest.fixture
def pbx() -> SimulatedPBX:
    return SimulatedPBX(api=APISettings(client_secret=SECRET))


@pytest.fixture
def server(pbx: SimulatedPBX) -> Iterator[PBXServer]:
    with serve(pbx) as server:
        yield server


def scraped(prometheus: Prometheus) -> dict[tuple[str, ...], float]:
    """Return what a real Prometheus holds, likewise."""
    result = prometheus.query("cdr_records_total > 0")
    return {
        (m["disposition"], m["call_type"], m["trunk"]): float(each["value"][1])
        for each in result
        for m in [each["metric"]]
    }


def test_prometheus_holds_what_the_pbx_holds(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    pbx.office.calls(3000)
    with (
        Exporter(write_config(tmp_path, server.base_url)) as exporter,
        Prometheus(tmp_path, exporter.address) as prometheus,
    ):
        for _ in range(5):
            pbx.office.calls(20)
            time.sleep(0.3)

        eventually("equal totals", lambda: scraped(prometheus) == pbx.expected.totals())
        assert pbx.request_log.max_concurrent == 1


def test_the_exporter_holds_the_calls_that_were_made(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    with Exporter(write_config(tmp_path, server.base_url)) as exporter:
        for _ in range(4):
            pbx.office.whole_calls(100)
            time.sleep(0.3)
        for scenario in SCENARIOS:
            pbx.office.whole_calls(1, scenario)
        eventually("the rows", lambda: sum(records_shown(exporter).values()) == len(pbx.table))
        waited_for = exporter.value("cdr_exporter_open_calls", "pbx0")
        eventually("the calls", lambda: calls_shown(exporter) == pbx.expected.outcomes())

        assert waited_for
        assert exporter.value("cdr_exporter_late_legs_total", "pbx0") == 0


def test_what_was_hidden_was_counted(tmp_path: Path, pbx: SimulatedPBX, server: PBXServer) -> None:
    pbx.office.calls(50)
    hiding = "hide_families: [cdr_records_total, cdr_talk_duration_seconds]\n"
    with Exporter(write_config(tmp_path, server.base_url, extra=hiding)) as exporter:
        eventually(
            "the rows are counted",
            lambda: sum(exporter.samples("cdr_duration_seconds_count").values()) == len(pbx.table),
        )
        hidden = exporter.get("/metrics") + exporter.get("/metrics?pbx=pbx0")
        exporter.stop()
    with Exporter(write_config(tmp_path, server.base_url)) as exporter:
        eventually("their totals", lambda: records_shown(exporter) == pbx.expected.totals())

    assert not re.search("cdr_records|cdr_talk_duration", hidden)


@pytest.fixture
def several() -> Iterator[Several]:
    """Return a function that serves PBXs: it returns them by the names in `write_config`."""
    with ExitStack() as servers:

        def serve_all(*pbxs: SimulatedPBX) -> tuple[dict[str, SimulatedPBX], list[str]]:
            urls = [servers.enter_context(serve(pbx)).base_url for pbx in pbxs]
            return {f"pbx{number}": pbx for number, pbx in enumerate(pbxs)}, urls

        yield serve_all


def rows_held(exporter: Exporter, pbxs: Mapping[str, SimulatedPBX]) -> bool:
    """Say whether the exporter holds the rows of each of *pbxs*."""
    return all(records_shown(exporter, name) == pbx.expected.totals() for name, pbx in pbxs.items())


def calls_held(exporter: Exporter, pbxs: Mapping[str, SimulatedPBX]) -> bool:
    return all(calls_shown(exporter, name) == pbx.expected.outcomes() for name, pbx in pbxs.items())


@pytest.mark.fault("D14")
def test_pbxs_whose_clocks_are_hours_off_are_counted_like_any_other(
    tmp_path: Path, several: Several
) -> None:
    ahead = {"pbx0": 3 * 3600, "pbx1": -3 * 3600}
    pbxs, urls = several(
        *(
            SimulatedPBX(api=APISettings(client_secret=SECRET), clock_ahead=seconds, days=1)
            for seconds in ahead.values()
        )
    )
    config = write_config(tmp_path, *urls, extra="longest_call: 1h\n")
    with Exporter(config) as exporter:
        for pbx in pbxs.values():
            pbx.office.whole_calls(50)
        eventually("the calls", lambda: calls_held(exporter, pbxs))
        uids = {name: list(pbx.table)[-1]["uid"] for name, pbx in pbxs.items()}
    with Exporter(config) as exporter:
        eventually("the rows", lambda: rows_held(exporter, pbxs))
        for name, pbx in pbxs.items():
            pbx.office.call(uid=uids[name])
        late = "cdr_exporter_late_legs_total"
        eventually("the late legs", lambda: all(exporter.value(late, name) == 1 for name in pbxs))
        for name, seconds in ahead.items():
            offset = exporter.value("cdr_exporter_pbx_clock_offset_seconds", name)

            assert offset is not None
            assert abs(offset - seconds) < 3
        assert calls_held(exporter, pbxs)


IMPATIENT = """
import runpy
from cdr_exporter.tail import missing_ids
missing_ids._IDLE = 3.0
runpy.run_module("cdr_exporter", run_name="__main__")
"""
"""The exporter, which looks for hidden rows after 3 seconds without a new row, not 10 minutes."""


@pytest.mark.fault("C26")
def test_rows_that_an_upgrade_hides_while_it_runs_are_found_and_counted_once(
    tmp_path: Path, several: Several
) -> None:
    kinds = ("legacy-only", "legacy-only-total-of-both")
    pbxs, urls = several(*(SimulatedPBX(api=APISettings(client_secret=SECRET)) for _ in kinds))
    path = write_config(tmp_path, *urls)

    def telephone(calls: int) -> None:
        for pbx in pbxs.values():
            pbx.office.whole_calls(calls)

    telephone(150)
    with Exporter(path, program=("-c", IMPATIENT)) as exporter:
        eventually("the legacy rows", lambda: rows_held(exporter, pbxs))
        for pbx, kind in zip(pbxs.values(), kinds, strict=True):
            upgrade = KINDS[kind]
            assert upgrade is not None
            pbx.maintenance.upgrade(shows=upgrade.shows, count_both=upgrade.count_both)
        telephone(60)
        eventually("the rows that are hidden", lambda: rows_held(exporter, pbxs))
    with Exporter(path) as exporter:
        eventually("the same after a restart", lambda: rows_held(exporter, pbxs))
        telephone(20)
        eventually("the next ones", lambda: rows_held(exporter, pbxs))
        eventually("their calls", lambda: calls_held(exporter, pbxs))

        breaks = "cdr_exporter_lineage_breaks_total"
        assert [exporter.value(breaks, name) for name in pbxs] == [0, 0]


def test_start_now_holds_what_came_after_and_increase_sees_the_first_call_of_a_new_trunk(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    pbx.office.calls(500)
    before = pbx.expected.totals()
    with (
        Exporter(write_config(tmp_path, server.base_url, start="now")) as exporter,
        Prometheus(tmp_path, exporter.address) as prometheus,
    ):
        eventually("the first poll", lambda: exporter.value("cdr_up", "pbx0"))
        pbx.office.calls(200)
        pbx.office.call(call_type="Inbound", disposition="ANSWERED", src_trunk="New Trunk")
        after = {key: n - before.get(key, 0) for key, n in pbx.expected.totals().items()}
        after = {key: n for key, n in after.items() if n}
        eventually("equal totals", lambda: scraped(prometheus) == after)
        new = 'cdr_records_total{trunk="New Trunk",disposition="ANSWERED",call_type="Inbound"}'
        talk = 'cdr_talk_duration_seconds_count{trunk="New Trunk"}'
        eventually("it is counted", lambda: prometheus.query(f"{new} == 1"))
        eventually("it talked", lambda: prometheus.query(f"{talk} == 1"))

        eventually("its increase", lambda: prometheus.query(f"increase({new}[1m]) > 0"))
        eventually("its increase", lambda: prometheus.query(f"increase({talk}[1m]) > 0"))


def test_promtool_has_nothing_to_say_about_the_live_page(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    promtool = require("promtool")
    pbx.office.calls(500)
    with Exporter(write_config(tmp_path, server.base_url)) as exporter:
        eventually("calls", lambda: records_shown(exporter) == pbx.expected.totals())
        page = exporter.get("/metrics")
    verdict = subprocess.run(
        [promtool, "check", "metrics"], input=page, text=True, capture_output=True, check=False
    )

    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (0, "", "")


@pytest.mark.fault("E1")
@pytest.mark.long
def test_kills_in_the_middle_of_a_catch_up_of_50000_rows_change_nothing(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    pbx.office.calls(50_000)
    path = write_config(tmp_path, server.base_url)
    chance = random.Random(7)
    backlogs = []
    for _ in range(6):
        # Somewhere in the catch-up, which is some 100 pages long.
        enough = pbx.request_log.rows_served + chance.randint(1500, 6000)
        with Exporter(path) as exporter:
            wait_for_rows(pbx, enough)
            backlogs.append(exporter.value("cdr_exporter_backlog", "pbx0"))
            shown = records_shown(exporter)
            exporter.kill()
        assert shown == {}
    pbx.office.calls(77)
    with Exporter(path) as exporter:
        eventually("caught up", lambda: records_shown(exporter) == pbx.expected.totals())
        assert exporter.stop() == 0
    with Exporter(path) as exporter:
        eventually("calls again", lambda: records_shown(exporter) == pbx.expected.totals())

    assert all(backlogs)
    assert pbx.request_log.count("get_token") <= 2


@pytest.mark.fault("A7")
def test_a_stopped_process_gives_its_token_back_and_a_killed_one_reuses_it(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    path = write_config(tmp_path, server.base_url)
    for _ in range(3):
        with Exporter(path) as exporter:
            eventually("a poll", lambda: exporter.value("cdr_up", "pbx0"))
            exporter.kill()
    logins, alive = pbx.request_log.count("get_token"), pbx.tokens.live
    with Exporter(path) as exporter:
        eventually("a poll", lambda: exporter.value("cdr_up", "pbx0"))
        began = time.monotonic()
        code = exporter.stop()
        took = time.monotonic() - began

    assert (logins, alive) == (1, 1)
    assert code == 0
    assert took < 5
    assert pbx.tokens.live == 0


@pytest.mark.fault("E13")
def test_a_pbx_that_hangs_does_not_delay_the_end(tmp_path: Path, pbx: SimulatedPBX) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Exporter(write_config(tmp_path, url)) as exporter:
            eventually("ready to be asked", lambda: "cdr_up" in exporter.get("/metrics"))
            began = time.monotonic()
            code = exporter.stop()

    assert code == 0
    assert time.monotonic() - began < 5


def test_one_dead_pbx_leaves_the_others_alone(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    pbx.office.calls(50)
    with socket.create_server(("127.0.0.1", 0)) as dead:
        nowhere = f"http://127.0.0.1:{dead.getsockname()[1]}"
    with Exporter(write_config(tmp_path, nowhere, server.base_url)) as exporter:
        eventually("one works", lambda: records_shown(exporter) == pbx.expected.totals())
        eventually("ready", lambda: "ready" in exporter.get("/-/ready"))

        assert exporter.value("cdr_up", "pbx0") == 0
        assert exporter.value("cdr_up", "pbx1") == 1
        assert exporter.value("cdr_exporter_poll_failures_total", "pbx0", "connect")
        assert "cdr_records_total" not in exporter.get("/metrics?pbx=pbx0")
        assert "process_" not in exporter.get("/metrics?pbx=pbx1")


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "http-500": ({"status": 500}, "http"),
    "errcode": ({"errcode": -2}, "api"),
    "cut-body": ({"cut_after": 50}, "garbled"),
    "not-json": ({"body": "<html>"}, "garbled"),
    "dropped": ({"dropped": True}, "connect"),
    "dripping": ({"drip_seconds": 0.2}, "timeout"),
    "redirect": ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, "redirect"),
}


@pytest.mark.fault("G1")
def test_a_bad_answer_is_counted_and_the_next_good_one_too(
    tmp_path: Path, several: Several
) -> None:
    pbxs, urls = several(*(SimulatedPBX(api=APISettings(client_secret=SECRET)) for _ in FAULTS))
    faults = dict(zip(pbxs, FAULTS.values(), strict=True))
    for pbx in pbxs.values():
        pbx.office.calls(30)
    path = write_config(tmp_path, *urls, extra="request_timeout: 2s\n")
    with Exporter(path, "--log.level", "debug") as exporter:
        eventually("all well", lambda: rows_held(exporter, pbxs))
        for name, (fault, _) in faults.items():
            pbxs[name].faults.fail_next(**fault)
        failures = "cdr_exporter_poll_failures_total"
        eventually(
            "each failed once",
            lambda: all(
                exporter.value(failures, name, reason) == 1 for name, (_, reason) in faults.items()
            ),
        )
        for pbx in pbxs.values():
            pbx.office.calls(5)
        eventually("all well again", lambda: rows_held(exporter, pbxs))
        tokens = [token for name in pbxs for token in _tokens(tmp_path, name)]
        pages = [exporter.get(path) for path in ("/", "/metrics", "/sd", "/-/ready")]
        exporter.stop()
    everything = "\n".join([*exporter.output, *pages])

    assert len(tokens) >= len(pbxs)
    assert not [secret for secret in (SECRET, *tokens) if secret in everything]


def _tokens(directory: Path, pbx: str) -> list[str]:
    """Return every long word of a token file: tokens and what stands for the secret."""
    held = json.loads((directory / "state" / f"{pbx}.token").read_text())
    words: list[str] = []
    stack = [held]
    while stack:
        each = stack.pop()
        stack += each.values() if isinstance(each, dict) else each if isinstance(each, list) else []
        words += [each] if isinstance(each, str) and len(each) >= 16 else []
    return words


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cdr_exporter", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_taken_port_is_exit_1(tmp_path: Path, server: PBXServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = str(write_config(tmp_path, server.base_url))
        done = run("--config.file", path, "--web.listen-address", address)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"cdr-exporter: cannot listen on {address}")


@pytest.mark.fault("E7")
def test_state_in_use_is_exit_3(tmp_path: Path, server: PBXServer) -> None:
    path = write_config(tmp_path, server.base_url)
    with Exporter(path):
        done = run("--config.file", str(path), "--web.listen-address", "127.0.0.1:0")

    assert done.returncode == 3
    assert "another process" in done.stderr
    assert "Traceback" not in done.stderr


BAD = {
    "pbxs": "pbxs: []",
    "polling": "polling: 3s\n{good}",
    "line 1": "pbxs: [",
    "state_dir": "state_dir: /dev/null/x\n{good}",
    "ca_file": "{good}    tls: {{ca_file: missing.pem}}\n",
    "pbxs[hq].api_path": "{good}    api_path: openapi/v2.0\n",
}
"""What an error must name → a configuration."""

START_WITH_EACH = """
import sys
from cdr_exporter.cli import main
for path in sys.argv[1:]:
    code = main(["--config.file", path, "--web.listen-address", "127.0.0.1:0"])
    print(code, file=sys.stderr)
"""


@pytest.mark.fault("E4", "E15")
def test_a_bad_configuration_is_exit_2_and_one_line(tmp_path: Path) -> None:
    good = (
        "pbxs:\n  - name: hq\n    base_url: https://127.0.0.1:1\n"
        "    client_id: x\n    client_secret: y\n"
    )
    paths = [tmp_path / f"{number}.yml" for number in range(len(BAD))]
    for path, text in zip(paths, BAD.values(), strict=True):
        path.write_text(text.replace("{good}", good).replace("{{", "{").replace("}}", "}"))
    one = run("--config.file", str(paths[0]), "--web.listen-address", "127.0.0.1:0")
    each = subprocess.run(
        [sys.executable, "-c", START_WITH_EACH, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said, codes = each.stderr.splitlines()[::2], each.stderr.splitlines()[1::2]

    assert one.returncode == 2
    assert one.stderr.splitlines() == said[:1]
    assert codes == ["2"] * len(BAD)
    assert [where in line for where, line in zip(BAD, said, strict=True)] == [True] * len(BAD)


def test_check_says_what_each_pbx_answers(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    pbx.office.calls(12)
    path = str(write_config(tmp_path, server.base_url))
    plain, connected = (
        run("check", "--config.file", path),
        run("check", "--config.file", path, "--connect"),
    )
    run("check", "--config.file", path, "--connect")

    assert (plain.returncode, connected.returncode) == (0, 0)
    assert "pbx0: answers, 12 CDRs" in connected.stdout
    assert pbx.request_log.count("get_token") == 1


@pytest.mark.fault("A4")
def test_check_shares_the_login_budget_with_the_exporter(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    path = write_config(tmp_path, server.base_url)
    (tmp_path / "secret").write_text("wrong")
    codes = [run("check", "--config.file", str(path), "--connect").returncode for _ in range(2)]
    with Exporter(path) as exporter:
        eventually(
            "blocked", lambda: exporter.value("cdr_exporter_auth_blocked", "pbx0", "credentials")
        )

    assert codes == [1, 1]
    assert pbx.request_log.count("get_token") == 1
    assert not pbx.tokens.blocked


def test_the_demo_counts_growing_calls_on_a_free_port_and_leaves_nothing_behind() -> None:
    with ExitStack() as resources:
        with suppress(OSError):  # somebody else has it, which serves as well
            resources.enter_context(socket.create_server(("127.0.0.1", PREFERRED_ADDRESS.port)))
        demo = resources.enter_context(Process(sys.executable, "-m", "cdr_exporter", "demo"))
        urls = eventually(
            "addresses", lambda: [w for line in demo.output for w in line.split() if "http" in w]
        )
        page_url = next(url for url in urls if url.endswith("/metrics"))
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()

        def records() -> int:
            page = get(page_url)
            lines = [line for line in page.splitlines() if line.startswith("cdr_records_total{")]
            return round(sum(float(line.rsplit(" ", 1)[1]) for line in lines))

        first = eventually("calls", records)
        eventually("more calls", lambda: records() > first)
        eventually("a chart", lambda: get(page_url.replace("metrics", "pbx/berlin")).count("<rect"))
        demo.signal(signal.SIGINT)
        code = demo.ended(30)

    assert code == 0
    assert children == []
    assert first > 1000
    assert not [url for url in urls if f":{PREFERRED_ADDRESS.port}/" in url]


def test_the_demo_is_for_this_machine_alone() -> None:
    assert {PREFERRED_ADDRESS.host, FREE_PORT_ADDRESS.host} == {"127.0.0.1"}


def test_the_demo_without_room_for_its_state_is_one_line() -> None:
    code = (
        "import tempfile, sys; from cdr_exporter.cli import main; from cdr_exporter.commands import"
        " demo; demo.IN_MEMORY = (); tempfile.tempdir = '/proc/nowhere'; sys.exit(main(['demo']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "cdr-exporter: no directory for what the demo keeps while it runs: "
        "No such file or directory; "
        "set TMPDIR to a directory that can be written, with some 20 MB free\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_a_check_of_a_silent_pbx_can_be_ended(tmp_path: Path, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = write_config(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        command = (sys.executable, "-m", "cdr_exporter", "check", "--connect")
        with Process(*command, "--config.file", str(path)) as checking:
            silent.settimeout(60)
            with silent.accept()[0]:
                checking.signal(number)
                code = checking.ended()

    assert code != 0
    assert "Traceback" not in "\n".join(checking.output)


def test_an_upgrade_to_rows_without_ids_loses_and_doubles_nothing(
    tmp_path: Path, several: Several
) -> None:
    orders = ("first", "last", "left_out")
    pbxs, urls = several(*(SimulatedPBX(api=APISettings(client_secret=SECRET)) for _ in orders))
    for pbx in pbxs.values():
        pbx.office.calls(2000)
    path = write_config(tmp_path, *urls)
    with Exporter(path) as exporter:
        eventually("all before", lambda: rows_held(exporter, pbxs))
        for pbx, order in zip(pbxs.values(), orders, strict=True):
            pbx.maintenance.upgrade(order)
        for _ in range(4):
            for pbx in pbxs.values():
                pbx.office.calls(60)
            time.sleep(0.4)
        exporter.kill()
    for pbx in pbxs.values():
        pbx.office.calls(300)
    with Exporter(path) as exporter:
        eventually("all after", lambda: rows_held(exporter, pbxs))
        assert exporter.stop() == 0


@pytest.mark.fault("D2")
def test_a_backup_put_back_and_a_clean_up_lose_and_double_nothing(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    pbx.office.calls(1500)
    with Exporter(write_config(tmp_path, server.base_url)) as exporter:
        eventually("all before", lambda: records_shown(exporter) == pbx.expected.ever())
        backup = pbx.maintenance.snapshot()
        pbx.office.calls(300)
        eventually("all of it", lambda: records_shown(exporter) == pbx.expected.ever())
        pbx.maintenance.restore(backup)
        pbx.maintenance.limit(1200)
        for _ in range(3):
            pbx.office.calls(100)
            time.sleep(0.3)

        eventually("what came since", lambda: records_shown(exporter) == pbx.expected.ever())
        breaks = exporter.value("cdr_exporter_lineage_breaks_total", "pbx0")
    assert breaks == 0


@pytest.mark.fault("D6")
def test_a_factory_reset_is_a_break_of_lineage_and_counting_goes_on(
    tmp_path: Path, pbx: SimulatedPBX, server: PBXServer
) -> None:
    pbx.office.calls(3000)
    with Exporter(write_config(tmp_path, server.base_url)) as exporter:
        eventually("all before", lambda: records_shown(exporter) == pbx.expected.ever())
        time.sleep(1.1)  # what ends in the same second as the last call before is left out
        pbx.maintenance.factory_reset()
        pbx.office.calls(40)

        eventually("what came since", lambda: records_shown(exporter) == pbx.expected.ever())
        breaks = exporter.value("cdr_exporter_lineage_breaks_total", "pbx0")
    assert breaks == 1
