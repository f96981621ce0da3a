"""Faults and secrets (group G of FAULTS.md): no fault, of no request, shows one.

The real client against the simulated PBX over HTTP, every fault at every endpoint, logging at
debug level; then whatever a person or a machine could see is searched for the canaries.
"""

from __future__ import annotations

import io
import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter import cli, logs
from cdr_exporter.cdr import CDRAnswer
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.errors import PBXError
from cdr_exporter.exposition import Exposition
from cdr_exporter.pbx import Client, FileDocuments
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, SecretSource
from cdr_exporter.web import App
from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.http_server import PBXServer
from pbx_simulator.serving import serve

from ..support.error_text import everything_in
from ..support.exporter_and_simulator import write_config
from ..support.fake_clock import FakeClock
from ..support.poller_harness import PollerHarness
from ..support.rows import BOUNDS
from ..support.web import ask

SECRET = "canary-secret-5cf1e07a"
PERSON = "Kristin Canary"
NUMBER = "+491525550199"
PAGES = ("/", "/metrics", "/metrics?pbx=hq", "/sd", "/-/ready", "/-/healthy", "/nowhere")
LIBRARIES = ("urllib3", "requests", "asyncio")
HOUR = 3600.0


@pytest.fixture
def server() -> Iterator[tuple[SimulatedPBX, PBXServer]]:
    pbx = SimulatedPBX(api=APISettings(client_id="canary-client", client_secret=SECRET))
    with serve(pbx) as server:
        yield pbx, server


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Return what is logged at debug level, by the libraries too, past our formatter."""
    everything, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    raw = logging.StreamHandler(everything)
    logs.setup("debug", "logfmt", everything)
    root.addHandler(raw)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield everything
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET)


class Watched:
    """A client of which every error is turned inside out, locals included."""

    def __init__(self, base_url: str, directory: Path, request_timeout: float = 5.0) -> None:
        self.clock = FakeClock()
        self.shown = ""
        settings = PBX(
            name="hq",
            base_url=base_url,
            client_id="canary-client",
            secret=SecretSource(value=Secret(SECRET)),
            request_timeout=request_timeout,
        )
        self.settings = settings
        self.client = Client(settings, FileDocuments(directory), wall=lambda: self.clock.wall)

    @property
    def requests(self) -> int:
        return self.client.requests

    @property
    def errcodes(self) -> Mapping[int, int]:
        return self.client.errcodes

    @property
    def clock_offset(self) -> float | None:
        return self.client.clock_offset

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        try:
            return self.client.fetch(query)
        except PBXError as error:
            self.shown += everything_in(error)
            raise


SHORT_TOKEN = "tk7Kx9"
FREE_TEXT = f"{PERSON} <{NUMBER}> {SHORT_TOKEN}"
"""What a PBX, or what stands before it, may put wherever a text is free."""

HEADERS = dict.fromkeys(("Server", "WWW-Authenticate", "Retry-After", "X-Why"), FREE_TEXT)


def refused_in_words(errcode: int) -> dict[str, Any]:
    """Return the fault that the PBX answers *errcode*, and says why in its own words."""
    why = [{"field": FREE_TEXT, "value": FREE_TEXT, "valid_msg": FREE_TEXT}]
    answer = {"errcode": errcode, "errmsg": FREE_TEXT, "invalid_param_list": why}
    return {"body": json.dumps(answer), "headers": HEADERS}


FAULTS: dict[str, dict[str, Any]] = {
    **{f"errcode {code}": refused_in_words(code) for code in (-2, -1, 10004, 10005, 60002, 70004)},
    **{f"errcode {code}": refused_in_words(code) for code in (70087, 70123, 40002, 70088, 99999)},
    **{
        f"HTTP {code}": {"status": code, "body": f"<p>{FREE_TEXT}", "headers": HEADERS}
        for code in (401, 403, 404, 429, 500, 502, 503)
    },
    "HTTP 204": {"status": 204, "headers": HEADERS},
    "HTTP 401 in words": {"status": 401, **refused_in_words(10004)},
    "redirect": {
        "status": 302,
        "headers": {**HEADERS, "Location": f"http://127.0.0.1:1/?access_token=x&{FREE_TEXT}"},
    },
    "cut in the head": {"cut_after": 9},
    "cut in the body": {"cut_after": 60},
    "dropped": {"dropped": True},
    "not JSON": {"body": f"<html>{FREE_TEXT}"},
    "no errcode": {"body": "{}"},
    "half a grant": {"body": '{"errcode": 0, "access_token": "canary-token-of-nobody-1", "ref'},
    "a grant of no form": {"body": '{"errcode": 0, "access_token": "canary token of nobody"}'},
    "says it back": {"body": json.dumps({"errcode": 40002, "errmsg": f"password={SECRET} is bad"})},
    "too late": {"delay_seconds": 0.7},
}


def poll_until_up(it: PollerHarness) -> None:
    for _ in range(12):
        it.poll()
        if it.gauge("cdr_up"):
            return
        it.clock.pass_(3 * HOUR)
    raise AssertionError(f"still down: {it.last.failure}")


def pages(it: PollerHarness) -> str:
    app = App(
        snapshots=lambda: [it.last],
        exposition=Exposition(BOUNDS, version="1.2.3"),
        now=it.clock.now,
        alive=lambda: True,
        version="1.2.3",
        dashboards={},
        rules={},
    )
    return "".join(ask(app, path, host="here").text for path in PAGES)


def tokens_of(path: Path) -> set[str]:
    """Return the tokens that the token file holds."""
    held = json.loads(path.read_text()) if path.exists() else {}
    pairs = [held.get("access"), held.get("refresh")]
    return {each["value"] for each in pairs if each}


@pytest.mark.slow
@pytest.mark.fault("G1", "G3", "G6")
@pytest.mark.parametrize("endpoint", ["get_token", "refresh_token", "cdr/list", "del_token"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_no_fault_at_any_endpoint_shows_a_secret_or_a_person(
    server: tuple[SimulatedPBX, PBXServer],
    tmp_path: Path,
    logged: io.StringIO,
    fault: dict[str, Any],
    endpoint: str,
) -> None:
    pbx, serving = server
    # Only what comes too late is given up; the rest gets the time that a busy machine needs.
    patience = 0.5 if "delay_seconds" in fault else 5.0
    client, path = Watched(serving.base_url, tmp_path, patience), tmp_path / "hq.token"
    it = PollerHarness(tmp_path / "state", cdr_list=client)
    poll_until_up(it)
    canaries = {SECRET, PERSON, NUMBER, SHORT_TOKEN, "canary-token", "canary token"}
    canaries |= tokens_of(path)
    pbx.office.call(
        call_from=f"{PERSON}<{NUMBER}>", call_to=NUMBER, call_type="Inbound", src_trunk="sip"
    )
    if endpoint == "get_token":
        pbx.tokens.expire(refresh_too=True)
    elif endpoint == "refresh_token":
        pbx.tokens.expire()
    asked = pbx.request_log.count(endpoint)
    pbx.faults.fail_next(path=endpoint, **fault)
    it.poll()
    seen = pages(it)
    canaries |= tokens_of(path)
    poll_until_up(it)
    canaries |= tokens_of(path)
    client.client.revoke(patience)
    it.store.close()

    seen += pages(it) + client.shown + logged.getvalue() + repr(client.client.__dict__)
    seen += "".join(snapshot.failure for snapshot in it.shown)
    assert it.counted == 1
    assert pbx.request_log.count(endpoint) > asked
    assert len(canaries) >= 8
    assert [canary for canary in sorted(canaries) if canary in seen] == []


@pytest.mark.slow
@pytest.mark.fault("G5")
@pytest.mark.parametrize("endpoint", ["get_token", "cdr/list"])
@pytest.mark.parametrize("name", [name for name in FAULTS if name != "too late"])
def test_a_check_shows_no_words_of_the_pbx(
    tmp_path: Path,
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    name: str,
    endpoint: str,
) -> None:
    pbx = SimulatedPBX(api=APISettings(client_secret=SECRET))
    pbx.office.call(call_from=f"{PERSON}<{NUMBER}>", call_to=NUMBER, call_type="Internal")
    pbx.faults.fail_next(times=9, path=endpoint, **FAULTS[name])
    with serve(pbx) as serving:
        path = write_config(tmp_path, serving.base_url)
        cli.main(["check", "--connect", "--config.file", str(path)])
    said = capsys.readouterr()
    seen = said.out + said.err + logged.getvalue()

    assert "pbx0: " in said.err + said.out
    assert pbx.request_log.count(endpoint)
    assert [canary for canary in (SECRET, PERSON, NUMBER, SHORT_TOKEN) if canary in seen] == []


# --- G2: what stands on a command line, and what is echoed ---------------------------------------


@pytest.mark.fault("G2")
@pytest.mark.parametrize("command", [[], ["run"], ["check"], ["demo"], ["simulate"]])
@pytest.mark.parametrize("option", ["--client-secret", "--client_secret", "--secret", "--password"])
def test_a_secret_has_no_place_on_the_command_line(
    command: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, f"{option}={SECRET}"])
    said = capsys.readouterr()

    assert ended.value.code == 2
    assert "Traceback" not in said.err


@pytest.mark.fault("G2")
def test_settings_show_no_secret_however_they_are_printed() -> None:
    settings = PBX(
        name="hq",
        base_url="http://127.0.0.1",
        client_id="me",
        secret=SecretSource(value=Secret(SECRET)),
    )
    shown = [str(settings), repr(settings), f"{settings!r:>999}", repr({"pbx": [settings]})]
    try:
        raise ValueError(settings)
    except ValueError as error:
        shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()

    assert SECRET not in "".join(shown)
