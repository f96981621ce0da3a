from __future__ import annotations

import gc
import json
import logging
from collections.abc import Sequence
from urllib.parse import urljoin

import pytest

from cdr_exporter.clock import Now
from cdr_exporter.errors import ConfigError
from cdr_exporter.metrics.quarters import Quarters
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.web import App

from ..support.web import NOW, app, ask, exposition, snapshot

OTHER_PATHS = [
    "//",
    "/index.html",
    "/favicon.ico",
    "//metrics",
    "/metrics/x",
    "/METRICS",
    "/%6detrics",
    "/metrics%00",
    "/metrics#x",
    "/metrics;x",
    "/./metrics",
    "/x/../metrics",
    "http://127.0.0.1/metrics",
    "*",
    "",
    "/-/healthy/",
    "/healthz",
]
TRAVERSALS = [
    "..",
    "../",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/calls.json",
    "%2e%2e%2fcalls.json",
    "./calls.json",
    "/calls.json",
    "//calls.json",
    "calls.json%00",
    "%00",
    "calls.json%20",
    "CALLS.JSON",
    "calls.json/",
    "..\\..\\exporter.yml",
    "%5c..%5cexporter.yml",
    "__init__.py",
]


@pytest.mark.parametrize(
    ("target", "content_type", "within"),
    [
        ("/", "text/html; charset=utf-8", "<h1>cdr-exporter"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", 'cdr_up{pbx="hq"} 1.0'),
        ("/-/healthy", "text/plain; charset=utf-8", "ok"),
        ("/-/ready", "text/plain; charset=utf-8", "ready"),
        ("/sd", "application/json", '"instance": "hq"'),
        ("/dashboards/", "text/html; charset=utf-8", 'href="calls.json"'),
        ("/dashboards/calls.json", "application/json", '{"uid": "calls"}'),
        ("/rules/", "text/html; charset=utf-8", 'href="cdr.yml"'),
        ("/rules/cdr.yml", "text/plain; charset=utf-8", "groups: []"),
        ("/?x=1", "text/html; charset=utf-8", "<h1>cdr-exporter"),
        ("/-/healthy?", "text/plain; charset=utf-8", "ok"),
    ],
)
def test_each_path_has_its_answer(target: str, content_type: str, within: str) -> None:
    response = ask(app(snapshot()), target, host="exporter:10088")

    assert response.status == 200
    assert response.headers["Content-Type"] == content_type
    assert within in response.text


@pytest.mark.parametrize(
    ("asked", "there"),
    [("/metrics/", "../metrics"), ("/metrics/?pbx=hq", "../metrics?pbx=hq")],
    ids=["all", "one PBX"],
)
def test_metrics_with_a_slash_leads_to_metrics(asked: str, there: str) -> None:
    response = ask(app(snapshot()), asked)

    assert (response.status, response.headers["Location"]) == (308, there)


@pytest.mark.fault("F5")
@pytest.mark.parametrize("target", OTHER_PATHS)
def test_a_path_that_is_almost_right_is_not_found(target: str) -> None:
    response = ask(app(snapshot()), target)

    assert (response.status, response.text) == (404, "not found\n")


@pytest.mark.parametrize("folder", ["/dashboards", "/rules"])
def test_a_folder_without_its_slash_leads_to_it(folder: str) -> None:
    response = ask(app(snapshot()), folder)

    assert response.status == 308
    assert urljoin(f"http://exporter/prefix{folder}", response.headers["Location"]) == (
        f"http://exporter/prefix{folder}/"
    )


@pytest.mark.fault("F4")
@pytest.mark.parametrize("name", TRAVERSALS)
@pytest.mark.parametrize("folder", ["/dashboards/", "/rules/"])
def test_only_a_bundled_file_is_found(folder: str, name: str) -> None:
    assert ask(app(snapshot()), folder + name).status == 404


@pytest.mark.fault("F4")
@pytest.mark.parametrize("target", ["/dashboards/cdr.yml", "/rules/calls.json"])
def test_a_bundled_file_is_found_in_its_own_folder_only(target: str) -> None:
    assert ask(app(snapshot()), target).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "X"])
def test_other_methods_are_refused(method: str) -> None:
    response = ask(app(snapshot()), "/metrics", method)

    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"


def test_another_method_on_an_unknown_path_is_not_found() -> None:
    assert ask(app(snapshot()), "/nothing", "POST").status == 404


@pytest.mark.parametrize("target", ["/", "/metrics", "/-/healthy", "/rules/cdr.yml", "/nothing"])
def test_every_response_has_the_headers_that_restrict_a_browser(target: str) -> None:
    headers = ask(app(snapshot()), target).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "deny"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("target", ["/", "/dashboards/", "/rules/"])
def test_a_page_may_load_nothing_but_its_own_style(target: str) -> None:
    policy = ask(app(snapshot()), target).headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_one_pbx_comes_without_the_others_and_without_the_process() -> None:
    response = ask(app(snapshot("hq"), snapshot("branch")), "/metrics?pbx=branch")

    assert response.status == 200
    assert 'cdr_up{pbx="branch"} 1.0' in response.text
    assert "hq" not in response.text
    assert "process_" not in response.text
    assert "cdr_exporter_build_info" not in response.text


@pytest.mark.fault("F8")
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("pbx=hq", 200),
        ("%70bx=%68q", 200),
        ("pbx=hq&name[]=up&x", 200),
        ("", 200),
        ("name[]=cdr_up&collect[]=x", 200),
        ("PBX=nobody", 200),
        ("pbx=nobody", 404),
        ("pbx=HQ", 404),
        ("pbx=hq%00", 404),
        ("pbx=%ff", 404),
        ("pbx=hq%20", 404),
        ("pbx=", 400),
        ("pbx", 400),
        ("pbx=hq&pbx=hq", 400),
        ("pbx=hq&pbx=", 400),
    ],
)
def test_the_pbx_parameter_names_exactly_one_pbx(query: str, status: int) -> None:
    assert ask(app(snapshot("hq")), f"/metrics?{query}").status == status


def test_an_unknown_pbx_is_not_echoed() -> None:
    response = ask(app(snapshot()), "/metrics?pbx=%3Cscript%3E")

    assert response.text == "no such pbx\n"


def test_healthy_while_every_poller_lives() -> None:
    assert ask(app(alive=lambda: True), "/-/healthy").text == "ok\n"
    assert ask(app(alive=lambda: False), "/-/healthy").status == 503


def test_ready_once_nothing_is_waited_for() -> None:
    waiting = ask(app(waits_for=lambda: "not yet polled: hq, new"), "/-/ready")

    assert (waiting.status, waiting.text) == (503, "not yet polled: hq, new\n")
    assert ask(app(waits_for=lambda: ""), "/-/ready").text == "ready\n"


@pytest.mark.parametrize(
    "host",
    [
        "exporter",
        "exporter:10088",
        "a.b-c_d.example:1",
        "192.0.2.7:10088",
        "[2001:db8::1]:10088",
        "a:65535",
    ],
)
def test_service_discovery_points_to_where_it_was_asked(host: str) -> None:
    groups = json.loads(ask(app(snapshot("hq"), snapshot("branch")), "/sd", host=host).body)

    assert groups == [
        {"targets": [host], "labels": {"__param_pbx": name, "instance": name}}
        for name in ("hq", "branch")
    ]


def test_service_discovery_says_https_where_the_exporter_serves_tls_itself() -> None:
    own_tls = app(snapshot("hq"), has_tls=True)
    behind_a_proxy = app(snapshot("hq"), has_tls=True, external_url="http://mon.example/cdr")

    def scheme(application: App) -> str:
        (group,) = json.loads(ask(application, "/sd", host="exporter:10088").body)
        return str(group["labels"]["__scheme__"])

    assert (scheme(own_tls), scheme(behind_a_proxy)) == ("https", "http")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example, exporter:10088",
        "exporter:10088/x",
        "user@exporter",
        "http://exporter",
        "exporter:",
        "exporter:port",
        "exporter:123456",
        "exporter:99999",
        "exporter:65536",
        "exporter:0",
        "[::1]:65536",
        ":10088",
        "-x",
        "a b",
        'a"b',
        "[::1",
        "::1",
        "[evil]:1",
        "exporter\n",
        "é.example",
        "a" * 300,
    ],
)
def test_a_forged_host_is_no_target(host: str) -> None:
    assert ask(app(snapshot()), "/sd", host=host).status == 400


def test_the_external_url_takes_the_place_of_the_host() -> None:
    application = app(snapshot("hq"), external_url="https://mon.example:8443/cdr/")

    (group,) = json.loads(ask(application, "/sd", host="ignored, really").body)

    assert group["targets"] == ["mon.example:8443"]
    assert group["labels"] == {
        "__scheme__": "https",
        "__metrics_path__": "/cdr/metrics",
        "__param_pbx": "hq",
        "instance": "hq",
    }


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mon.example",
        "ftp://mon.example",
        "https://",
        "https://user:secret@mon.example",
        "https://mon.example/?x=1",
        "https://mon.example/#x",
        "https://mon.example/a b",
        "https://[::1",
        "https://mon.example:port",
    ],
)
def test_a_bad_external_url_is_an_argument_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^--web\.external-url: not of the form") as caught:
        app(external_url=url)

    assert "secret" not in str(caught.value)


class BrokenClock:
    """Fails with a secret in the message, until it is repaired."""

    def __init__(self) -> None:
        self.broken = True

    def __call__(self) -> Now:
        if self.broken:
            raise RuntimeError("token=canary")
        return NOW


@pytest.mark.fault("F10")
def test_a_failing_handler_costs_a_500_without_details(caplog: pytest.LogCaptureFixture) -> None:
    clock = BrokenClock()
    application = app(snapshot(), now=clock)

    with caplog.at_level(logging.INFO, "cdr_exporter.web"):
        answers = [ask(application, "/metrics") for _ in range(3)]
        healthy = ask(application, "/-/healthy")
        clock.broken = False
        mended = ask(application, "/metrics")

    assert [answer.status for answer in answers] == [500, 500, 500]
    assert answers[0].text == "internal error, see the log\n"
    assert (healthy.status, mended.status) == (503, 200)
    assert healthy.text == "the page of metrics cannot be made: RuntimeError\n"
    assert ask(application, "/-/healthy").text == "ok\n"
    failed, works = (record.getMessage() for record in caplog.records)
    assert failed.startswith("request failed path=/metrics error=RuntimeError at=test_app.py:")
    assert works == "requests work again path=/metrics failures=3"
    assert "canary" not in caplog.text


@pytest.mark.fault("F9")
def test_a_query_never_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> Sequence[Snapshot]:
        raise RuntimeError

    application = app(snapshots=failing)

    assert ask(application, "/metrics?pbx=%0ainjected").status == 500
    assert "injected" not in caplog.text


@pytest.mark.fault("F9", "F10")
def test_a_page_of_a_pbx_that_fails_costs_a_500_and_its_name_never_reaches_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing() -> Sequence[Snapshot]:
        raise RuntimeError

    application = app(snapshots=failing)

    assert [ask(application, f"/pbx/{name}").status for name in ("injected", "2")] == [500, 500]
    [line] = (record.getMessage() for record in caplog.records)
    assert line.startswith("request failed path=/pbx/NAME error=RuntimeError at=")


def test_the_page_of_a_hostile_name_stays_a_page() -> None:
    response = ask(app(snapshot("<script>alert(1)</script>")), "/")

    assert "<script>" not in response.text


def test_what_a_scrape_shows_is_what_the_exposition_says() -> None:
    one = snapshot("hq")
    expected = exposition().one_pbx(one, NOW, openmetrics=False).plain

    assert ask(app(one), "/metrics?pbx=hq").body == expected


def test_what_was_made_of_a_pbx_that_is_shown_no_longer_is_forgotten() -> None:
    shown = [snapshot("gone"), snapshot("kept")]
    gone = {id(shown[0]), id(shown[0].quarters)}
    application = app(snapshots=lambda: tuple(shown))
    for target in ("/", "/metrics?pbx=gone", "/metrics?pbx=kept"):
        ask(application, target)
    del shown[0]

    ask(application, "/metrics?pbx=kept")

    gc.collect()
    left = [each for each in gc.get_objects() if isinstance(each, (Snapshot, Quarters))]
    assert not gone & {id(each) for each in left}


# --- ahead of the scrapes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "left"),
    [pytest.param(0.0, ["branch"], id="no time"), pytest.param(1.0, [], id="time enough")],
)
def test_what_is_published_is_rendered_while_there_is_time(
    seconds: float, left: Sequence[str]
) -> None:
    shots = [snapshot("hq"), snapshot("branch")]
    ours = app(*shots)

    ours.render_ahead(seconds)

    assert [each.pbx for each in ours._exposition.behind(shots, NOW)] == left
