"""The configuration is read again by the real process, while its PBXs are polled."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET, records_shown, write_config
from ..support.processes import Exporter, eventually

pytestmark = pytest.mark.e2e

SUCCESSFUL = "cdr_exporter_config_last_reload_successful"
SUCCESS_TIMESTAMP = "cdr_exporter_config_last_reload_success_timestamp_seconds"
POLLS = "cdr_exporter_polls_total"

PBXs = Mapping[str, tuple[SimulatedPBX, str]]
"""Each with the URL at which it is served."""


@pytest.fixture
def pbxs() -> Iterator[PBXs]:
    """Serve three PBXs, pbx0 to pbx2, each with another past."""
    with ExitStack() as servers:
        served = {}
        for number in range(3):
            pbx = SimulatedPBX(api=APISettings(client_secret=SECRET))
            pbx.office.calls(100 * (number + 1))
            served[f"pbx{number}"] = pbx, servers.enter_context(serve(pbx)).base_url
        yield served


def urls(pbxs: PBXs, *names: str) -> list[str]:
    return [pbxs[name][1] for name in names]


def holds(exporter: Exporter, pbxs: PBXs, *names: str) -> bool:
    return all(records_shown(exporter, name) == pbxs[name][0].expected.totals() for name in names)


def logins(pbx: SimulatedPBX) -> int:
    return pbx.request_log.count("get_token")


def ask_to_reload(exporter: Exporter, method: str = "POST", **headers: str) -> int:
    """Return the status of the answer."""
    url = f"http://{exporter.address}/-/reload"
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=40) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_pbxs_come_go_and_change_while_the_others_go_on(tmp_path: Path, pbxs: PBXs) -> None:
    path = write_config(tmp_path, *urls(pbxs, "pbx0", "pbx1"))
    with Exporter(path) as exporter:
        eventually("all of both", lambda: holds(exporter, pbxs, "pbx0", "pbx1"))
        polls = exporter.value(POLLS, "pbx1")
        logins_of_pbx0 = logins(pbxs["pbx0"][0])

        # A name with another setting, one as it was, one that is new.
        text = write_config(tmp_path, *urls(pbxs, "pbx0", "pbx1", "pbx2")).read_text()
        path.write_text(text.replace("name: pbx0,", "name: pbx0, poll_interval: 2s,"))
        exporter.signal(signal.SIGHUP)
        eventually("the new one", lambda: exporter.value("cdr_up", "pbx2") == 1)

        # The one that stays is shown all the time, and its counters go on.
        assert holds(exporter, pbxs, "pbx1")
        assert (exporter.value(POLLS, "pbx1") or 0) >= (polls or 0)
        eventually("all of three", lambda: holds(exporter, pbxs, *pbxs))
        assert logins(pbxs["pbx0"][0]) == logins_of_pbx0
        assert exporter.value(SUCCESSFUL) == 1

        # It goes: its series and its token, not its state.
        path.write_text(write_config(tmp_path, *urls(pbxs, "pbx0", "pbx1")).read_text())
        exporter.signal(signal.SIGHUP)
        eventually("it is gone", lambda: exporter.value("cdr_up", "pbx2") is None)
        assert 'pbx="pbx2"' not in exporter.get("/metrics")
        assert pbxs["pbx2"][0].tokens.live == 0
        assert (tmp_path / "state" / "pbx2.db").exists()

        # It comes back to what was counted, and to what it wrote meanwhile.
        pbxs["pbx2"][0].office.calls(50)
        path.write_text(write_config(tmp_path, *urls(pbxs, "pbx0", "pbx1", "pbx2")).read_text())
        exporter.signal(signal.SIGHUP)
        eventually("all of three again", lambda: holds(exporter, pbxs, *pbxs))
        assert exporter.stop() == 0


def test_a_file_that_cannot_be_used_changes_nothing_and_is_told(tmp_path: Path, pbxs: PBXs) -> None:
    path = write_config(tmp_path, *urls(pbxs, "pbx0"))
    good = path.read_text()
    with Exporter(path) as exporter:
        eventually("all of it", lambda: holds(exporter, pbxs, "pbx0"))
        for bad, told in (
            (good.replace("call_settle", "call_settles"), "call_settles"),
            (f"state_dir: elsewhere\n{good}", "state_dir: changes only with a restart"),
        ):
            first = exporter.value(SUCCESS_TIMESTAMP)
            path.write_text(bad)
            exporter.signal(signal.SIGHUP)
            eventually("it is told", lambda: exporter.value(SUCCESSFUL) == 0)
            assert any(told in line for line in exporter.output)
            assert exporter.value(SUCCESS_TIMESTAMP) == first

            pbxs["pbx0"][0].office.calls(10)
            eventually("it counts on", lambda: holds(exporter, pbxs, "pbx0"))
            path.write_text(good)
            exporter.signal(signal.SIGHUP)
            eventually("it is well again", lambda: exporter.value(SUCCESSFUL) == 1)
            assert (exporter.value(SUCCESS_TIMESTAMP) or 0) > (first or 0)
        assert exporter.stop() == 0


def test_a_web_configuration_that_cannot_be_used_is_told_too(tmp_path: Path, pbxs: PBXs) -> None:
    web = tmp_path / "web.yml"
    web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    path = write_config(tmp_path, *urls(pbxs, "pbx0"))
    with Exporter(path, f"--web.config.file={web}") as exporter:
        assert exporter.value(SUCCESSFUL) == 1

        web.write_text("http_server_config: {header: {}}\n")
        eventually("it is told", lambda: exporter.value(SUCCESSFUL) == 0)

        web.write_text("http_server_config: {headers: {}}\n")
        eventually("it is well again", lambda: exporter.value(SUCCESSFUL) == 1)


def test_it_reloads_by_http_where_that_is_allowed(tmp_path: Path, pbxs: PBXs) -> None:
    path = write_config(tmp_path, *urls(pbxs, "pbx0"))
    with Exporter(path, "--web.enable-lifecycle") as exporter:
        path.write_text(write_config(tmp_path, *urls(pbxs, "pbx0", "pbx1")).read_text())

        assert ask_to_reload(exporter) == 200
        eventually("the new one", lambda: exporter.value("cdr_up", "pbx1") == 1)
        assert ask_to_reload(exporter, "GET") == 405
        assert ask_to_reload(exporter, Origin="http://evil.example") == 403

        path.write_text("pbxs: []\n")
        assert ask_to_reload(exporter, "PUT") == 500
        assert exporter.value("cdr_up", "pbx1") == 1


def test_without_the_flag_there_is_no_such_path(tmp_path: Path, pbxs: PBXs) -> None:
    with Exporter(write_config(tmp_path, *urls(pbxs, "pbx0"))) as exporter:
        assert ask_to_reload(exporter) == 404
