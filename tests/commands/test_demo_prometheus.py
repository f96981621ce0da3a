"""`demo --prometheus`: what Prometheus is told, and what is said where it is missing."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from cdr_exporter import bundled, cli
from cdr_exporter.commands import demo_prometheus
from cdr_exporter.commands.demo_prometheus import Scraped, prepare, running
from cdr_exporter.errors import ExporterError
from cdr_exporter.programs import ProgramError
from cdr_exporter.settings import Settings

from ..support.programs import require

TARGET = "127.0.0.1:10088"


def made(directory: Path, target: str = TARGET) -> Path:
    prepare(Scraped(target, Settings(pbxs=()), directory))
    return directory / "prometheus.yml"


@pytest.mark.parametrize("target", [TARGET, "[::1]:10088", "localhost:9"])
def test_it_scrapes_the_exporter_often_by_the_name_that_the_rules_use(
    tmp_path: Path, target: str
) -> None:
    config = yaml.safe_load(made(tmp_path / "it", target).read_text())

    assert config["scrape_configs"] == [
        {"job_name": "cdr-exporter", "static_configs": [{"targets": [target]}]}
    ]
    assert set(config["global"].values()) == {"5s"}


def test_it_has_all_rules_that_come_with_the_program(tmp_path: Path) -> None:
    path = made(tmp_path / "it")

    assert {each.name for each in path.parent.glob("rules/*.yml")} == bundled.rules().keys()


def test_promtool_has_nothing_against_its_configuration(tmp_path: Path) -> None:
    done = subprocess.run(
        [require("promtool"), "check", "config", str(made(tmp_path / "it"))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(bundled.rules())} rule files found" in done.stdout


def test_it_listens_on_loopback_and_writes_below_its_directory_only(tmp_path: Path) -> None:
    _, *flags = demo_prometheus.command("prometheus", tmp_path, 9)
    values = dict(flag.removeprefix("--").split("=", 1) for flag in flags)

    assert values["web.listen-address"] == "127.0.0.1:9"
    assert values["config.file"] == str(tmp_path / "prometheus.yml")
    assert values["storage.tsdb.path"] == str(tmp_path / "data")
    assert int(values["storage.tsdb.retention.time"].removesuffix("d")) > demo_prometheus.DAYS


def test_the_link_shows_a_graph_of_calls_over_the_whole_past() -> None:
    url = urlsplit(demo_prometheus.graph_url("http://127.0.0.1:9/"))
    shown = {name: value for name, [value] in parse_qs(url.query).items()}

    assert (url.netloc, url.path) == ("127.0.0.1:9", "/graph")
    assert 'increase(cdr_calls_total{call_type="Inbound",outcome="answered"}' in shown["g0.expr"]
    assert (shown["g0.tab"], shown["g0.range_input"]) == ("0", f"{demo_prometheus.DAYS}d")


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        pytest.param([], "prometheus, promtool;", id="both"),
        pytest.param(["prometheus"], "promtool;", id="promtool"),
        pytest.param(["promtool"], "prometheus;", id="Prometheus"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_started(
    tmp_path: Path,
    there: list[str],
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in there:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert cli.main(["demo", "--prometheus"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"demo --prometheus: not on the PATH: {missing}" in said.err
    assert said.err.count("\n") == 1


def test_a_directory_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ExporterError) as failed:
        made(tmp_path / "file" / "it")
    assert str(failed.value) == (
        "the past for Prometheus cannot be written: not a directory; set TMPDIR to a directory "
        "that can be written, with some 700 MB free"
    )


def test_a_prometheus_that_does_not_start_is_one_line_and_ends_the_demo(tmp_path: Path) -> None:
    program, stop = tmp_path / "prometheus", threading.Event()
    program.write_text("#!/bin/sh\necho 'no such flag' >&2\nexit 2\n")
    program.chmod(0o755)
    made(tmp_path / "it")
    it = Scraped(TARGET, Settings(pbxs=()), tmp_path / "it")

    with pytest.raises(ProgramError) as failed, running(str(program), it, stop):
        pytest.fail("it does not run")
    assert str(failed.value) == "prometheus has ended by itself (exit code 2): no such flag"
    assert stop.is_set()
