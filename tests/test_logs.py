"""Logging: each event is one line, whatever it contains."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cdr_exporter import logs

CANARY = "CANARYs3cr3tQx7vR2mZ9kL4wP8"
VERBOSE_LIBRARIES = ("urllib3", "requests", "asyncio")

log = logging.getLogger("cdr_exporter.test")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, *VERBOSE_LIBRARIES)]
    levels = [logger.level for logger in loggers]
    handlers = loggers[0].handlers[:]
    yield
    logging.captureWarnings(False)
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def lines(write: Callable[[], None], format: str = "logfmt", level: str = "debug") -> list[str]:
    stream = io.StringIO()
    logs.setup(level, format, stream)
    write()
    return stream.getvalue().split("\n")[:-1]


def line(write: Callable[[], None], format: str = "logfmt") -> str:
    (written,) = lines(write, format)
    return written


def logfmt(written: str) -> dict[str, str]:
    """Read a line as logfmt's readers do; a quoted value is a JSON string."""
    pairs = re.findall(r'([^\s="]+)=("(?:\\.|[^"\\])*"|[^\s"]*)(?: |$)', written)
    assert " ".join(f"{key}={value}" for key, value in pairs) == written
    return {key: json.loads(value) if value[:1] == '"' else value for key, value in pairs}


READERS = [pytest.param("logfmt", logfmt, id="logfmt"), pytest.param("json", json.loads, id="json")]


def said(message: str, **fields: object) -> Callable[[], None]:
    return lambda: log.info("%s", message, extra={"fields": fields})


def failed(error: BaseException) -> Callable[[], None]:
    def write() -> None:
        try:
            raise error
        except type(error):
            log.exception("poll failed", extra={"fields": {"pbx": "hq"}})

    return write


def test_a_logfmt_line_reads_like_prometheus_own() -> None:
    record = logging.makeLogRecord(
        {
            "created": 1795420800.1239,
            "levelno": logging.INFO,
            "name": "cdr_exporter.poller.poller",
            "msg": "page %d counted",
            "args": (3,),
            "fields": {
                "pbx": "hq",
                "rows": 20,
                "seconds": 0.5,
                "all": True,
                "next": None,
                "by": "",
            },
        }
    )

    def write() -> None:
        logging.getLogger().handle(record)

    assert line(write) == (
        "ts=2026-11-23T08:00:00.123Z level=info logger=cdr_exporter.poller.poller "
        'msg="page 3 counted" pbx=hq rows=20 seconds=0.5 all=true next=null by=""'
    )
    assert json.loads(line(write, "json")) == {
        "ts": "2026-11-23T08:00:00.123Z",
        "level": "info",
        "logger": "cdr_exporter.poller.poller",
        "msg": "page 3 counted",
        "pbx": "hq",
        "rows": 20,
        "seconds": 0.5,
        "all": True,
        "next": None,
        "by": "",
    }


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warn", "error", "error"]),
        ("info", ["info", "warn", "error", "error"]),
        ("warn", ["warn", "error", "error"]),
        ("error", ["error", "error"]),
    ],
)
def test_a_level_lets_through_events_that_are_at_least_as_severe(
    level: str, expected: list[str]
) -> None:
    def write() -> None:
        for grave in (log.debug, log.info, log.warning, log.error, log.critical):
            grave("x")

    assert [logfmt(written)["level"] for written in lines(write, level=level)] == expected


@pytest.mark.parametrize("setting", [("loud", "logfmt"), ("info", "xml")])
def test_unknown_settings_are_not_guessed(setting: tuple[str, str]) -> None:
    with pytest.raises(KeyError):
        logs.setup(*setting, io.StringIO())


def test_setting_up_again_replaces_the_first_time() -> None:
    first = io.StringIO()
    logs.setup("info", "logfmt", first)

    assert len(lines(lambda: log.info("x"))) == 1
    assert first.getvalue() == ""


@pytest.mark.fault("G3")
@pytest.mark.parametrize("name", VERBOSE_LIBRARIES)
@pytest.mark.parametrize("level", ["debug", "info"])
def test_libraries_that_log_urls_are_kept_quiet(name: str, level: str) -> None:
    library = logging.getLogger(f"{name}.connectionpool")

    def write() -> None:
        library.debug("GET /cdr/list")
        library.info("GET /cdr/list")
        library.warning("trouble")

    assert [logfmt(written)["msg"] for written in lines(write, level=level)] == ["trouble"]


@pytest.mark.parametrize("name", VERBOSE_LIBRARIES)
def test_libraries_keep_to_the_level_that_was_set(name: str) -> None:
    assert lines(lambda: logging.getLogger(name).warning("trouble"), level="error") == []


def test_pythons_warnings_are_log_lines_too() -> None:
    def write() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("certificate\nnot checked", UserWarning, stacklevel=1)

    written = logfmt(line(write))

    assert (written["level"], written["logger"]) == ("warn", "py.warnings")
    assert "certificate\nnot checked" in written["msg"]


HOSTILE = [
    pytest.param("two\nlines", id="line_break"),
    pytest.param("over\rwritten", id="carriage_return"),
    pytest.param("\x1b[2J\x1b]0;title\x07", id="terminal_escape"),
    pytest.param("\x9b31m", id="c1_control"),
    pytest.param("\x7f\x00", id="delete_and_nul"),
    pytest.param("a\u2028b\u2029c\x85d", id="unicode_line_breaks"),
    pytest.param("\u202eright to left", id="bidi_override"),
    pytest.param("lone \ud800 surrogate", id="surrogate"),
    pytest.param('x" level=error msg="forged', id="quotes"),
    pytest.param("x level=error", id="space_and_key"),
    pytest.param('\\" pbx=other', id="backslash_and_quote"),
    pytest.param("=", id="equals_sign"),
    pytest.param("Büro ☎ 🙂", id="not_ascii"),
]


@pytest.mark.fault("F9")
@pytest.mark.parametrize(("format", "read"), READERS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_value_breaks_its_line_or_forges_a_field(
    hostile: str, format: str, read: Callable[[str], dict[str, str]]
) -> None:
    written = line(said(hostile, pbx=hostile), format)

    assert written.isascii()
    assert written.isprintable()
    fields = read(written)
    assert list(fields) == ["ts", "level", "logger", "msg", "pbx"]
    assert (fields["level"], fields["msg"], fields["pbx"]) == ("info", hostile, hostile)


@pytest.mark.parametrize(("format", "read"), READERS)
@given(message=st.text(max_size=500), value=st.text(max_size=200), name=st.text(min_size=1))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_goes_in_comes_out_of_one_printable_line(
    format: str, read: Callable[[str], dict[str, str]], message: str, value: str, name: str
) -> None:
    written = line(said(message, **{f"x{name}": value}), format)

    assert written.isascii()
    assert written.isprintable()
    fields = read(written)
    assert fields["msg"] == message
    assert list(fields.values())[-1] == value
    assert re.fullmatch(r"[A-Za-z0-9_.]+", list(fields)[-1])


@pytest.mark.parametrize("reserved", ["ts", "level", "logger", "msg"])
def test_a_field_does_not_replace_what_every_line_has(reserved: str) -> None:
    plain = logfmt(line(said("event")))
    fields = logfmt(line(said("event", **{reserved: "forged"})))

    assert fields[f"{reserved}_"] == "forged"
    assert {key: fields[key] for key in plain} == plain | {"ts": fields["ts"]}


@pytest.mark.fault("F9")
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("x" * 200, "x" * 200, id="fits"),
        pytest.param("x" * 201, "x" * 197 + "...", id="too_long"),
    ],
)
def test_a_value_is_at_most_200_characters(text: str, kept: str) -> None:
    assert logfmt(line(said("event", pbx=text)))["pbx"] == kept


def test_a_message_is_at_most_500_characters() -> None:
    assert logfmt(line(said("x" * 501)))["msg"] == "x" * 497 + "..."


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_json_lines_hold_no_number_that_json_does_not_know(number: float) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    written = line(said("event", seconds=number), "json")

    assert json.loads(written, parse_constant=refuse)["seconds"] == str(number)


@pytest.mark.parametrize(("format", "read"), READERS)
def test_an_exception_is_folded_into_the_line(
    format: str, read: Callable[[str], dict[str, str]]
) -> None:
    fields = read(line(failed(OSError("first\nsecond")), format))

    assert list(fields) == ["ts", "level", "logger", "msg", "pbx", "error", "trace"]
    assert fields["error"] == "OSError: first\nsecond"
    assert fields["trace"].startswith("Traceback (most recent call last):\n")
    assert fields["trace"].endswith("OSError: first\nsecond")


def test_the_end_of_a_long_traceback_is_kept() -> None:
    fields = logfmt(line(failed(OSError("x" * 5000 + " at last"))))

    assert len(fields["trace"]) == 4000
    assert fields["trace"].startswith("...")
    assert fields["trace"].endswith(" at last")
    assert len(fields["error"]) == 200


def test_asking_for_an_exception_where_there_is_none_adds_nothing() -> None:
    assert "error" not in logfmt(line(lambda: log.error("x", exc_info=True)))


SECRETS = [
    pytest.param(f"GET /cdr/list?access_token={CANARY}&page=1", id="in_a_url"),
    pytest.param(f"GET /cdr/list?ACCESS_TOKEN={CANARY}", id="in_capitals"),
    pytest.param(f"refresh_token = {CANARY} x", id="with_spaces"),
    pytest.param(json.dumps({"access_token": CANARY, "page": 1}), id="json"),
    pytest.param(json.dumps({"password": f'{CANARY} "{CANARY}", {CANARY}\\'}), id="json_quotes"),
    pytest.param(json.dumps(json.dumps({"refresh_token": f'a"{CANARY}'})), id="json_in_json"),
    pytest.param(repr({"password": CANARY, "username": "x"}), id="repr"),
    pytest.param(repr(json.dumps({"password": CANARY})), id="repr_of_json"),
    pytest.param(repr({"access_token": CANARY.encode()}), id="repr_of_bytes"),
    pytest.param(f'"client_secret":"{CANARY}', id="cut_off"),
    pytest.param(f"password='{CANARY} {CANARY}'", id="quoted_after_equals"),
    pytest.param(f"access_token={CANARY} and password={CANARY}", id="two"),
]


@pytest.mark.fault("G3")
@pytest.mark.parametrize("format", logs.FORMATS)
@pytest.mark.parametrize("text", SECRETS)
def test_tokens_and_passwords_are_taken_out(text: str, format: str) -> None:
    written = [
        line(said(text), format),
        line(said("event", url=text), format),
        line(failed(ValueError(text)), format),
    ]

    assert [CANARY in each for each in written] == [False] * 3
    assert ["<secret>" in each for each in written] == [True] * 3


@pytest.mark.parametrize("key", ["access_token", "refresh_token", "password", "Client_Secret"])
def test_a_field_of_a_secret_name_shows_no_value(key: str) -> None:
    assert logfmt(line(said("event", **{key: CANARY})))[key] == "<secret>"


def test_what_stands_around_a_token_stays() -> None:
    text = f"GET /list?page=1&access_token={CANARY}&page_size=20 failed"

    assert logs.redact(text) == "GET /list?page=1&access_token=<secret>&page_size=20 failed"
    assert logs.redact(f'{{"password": "{CANARY}", "x": 1}}') == '{"password": "<secret>", "x": 1}'


@pytest.mark.parametrize(
    "text",
    [
        "exporter.yml: pbxs[0].client_secret: is empty; give it a value",
        "exporter.yml: pbxs[0].client_secret_file: is empty",
        "the password was refused",
        "access_token expired",
    ],
)
def test_talking_about_secrets_is_not_showing_them(text: str) -> None:
    assert logs.redact(text) == text


def test_a_secret_cut_in_two_by_the_limit_is_taken_out_first() -> None:
    written = line(said("event", url="x" * 180 + f" access_token={CANARY}"))

    assert CANARY[:6] not in written


def test_a_message_its_arguments_do_not_fit_is_logged_without_them() -> None:
    assert logfmt(line(lambda: log.info("page %d of %d", CANARY)))["msg"] == "page %d of %d"


def test_fields_that_are_no_mapping_are_shown_all_the_same() -> None:
    assert logfmt(line(lambda: log.info("x", extra={"fields": 3})))["fields"] == "3"


def test_a_line_that_cannot_be_written_is_dropped_in_silence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = io.StringIO()
    logs.setup("info", "logfmt", stream)
    stream.close()

    log.info("password of %s", CANARY)

    assert capsys.readouterr() == ("", "")


def test_a_logger_of_one_pbx_names_it_in_every_line() -> None:
    hq = logs.for_pbx(log, "hq")
    fields = logfmt(line(lambda: hq.info("%d pages read", 3, rows=60)))

    assert list(fields) == ["ts", "level", "logger", "msg", "pbx", "rows"]
    assert (fields["msg"], fields["pbx"], fields["rows"]) == ("3 pages read", "hq", "60")


def test_a_logger_of_one_pbx_shows_an_exception_as_any_does() -> None:
    def write() -> None:
        try:
            raise OSError("disk full")
        except OSError:
            logs.for_pbx(log, "hq").exception("poll failed", wait=2)

    fields = logfmt(line(write))

    assert list(fields) == ["ts", "level", "logger", "msg", "pbx", "wait", "error", "trace"]
    assert (fields["level"], fields["error"]) == ("error", "OSError: disk full")
