"""Where the client secret comes from: whatever is there, it is read soon, or refused in words."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter import small_files
from cdr_exporter.errors import WaitLong
from cdr_exporter.pbx.credentials import read_secret
from cdr_exporter.secret import Secret
from cdr_exporter.settings import SecretSource

GOOD = "X5ZBNXuvMYZ0wlgl"


def refusal(source: SecretSource) -> str:
    with pytest.raises(WaitLong) as caught:
        read_secret(source)
    assert (caught.value.reason, caught.value.blocked) == ("auth", "credentials")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    return str(caught.value)


AROUND = {
    "nothing": GOOD.encode(),
    "line end": f"{GOOD}\n".encode(),
    "two line ends": f"{GOOD}\r\n\r\n".encode(),
    "line end first": f"\n{GOOD}".encode(),
    "blanks": f"  {GOOD}\t ".encode(),
    "byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "all of them": b"\xef\xbb\xbf \r\n" + GOOD.encode() + " \u00a0\u200b\u2028\r\n".encode(),
}


@pytest.mark.fault("A11")
@pytest.mark.parametrize("content", AROUND.values(), ids=AROUND)
def test_what_an_editor_puts_around_a_secret_is_left_out(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)

    assert read_secret(SecretSource(file=tmp_path / "secret")) == Secret(GOOD)


NO_SECRETS = {
    "nothing": (b"", "is empty"),
    "blanks": (b" \r\n\t", "is empty"),
    "a mark alone": (b"\xef\xbb\xbf\n", "is empty"),
    "two lines": (f"{GOOD}\n{GOOD}".encode(), "holds a blank, a line end"),
    "a label": (f"Client Secret: {GOOD}".encode(), "holds a blank"),
    "a NUL": (f"{GOOD}\0".encode(), "another sign"),
    "an escape": (f"{GOOD}\x1b[0m".encode(), "another sign"),
    "a typographic dash": (f"{GOOD}\u2011{GOOD}".encode(), "another sign"),
    "a letter that is not ASCII": ("schlüssel".encode(), "another sign"),
    "UTF-16": (b"\xff\xfe" + GOOD.encode("utf-16-le"), "not UTF-8 text"),
    "257 characters": (b"x" * 257, "is longer than 256 characters"),
    "a book": (b"x" * 1_000_000, "is longer than 4096 bytes"),
}


@pytest.mark.fault("A11")
@pytest.mark.parametrize(("content", "said"), NO_SECRETS.values(), ids=NO_SECRETS)
def test_a_file_that_cannot_be_right_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    error = refusal(SecretSource(file=path))

    assert error.startswith(f"client_secret_file {path}")
    assert said in error
    assert GOOD not in error


@given(st.text() | st.binary().map(os.fsdecode))
def test_no_variable_is_read_as_more_than_visible_ascii(text: str) -> None:
    try:
        secret = read_secret(SecretSource(value=Secret(text))).reveal()
    except WaitLong:
        return

    assert secret in text
    assert secret.isascii()
    assert secret.isprintable()
    assert " " not in secret


@pytest.mark.parametrize("value", [GOOD, f" {GOOD}\r\n", f"\ufeff{GOOD}"])
def test_a_variable_is_read_as_a_file_is(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HQ_SECRET", value)

    assert read_secret(SecretSource(env="HQ_SECRET")) == Secret(GOOD)


def test_a_variable_that_cannot_be_right_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HQ_SECRET", "schl\udcffssel")

    assert "client_secret_env HQ_SECRET holds" in refusal(SecretSource(env="HQ_SECRET"))


ODD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "is a pipe"),
    "a directory": (Path.mkdir, "is a directory"),
    "an endless device": (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    "a silent device": (lambda path: path.symlink_to("/dev/tty"), ""),
    "nothing": (lambda path: None, "no such file"),
    "a loop of links": (lambda path: path.symlink_to(path), "symbolic links"),
}


def open_files() -> int:
    """Return how many files this process has open; 0 where the system does not tell."""
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.exists() else 0


@pytest.mark.fault("A11")
@pytest.mark.parametrize(("make", "said"), ODD_FILES.values(), ids=ODD_FILES)
def test_what_is_no_regular_file_is_refused_at_once(
    make: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    make(path)
    before = open_files()
    started = time.monotonic()
    error = refusal(SecretSource(file=path))

    assert time.monotonic() - started < 1
    assert str(path) in error
    assert said in error
    assert open_files() <= before


@pytest.mark.fault("A11")
def test_a_file_system_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def open_at_the_end(*_: object) -> int:
        over.wait(60)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "open", open_at_the_end)
    monkeypatch.setattr(small_files, "_READ_SECONDS", 0.1)
    started = time.monotonic()
    try:
        error = refusal(SecretSource(file=tmp_path / "secret"))
    finally:
        over.set()

    assert "its file system did not answer" in error
    assert time.monotonic() - started < 4


def test_a_link_to_a_secret_is_followed(tmp_path: Path) -> None:
    """Kubernetes and systemd put secrets behind links."""
    (tmp_path / "of-today").write_text(GOOD)
    (tmp_path / "secret").symlink_to("of-today")

    assert read_secret(SecretSource(file=tmp_path / "secret")) == Secret(GOOD)
