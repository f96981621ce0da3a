"""What `run` says when it starts."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from cdr_exporter import cli, logs
from cdr_exporter.commands.run import MOST_NAMED, check_advertise_address, what_starts
from cdr_exporter.config import parse
from cdr_exporter.errors import ConfigError
from cdr_exporter.settings import Settings
from cdr_exporter.web import ListenAddress

from ..support.socket_server import closed_port

HERE = [ListenAddress("", 10088), ListenAddress("::1", 9000)]


def started(
    number: int, external_url: str | None = None, kept: str = "state_dir: /kept"
) -> dict[str, str]:
    """Return what is said of so many PBXs."""
    pbxs = "".join(
        f"  - {{name: pbx{each}, base_url: 'https://192.0.2.{each % 256}:8088', client_id: x{each},"
        " client_secret: canary}\n"
        for each in range(number)
    )
    settings = parse(f"{kept}\npbxs:\n{pbxs}", "exporter.yml", Path("/"))
    return {key: str(each) for key, each in what_starts(settings, HERE, external_url).items()}


def test_the_start_says_where_to_look_and_what_is_polled() -> None:
    said = started(2)

    assert said["addresses"] == ":10088 [::1]:9000"
    assert said["open"] == "http://127.0.0.1:10088/"
    assert said["polled"] == "pbx0=https://192.0.2.0:8088 pbx1=https://192.0.2.1:8088"
    assert (said["pbxs"], said["state_dir"]) == ("2", "/kept")
    assert "canary" not in str(said)


def test_where_it_is_reached_from_elsewhere_is_said_instead() -> None:
    assert started(1, "https://cdr.example.org/")["open"] == "https://cdr.example.org/"


def test_where_state_is_kept_is_said() -> None:
    assert started(1)["state_dir"] == "/kept"
    assert started(1, kept="state_url_file: /run/url")["state_url_file"] == "/run/url"
    assert "state_dir" not in started(1, kept="state_url_file: /run/url")


def settings_with(kept: str) -> Settings:
    entry = "{name: hq, base_url: 'https://192.0.2.1', client_id: x, client_secret: canary}"
    return parse(f"{kept}\npbxs: [{entry}]", "exporter.yml", Path("/"))


@pytest.mark.parametrize(
    ("kept", "address", "said"),
    [
        pytest.param("", None, None, id="files, and none"),
        pytest.param("state_url_file: a", "replica-0:10088", None, id="database, and a name"),
        pytest.param("state_url_file: a", "192.0.2.7:10088", None, id="database, and a number"),
        pytest.param("state_url_file: a", "[2001:db8::7]:10088", None, id="database, and IPv6"),
        pytest.param("", "replica-0:10088", "is for replicas, with state_url_file", id="files"),
        pytest.param("state_url_file: a", None, "is missing; with state_url_file", id="none"),
        pytest.param("state_url_file: a", "replica-0", "not of the form", id="no port"),
        pytest.param("state_url_file: a", ":10088", "not of the form", id="no host"),
        pytest.param("state_url_file: a", "0.0.0.0:10088", "not of the form", id="any address"),
        pytest.param("state_url_file: a", "[::]:10088", "not of the form", id="any of IPv6"),
        pytest.param("state_url_file: a", "replica-0:0", "not of the form", id="port 0"),
        pytest.param("state_url_file: a", "http://replica-0:1", "not of the form", id="a URL"),
        pytest.param("state_url_file: a", "2001:db8::7:10088", "not of the form", id="bare IPv6"),
        pytest.param("state_url_file: a", "me:secret@replica-0:1", "not of the form", id="login"),
    ],
)
def test_a_replica_says_where_it_is_reached(
    kept: str, address: str | None, said: str | None
) -> None:
    if said is None:
        check_advertise_address(settings_with(kept), address)
        return
    with pytest.raises(ConfigError, match=rf"^--web\.advertise-address: {said}") as caught:
        check_advertise_address(settings_with(kept), address)
    assert "secret" not in str(caught.value)


def test_a_replica_that_is_not_told_where_it_is_reached_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text(
        "state_url_file: url\n"
        "pbxs: [{name: hq, base_url: 'https://192.0.2.1', client_id: x, client_secret: y}]\n"
    )

    assert cli.main(["--config.file", str(path)]) == 2
    assert "--web.advertise-address: is missing" in capsys.readouterr().err


def test_of_many_pbxs_the_start_names_a_few() -> None:
    said = started(1000)

    assert said["pbxs"] == "1000"
    assert said["polled"].count("=") == MOST_NAMED
    assert said["polled"].endswith(f" and {1000 - MOST_NAMED} more")
    assert len(said["polled"]) <= logs.MAX_VALUE


def test_the_start_is_one_line_of_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exporter.yml"
    url = f"http://127.0.0.1:{closed_port()}"
    path.write_text(
        f"pbxs:\n  - {{name: hq, base_url: '{url}', client_id: x, client_secret: canary}}\n"
    )
    args = cli._parse(["--config.file", str(path), "--web.listen-address", "127.0.0.1:0"])
    stop = threading.Event()
    stop.set()

    assert args.command.run(args, stop) == 0
    [line] = [each for each in capsys.readouterr().err.splitlines() if "msg=listening" in each]
    assert re.search(rf"addresses=(\S+) open=http://\1/ pbxs=1 polled=\"hq={url}\"", line)
    assert f"config={path}" in line
