"""What `check` and `run` look at beside the file: both with the same words."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cdr_exporter import cli, config
from cdr_exporter.commands import check, preflight
from cdr_exporter.commands.exporter import Exporter
from cdr_exporter.errors import ConfigError
from cdr_exporter.state_files import file_system_of
from cdr_exporter.web import ListenAddress

from ..support.socket_server import certificate

UNSET = "CDR_EXPORTER_TEST_UNSET"


def written(directory: Path, more: str = "client_secret: y", top: str = "") -> Path:
    path = directory / "exporter.yml"
    path.write_text(
        f"{top}pbxs:\n  - {{name: hq, base_url: 'https://127.0.0.1:1', client_id: x, {more}}}\n"
    )
    return path


def said_by_both(path: Path) -> str:
    """Return what `check` and `run` refuse *path* with; `run` waits for a secret to be there."""
    with pytest.raises(ConfigError) as checked:
        check.check_config(path, connect=False)
    said = str(checked.value)
    if "secret" in said:
        exporter = Exporter(config.load(path), [ListenAddress("127.0.0.1", 0)], threading.Event())
        exporter.start()
        exporter.stop()
    else:
        with pytest.raises(ConfigError) as run:
            Exporter(config.load(path), [ListenAddress("127.0.0.1", 0)], threading.Event())
        assert str(run.value) == said
    return said


def nothing(_: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("more", "prepare", "said"),
    [
        pytest.param(
            "client_secret: y, tls: {ca_file: it}",
            nothing,
            "pbx hq: tls.ca_file {it}: no such file or directory",
            id="no-ca-file",
        ),
        pytest.param(
            "client_secret: y, tls: {ca_file: it}",
            lambda it: it.write_text("not PEM"),
            "pbx hq: tls.ca_file {it}: no certificate in pem form in it",
            id="no-certificate",
        ),
        pytest.param(
            "client_secret_file: it",
            nothing,
            "pbx hq: client_secret_file {it}: no such file or directory",
            id="no-secret-file",
        ),
        pytest.param(
            "client_secret_file: it",
            Path.mkdir,
            "pbx hq: client_secret_file {it}: is a directory",
            id="secret-directory",
        ),
        pytest.param(
            "client_secret_file: it",
            lambda it: it.write_text("\n"),
            "pbx hq: client_secret_file {it} is empty or not set; copy it from the PBX, "
            "Integrations > API",
            id="empty-secret",
        ),
        pytest.param(
            f"client_secret_env: {UNSET}",
            nothing,
            f"pbx hq: client_secret_env {UNSET} is empty or not set; copy it from the PBX, "
            "Integrations > API",
            id="no-variable",
        ),
    ],
)
def test_what_is_missing_is_said_with_its_pbx_and_its_name(
    more: str, prepare: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    prepare(tmp_path / "it")

    assert said_by_both(written(tmp_path, more)) == said.format(it=tmp_path / "it")


FIX_MODE = "; make it writable for this user, or name another"


def closed(state: Path) -> None:
    state.mkdir()
    state.chmod(0o500)


def lock_of_another(state: Path) -> None:
    state.mkdir()
    (state / "hq.lock").touch()
    (state / "hq.lock").chmod(0)


def planted_lock(state: Path) -> None:
    state.mkdir()
    (state / "hq.lock").symlink_to(state.parent / "precious")


def pipe_for_a_lock(state: Path) -> None:
    state.mkdir()
    os.mkfifo(state / "hq.lock")


@pytest.mark.fault("E4")
@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        pytest.param(
            closed, f"{{state}} cannot be used (permission denied){FIX_MODE}", id="closed"
        ),
        pytest.param(
            lambda it: it.parent.chmod(0o500),
            f"{{state}} cannot be used (permission denied){FIX_MODE}",
            id="cannot-be-made",
        ),
        pytest.param(
            Path.touch, f"{{state}} cannot be used (not a directory){FIX_MODE}", id="a-file"
        ),
        pytest.param(
            lambda it: it.symlink_to(it.parent / "nowhere"),
            f"{{state}} cannot be used (not a directory){FIX_MODE}",
            id="a-link-to-nothing",
        ),
        pytest.param(
            lambda it: it.symlink_to(it),
            f"{{state}} cannot be used (not a directory){FIX_MODE}",
            id="a-link-to-itself",
        ),
        pytest.param(
            lock_of_another,
            f"{{state}} cannot be used (permission denied){FIX_MODE}",
            id="a-lock-of-another-user",
        ),
        pytest.param(
            planted_lock,
            "{state}/hq.lock cannot be used (it is a symbolic link, and none is followed); "
            "remove it, or put the file itself there",
            id="a-planted-lock",
        ),
        pytest.param(
            pipe_for_a_lock,
            "{state}/hq.lock cannot be used (it is no regular file); remove it",
            id="a-pipe-for-a-lock",
        ),
    ],
)
def test_a_state_dir_that_cannot_be_used_is_refused_by_both(
    prepare: Callable[[Path], object], said: str, mortal: Path
) -> None:
    path = written(mortal)
    prepare(mortal / "state")

    assert said_by_both(path) == "state_dir: " + said.format(state=mortal / "state")


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "client_secret_file: it, tls: {ca_file: ca}",
        top="state_dir: exporter.yml/state\n",
    )
    path.write_text(
        path.read_text()
        + path.read_text()
        .splitlines()[-1]
        .replace("hq", "branch")
        .replace("client_id: x", "client_id: y")
    )
    with pytest.raises(ConfigError) as caught:
        check.check_config(path, connect=False)

    assert [line.partition(f" {tmp_path}")[0] for line in str(caught.value).split("\n")] == [
        "pbx hq: tls.ca_file",
        "pbx hq: client_secret_file",
        "pbx branch: tls.ca_file",
        "pbx branch: client_secret_file",
        "state_dir:",
    ]


def test_a_state_dir_below_a_file_is_unusable(tmp_path: Path) -> None:
    said = said_by_both(written(tmp_path, top="state_dir: exporter.yml/state\n"))

    assert said == (
        f"state_dir: {tmp_path}/exporter.yml/state cannot be used (not a directory){FIX_MODE}"
    )


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file system have no locks."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


NO_LOCKS = "has no locks); put state_dir on a local disk"


@pytest.mark.fault("E19")
@pytest.mark.usefixtures("without_locks")
@pytest.mark.parametrize("exists", [True, False], ids=["itself", "above"])
def test_a_file_system_without_locks_is_said_by_its_name(exists: bool, tmp_path: Path) -> None:
    if exists:
        (tmp_path / "state").mkdir(0o700)
    kind = file_system_of(tmp_path)

    assert said_by_both(written(tmp_path)) == (
        f"state_dir: {tmp_path}/state cannot be used (its file system, {kind}, {NO_LOCKS}"
    )


@pytest.mark.fault("E19")
@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_check_of_the_pbxs_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["check", "--connect", "--config.file", str(written(tmp_path))])
    said = capsys.readouterr().err

    assert code == 2
    assert said.count("\n") == 1
    assert NO_LOCKS in said


def test_a_state_dir_may_be_a_link_to_a_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir(0o700)
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")

    assert check.check_config(written(tmp_path), connect=False) == 0
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_secret_in_the_place_of_its_file_is_not_shown(tmp_path: Path) -> None:
    pasted = "X5ZBNXuvMYZ0wlgl8gvnXuvMYZ0wlgl8"

    for key in ("client_secret_file", "client_secret_env"):
        said = said_by_both(written(tmp_path, f"{key}: {pasted}"))

        assert key in said
        assert pasted not in said


def test_a_check_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, top="state_dir: deep/er/state\n")

    assert check.check_config(path, connect=False) == 0
    assert capsys.readouterr().out == f"{path}: valid, 1 PBX\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_ca_file_that_is_pem_is_valid(tmp_path: Path) -> None:
    certificate(tmp_path, "ca")

    assert (
        check.check_config(
            written(tmp_path, "client_secret: y, tls: {ca_file: ca.pem}"), connect=False
        )
        == 0
    )


@pytest.mark.parametrize(
    ("mode", "warned"), [(0o755, True), (0o701, True), (0o750, False), (0o700, False)]
)
def test_a_state_dir_open_to_others_is_warned_of_and_left_so(
    mode: int, warned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    check.check_config(written(tmp_path), connect=False)
    said = capsys.readouterr().err.count(f"is open to other users (mode {mode:03o}); chmod 700 it")

    assert said == warned
    assert stat.S_IMODE(state.stat().st_mode) == mode


def test_a_state_dir_that_is_not_there_yet_is_not_warned_of(tmp_path: Path) -> None:
    assert preflight.warnings(config.load(written(tmp_path))) == []
