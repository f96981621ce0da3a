"""The flags of `history`, and what it says."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter import cli
from cdr_exporter.commands import history
from cdr_exporter.commands.history import _asked
from cdr_exporter.errors import ConfigError, ExporterError
from cdr_exporter.history import Asked
from pbx_simulator import SimulatedPBX
from pbx_simulator.pbx import CLIENT_SECRET
from pbx_simulator.serving import serve


def asked(*arguments: str) -> Asked:
    return _asked(cli._parser().parse_args(["history", "--output", "out", *arguments]))


def test_by_default_it_is_a_month_of_the_exporter_that_the_example_scrapes() -> None:
    assert asked() == Asked(
        Path("out"),
        31,
        None,
        None,
        {"job": "cdr-exporter", "instance": "localhost:10088"},
        by_pbx=False,
        text=False,
    )


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        pytest.param(["--days", "7"], "days", 7, id="days"),
        pytest.param(["--step", "5m"], "step", 300, id="step"),
        pytest.param(["--step", "15s"], "step", 15, id="short step"),
        pytest.param(["--end", "1700000000"], "end", 1_700_000_000.0, id="seconds"),
        pytest.param(["--end", "2023-11-14T22:13:20Z"], "end", 1_700_000_000.0, id="utc"),
        pytest.param(["--end", "2023-11-14T23:13:20+01:00"], "end", 1_700_000_000.0, id="local"),
        pytest.param(["--text"], "text", True, id="text"),
        pytest.param(["--step", "5m"], "block_seconds", 18 * 3600, id="long blocks"),
        pytest.param(["--step", "3m"], "block_seconds", 2 * 3600, id="short blocks"),
        pytest.param(["--new-prometheus"], "new_prometheus", True, id="new prometheus"),
        pytest.param(
            ["--label", "job=a", "--label", "site=b=c"],
            "labels",
            {"job": "a", "instance": "localhost:10088", "site": "b=c"},
            id="labels",
        ),
    ],
)
def test_a_flag_is_understood(arguments: list[str], field: str, value: Any) -> None:
    assert getattr(asked(*arguments), field) == value


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--days", "0"], "a whole number from 1 to 3650", id="no day"),
        pytest.param(["--days", "x"], "a whole number from 1 to 3650", id="no number"),
        pytest.param(["--step", "7m"], "write one of 15s, 20s, 30s, 1m, 2m, 3m, 5m", id="step"),
        pytest.param(["--step", "60"], "has no unit", id="step without unit"),
        pytest.param(["--end", "2023-11-14T22:13:20"], "2026-11-27T08:00:00Z", id="no zone"),
        pytest.param(["--end", "yesterday"], "epoch seconds", id="no time"),
        pytest.param(["--label", "job"], "NAME=VALUE", id="no value"),
        pytest.param(["--label", "job="], "NAME=VALUE", id="empty value"),
        pytest.param(["--label", "__name__=x"], "NAME=VALUE", id="not of a target"),
        pytest.param(["--label", "trunk=x"], "trunk is a label of the metrics", id="ours"),
        pytest.param(["--label", "pbx=x"], "pbx is a label of the metrics", id="pbx"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        asked(*arguments)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_by_sd_the_instance_is_the_name_of_the_pbx() -> None:
    assert asked("--sd").labels_of("hq") == {"job": "cdr-exporter", "instance": "hq"}

    with pytest.raises(ConfigError, match="with --sd the instance is the name"):
        asked("--sd", "--label", "instance=x")


def configured(directory: Path, base_url: str = "http://127.0.0.1:1") -> Path:
    (directory / "secret").write_text(CLIENT_SECRET)
    path = directory / "exporter.yml"
    path.write_text(
        f"pbxs: [{{name: hq, base_url: '{base_url}', client_id: simulated,"
        " client_secret_file: secret}]\n"
    )
    return path


def run(config: Path, *arguments: str) -> int:
    """Run it on the configuration *config*; it writes to a folder beside that."""
    flags = ("--config.file", str(config), "--output", str(config.with_name("out")))
    args = cli._parser().parse_args(["history", *flags, "--step", "5m", *arguments])
    return history.run(args, threading.Event())


def test_without_promtool_it_writes_texts_and_says_how_to_make_blocks_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with serve(SimulatedPBX(days=1)) as server:
        assert run(configured(tmp_path, server.base_url)) == 0
    out = tmp_path / "out"
    texts = list(out.iterdir())
    printed, said = capsys.readouterr()

    assert said == ""
    assert f"{out}: {len(texts)} blocks\n" in printed
    assert f"for file in {out}/*.om; do promtool tsdb create-blocks-from openmetrics" in printed
    assert '--max-block-duration=18h "$file" BLOCKS' in printed
    assert all(path.read_bytes().endswith(b"# EOF\n") for path in texts)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        pytest.param(["--end", "4000000000"], ConfigError, "hq: --end is later than", id="end"),
        pytest.param(["--config.file", "x.yml"], ConfigError, r"x\.yml", id="configuration"),
        pytest.param(
            ["--pbx", "branch"],
            ConfigError,
            "--pbx: no PBX of the configuration has that name; it has ",
            id="pbx",
        ),
        pytest.param(["--output", "/dev/null"], ExporterError, "not a directory", id="folder"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    tmp_path: Path, arguments: list[str], error: type[ExporterError], said: str
) -> None:
    with pytest.raises(error, match=said) as refused:
        run(configured(tmp_path), *arguments)

    assert "\n" not in str(refused.value)
