from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cdr_exporter.cdr.error_codes import BLOCKED_REASONS, ERROR_CODES, KNOWN_ERRCODES
from cdr_exporter.errors import TryAgain
from cdr_exporter.pbx import Cancelled, FileDocuments, token_rules
from cdr_exporter.pbx.token_document import TokenDocument
from cdr_exporter.pbx.token_rules import ImposedWait, Token, TokenState
from cdr_exporter.secret import Secret

NOW = 1_700_000_000.0
MINUTE, HOUR = 60.0, 3600.0
GOOD = "64er0dvpIUiXhZEetXfvqaEj4XIY2rLj"


def token_state(**known: object) -> TokenState:
    return TokenState(account="a", **known)  # type: ignore[arg-type]


def reply_body(**fields: object) -> bytes:
    return json.dumps({"errcode": 0, "access_token": GOOD, **fields}).encode()


# --- how many logins may work


def after_logins(times: int, every: float = MINUTE) -> TokenState:
    answer = token_rules.read_reply(reply_body(), NOW)
    assert answer is not None
    assert answer.tokens is not None
    state = token_state()
    for number in range(times):
        state = token_rules.record_login(state, answer.tokens, "secret", NOW + number * every)
    return state


@pytest.mark.fault("A14")
@pytest.mark.parametrize(
    ("times", "wait"), [(1, 0), (4, 0), (5, 1800), (6, 1860), (99, 94 * 60 + 1800)]
)
def test_five_logins_may_succeed_within_half_an_hour(times: int, wait: float) -> None:
    assert max(0.0, token_rules.next_login(after_logins(times)) - NOW) == wait


def test_a_token_that_was_given_back_counts_as_no_login() -> None:
    state = token_rules.record_revocation(after_logins(5))

    assert (state.access, state.refresh) == (None, None)
    assert token_rules.next_login(state) == 0


# --- the lifetime of a token


@pytest.mark.parametrize(
    ("age", "is_fresh"), [(0, True), (1439, True), (1440, False), (1800, False), (-HOUR, True)]
)
def test_a_token_is_used_for_80_percent_of_its_life(age: float, is_fresh: bool) -> None:
    known = token_state(access=Token(Secret(GOOD), NOW, NOW + 1800))

    assert (token_rules.usable_token(known, NOW + age) is not None) is is_fresh


@pytest.mark.fault("A12")
@pytest.mark.parametrize(
    ("life", "seconds"),
    [
        pytest.param(1800, 1800, id="usual"),
        pytest.param("900", 900, id="digits"),
        pytest.param(0, 60, id="zero"),
        pytest.param(-1, 60, id="negative"),
        pytest.param(10**12, 24 * HOUR, id="1e12"),
        pytest.param(10**400, 24 * HOUR, id="1e400"),
        pytest.param(900.0, 900, id="float"),
        pytest.param(900.5, 900.5, id="fraction"),
        pytest.param(math.nan, 1800, id="NaN"),
        pytest.param(math.inf, 1800, id="Infinity"),
        pytest.param("9" * 400, 24 * HOUR, id="many_digits"),
        pytest.param("soon", 1800, id="text"),
        pytest.param(None, 1800, id="null"),
        pytest.param(True, 1800, id="bool"),
        pytest.param([1], 1800, id="list"),
    ],
)
def test_an_absurd_lifetime_of_a_token_is_brought_within_bounds(
    life: object, seconds: float
) -> None:
    answer = token_rules.read_reply(reply_body(access_token_expire_time=life), NOW)

    assert answer is not None
    assert answer.tokens is not None
    assert answer.tokens.access.expires_at - NOW == seconds


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 5000,
        b'{"access_token": "0123456789"}',
        b'{"errcode": "0"}',
        b'{"errcode": true}',
        b'{"errcode": null}',
        b"<html>",
    ],
)
def test_an_answer_without_errcode_is_garbled(body: bytes) -> None:
    assert token_rules.read_reply(body, NOW) is None


@pytest.mark.fault("C3", "C22")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\xef\xbb\xbf" + reply_body(), id="a byte order mark"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbf\r\n" + reply_body(), id="two of them"),
        pytest.param(reply_body(errmsg="x").replace(b"x", b"\t\x01"), id="raw control bytes"),
        pytest.param(reply_body(errmsg="x").replace(b"x", rb"\'"), id="a bad escape"),
        pytest.param(reply_body(errmsg="x").replace(b"x", b"\xff"), id="invalid UTF-8"),
        pytest.param(reply_body().replace(b": 0", b": 0.0"), id="numbers with a fraction of 0"),
        pytest.param(reply_body(more={"a": [1, {}]}), id="more fields"),
    ],
)
def test_an_answer_with_tokens_may_be_as_odd_as_one_with_rows(body: bytes) -> None:
    answer = token_rules.read_reply(body, NOW)

    assert answer is not None
    assert answer.tokens is not None
    assert answer.tokens.access.value == Secret(GOOD)


@pytest.mark.parametrize("token", ["x" * 512, "a.b-c_d~" * 64])
def test_a_token_is_never_cut(token: str) -> None:
    answer = token_rules.read_reply(reply_body(access_token=token, refresh_token=token * 8), NOW)

    assert answer is not None
    assert answer.tokens is not None
    assert answer.tokens.refresh is not None
    assert answer.tokens.access.value.reveal() == token
    assert answer.tokens.refresh.value.reveal() == token * 8


@pytest.mark.fault("A13")
@pytest.mark.parametrize(
    "token",
    ["", "short", "x" * 513, "a b c d e f", "abcdefg&x=1", "abcdefgh\n", "ünïcödé8", 7, None],
)
def test_a_token_of_an_unusable_form_is_not_taken(token: object) -> None:
    answer = token_rules.read_reply(reply_body(access_token=token), NOW)

    assert answer is not None
    assert answer.tokens is None


# --- imposed waits and clocks


def test_a_wait_doubles_up_to_its_longest_when_the_same_answer_comes_again() -> None:
    state, waits = token_state(), []
    for _ in range(5):
        state = token_rules.record_wait(state, 70087, NOW)
        assert state.imposed_wait is not None
        waits.append(state.imposed_wait.wait / MINUTE)

    assert waits == [15, 30, 60, 120, 120]


def test_another_answer_starts_with_its_own_wait() -> None:
    state = token_rules.record_wait(token_rules.record_wait(token_state(), 70087, NOW), 60002, NOW)

    assert state.imposed_wait == ImposedWait(60002, 5 * MINUTE, NOW + 5 * MINUTE)


@pytest.mark.fault("E14")
def test_a_clock_that_was_ahead_does_not_hold_us_for_years() -> None:
    future = NOW + 10 * 365 * 24 * HOUR
    mended = token_rules.clamp_to_now(
        token_rules.record_wait(token_state(logins=(future,)), 70004, future), NOW
    )

    assert mended.imposed_wait == ImposedWait(70004, HOUR, NOW + HOUR)
    assert mended.logins == (NOW,)
    assert token_rules.clamp_to_now(mended, NOW) == mended


# --- the table of error codes


def test_every_reason_for_being_blocked_is_in_the_closed_set() -> None:
    blocked = {reaction.blocked for reaction in ERROR_CODES.values() if reaction.blocked}

    assert blocked | {"credentials"} == set(BLOCKED_REASONS)
    assert set(KNOWN_ERRCODES) == set(ERROR_CODES)


@pytest.mark.parametrize("errcode", [10006, 10013, 20002])
def test_error_codes_of_other_products_are_not_in_the_table(errcode: int) -> None:
    assert errcode not in ERROR_CODES


# --- the token file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hq.token"


def file(path: Path, account: str = "a") -> TokenDocument:
    return TokenDocument(FileDocuments(path.parent), path.name, account)


def everything() -> TokenState:
    return TokenState(
        account="a",
        access=Token(Secret(GOOD), NOW, NOW + 1800, worked=True),
        refresh=Token(Secret("refresh"), NOW, NOW + 86400),
        proven="digest",
        imposed_wait=ImposedWait(70004, 3600, NOW + 3600),
        logins=(NOW - 60,),
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_read_again(path: Path) -> None:
    file(path).write(everything())

    assert file(path).read(NOW) == everything()


def test_the_names_in_the_file_stay_as_they_are(path: Path) -> None:
    file(path).write(everything())

    written = json.loads(path.read_bytes())

    assert [*written] == [
        "version",
        "account",
        "access",
        "refresh",
        "proven",
        "imposed_wait",
        "logins",
    ]
    assert [*written["access"]] == ["value", "issued_at", "expires_at", "worked"]


@pytest.mark.fault("G4")
def test_the_file_is_private_whatever_the_umask(path: Path) -> None:
    old = os.umask(0)
    try:
        file(path).write(token_state())
        path.with_name("hq.token.new").touch(0o666)
        file(path).write(token_state())
    finally:
        os.umask(old)

    assert mode(path) == 0o600
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["hq.token"]


@pytest.mark.fault("G4")
def test_a_file_that_others_can_read_is_made_private_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file(path).write(everything())
    path.chmod(0o644)

    assert file(path).read(NOW) == everything()
    assert mode(path) == 0o600
    assert "mode reset to 0600" in caplog.text


def test_without_a_file_the_state_is_empty(path: Path) -> None:
    assert file(path).read(NOW) == TokenState(account="a")
    assert not path.exists()


def test_the_state_of_another_account_is_not_used(path: Path) -> None:
    file(path).write(everything())

    assert file(path, "b").read(NOW) == TokenState(account="b")


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"version": 2}', b"\x00" * 512])
def test_a_damaged_file_is_as_none(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(content)

    assert file(path).read(NOW) == TokenState(account="a")
    assert caplog.text.count("damaged") == 1
    # Written at once: else each read would say so again.
    assert file(path).read(NOW) == TokenState(account="a")
    assert caplog.text.count("damaged") == 1


def test_a_file_cut_anywhere_counts_as_damaged_and_raises_nothing(path: Path) -> None:
    file(path).write(everything())
    content = path.read_bytes()
    for cut in range(0, len(content), 9):
        path.write_bytes(content[:cut])

        assert file(path).read(NOW) == TokenState(account="a")


def test_a_file_that_cannot_be_read_has_the_reason_state(path: Path) -> None:
    path.mkdir()

    with pytest.raises(TryAgain, match="token file") as caught:
        file(path).read(NOW)

    assert caught.value.reason == "state"


@pytest.mark.parametrize("closed", ["hq.token", "hq.token.lock"])
def test_the_error_for_a_file_of_another_user_names_the_remedy(
    closed: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed_path = path.with_name(closed)

    def refused(*_: object, **__: object) -> object:
        raise PermissionError(errno.EACCES, "Permission denied", str(closed_path))

    # Not by the file's mode: the tests may run as root, who can open any file.
    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(os, "open", refused)
    locked = file(path).locked(60, 1, threading.Event())
    with pytest.raises(TryAgain) as caught:
        _ = file(path).read(NOW) if closed == path.name else locked.__enter__()

    assert str(caught.value).startswith(f"token file {closed_path}: permission denied; ")
    assert "make the exporter's user its owner with chown" in str(caught.value)


@pytest.mark.fault("E20")
def test_a_planted_link_is_not_written_through(path: Path) -> None:
    target = path.with_name("precious")
    target.write_text("kept")
    path.with_name("hq.token.new").symlink_to(target)
    file(path).write(everything())

    assert target.read_text() == "kept"
    assert not path.is_symlink()
    assert file(path).read(NOW) == everything()


@pytest.mark.fault("E20")
@pytest.mark.parametrize("planted", ["hq.token", "hq.token.lock"])
def test_a_link_in_the_place_of_the_file_is_an_error_that_names_it(
    path: Path, planted: str
) -> None:
    path.with_name(planted).symlink_to(path.with_name("precious"))
    named = pytest.raises(TryAgain, match=rf"{planted}: it is a symbolic link")
    with named as caught, file(path).locked(60, 1, threading.Event()):
        file(path).read(NOW)

    assert caught.value.reason == "state"
    assert not path.with_name("precious").exists()


@pytest.mark.fault("E19")
def test_a_file_system_without_locks_is_an_error_with_its_remedy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    named = pytest.raises(TryAgain, match="has no locks; put state_dir on a local disk")
    with named as caught, file(path).locked(60, 1, threading.Event()):
        pass

    assert caught.value.reason == "state"


def test_a_file_that_cannot_be_written_has_the_reason_state(tmp_path: Path) -> None:
    missing = file(tmp_path / "missing" / "hq.token")
    with pytest.raises(TryAgain, match="no such file") as caught:
        missing.write(token_state())

    assert caught.value.reason == "state"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


KEEP_LOCKED = """
import pathlib, sys, threading
from cdr_exporter.pbx import FileDocuments
from cdr_exporter.pbx.token_document import TokenDocument
path = pathlib.Path(sys.argv[1])
document = TokenDocument(FileDocuments(path.parent), path.name, "a")
with document.locked(60, 5, threading.Event()):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_the_lock_keeps_another_process_out_until_it_dies(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KEEP_LOCKED, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with (
            pytest.raises(TryAgain, match="another process"),
            file(path).locked(60, 0.0, threading.Event()),
        ):
            pytest.fail("the lock was given twice")
        other.kill()
    with file(path).locked(60, 0.0, threading.Event()):
        pass


def test_waiting_for_the_lock_can_be_cancelled(path: Path) -> None:
    stopped = threading.Event()
    stopped.set()
    with (
        file(path).locked(60, 0.0, threading.Event()),
        pytest.raises(Cancelled),
        file(path).locked(60, 60.0, stopped),
    ):
        pytest.fail("the lock was given twice")


def test_printing_the_state_shows_no_token() -> None:
    assert GOOD not in repr(everything())
    assert GOOD not in str(token_rules.read_reply(reply_body(refresh_token=GOOD), NOW))
