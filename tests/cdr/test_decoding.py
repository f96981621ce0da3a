from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from cdr_exporter.cdr import (
    FIELDS,
    LONGEST_SECONDS,
    CDRAnswer,
    FlawedRecord,
    GarbledAnswer,
    Record,
    decode,
    largest_answer,
)
from cdr_exporter.cdr.record import LONGEST_TEXT, LONGEST_UID

from ..support.paths import PRINTED_ANSWER
from ..support.rows import EPOCH, body, record, row

BOM = b"\xef\xbb\xbf"
"""Before a body, it makes msgspec refuse it, so that it is decoded row by row."""

DEEP = 50_000
"""A depth of nesting that no version of Python can parse with its own parser."""
INTEGERS = ("timestamp", "duration", "ring_duration", "talk_duration")
DURATIONS = INTEGERS[1:]
TEXTS = tuple(name for name in FIELDS if name not in INTEGERS)


def raw_body(rows: str, **fields: str) -> bytes:
    """Return a body of JSON text that json.dumps would not write."""
    usual = {"errcode": "0", "errmsg": '"SUCCESS"', "data": f"[{rows}]"}
    members = (f'"{name}": {text}' for name, text in {**usual, **fields}.items())
    return f"{{{', '.join(members)}}}".encode("utf-8", "surrogateescape")


def raw_row(**fields: str) -> str:
    members = (f'"{name}": {text}' for name, text in {"id": "1", **fields}.items())
    return f"{{{', '.join(members)}}}"


def only(answer: CDRAnswer) -> Record:
    [found] = answer.rows
    return found


def flawed(*unusable_fields: str, **fields: Any) -> FlawedRecord:
    """Return the `record` with these *fields*, of which *unusable_fields* were unusable."""
    return FlawedRecord(unusable_fields=unusable_fields, **msgspec.structs.asdict(record(**fields)))


def is_clean(answer: CDRAnswer) -> bool:
    """Return whether every row could be used as it came."""
    return not answer.rejected and all(type(each) is Record for each in answer.rows)


# --- the contract's own example ------------------------------------------------------------------


@pytest.fixture
def example_rows() -> list[Record]:
    printed = PRINTED_ANSWER.read_text()
    # The vendor's page shortens its list with an ellipsis; only that and the comma are removed.
    assert printed.count("        },\n       ... ...\n    ]") == 1
    sent = printed.replace("        },\n       ... ...\n    ]", "        }\n    ]")
    decoded = decode(sent.encode())

    assert (decoded.errcode, decoded.errmsg, decoded.total) == (0, "SUCCESS", 2579)
    assert is_clean(decoded)
    return list(decoded.rows)


def test_the_vendors_example_is_four_calls(example_rows: list[Record]) -> None:
    assert [
        (r.id, r.disposition, r.call_type, r.duration, r.ring_duration, r.talk_duration)
        for r in example_rows
    ] == [
        (2714, "ANSWERED", "Internal", 48, 2, 46),
        (2713, "ANSWERED", "Internal", 49, 1, 48),
        (2712, "ANSWERED", "Outbound", 54, 2, 52),
        (2711, "NO ANSWER", "Outbound", 0, 0, 0),
    ]


def test_the_vendors_example_keeps_every_text_as_it_came(example_rows: list[Record]) -> None:
    first, second, third, fourth = example_rows

    assert first == Record(
        id=2714,
        time="06/14/2022 11:19:28",
        call_from="Kristin Hale<2005>",
        call_to="Anna Simmons<2008>",
        started_at=1655176768,
        uid="20220614111928CC54A",
        src_addr="192.168.28.25",
        duration=48,
        ring_duration=2,
        talk_duration=46,
        disposition="ANSWERED",
        call_type="Internal",
        record_file="20220614111933-1655176768.0-2005-2008-Internal.wav",
        reason="src hangup    ",
    )
    assert (second.call_from, second.record_file) == ("PlayFile", "")
    assert [r.dst_trunk for r in example_rows] == ["", "", "to28.41", "peer-to-34"]
    assert [r.dod_number for r in example_rows] == ["", "", "2005", "2005"]
    assert [r.src_trunk for r in example_rows] == ["", "", "", ""]
    assert third.call_to == "21000"
    assert fourth.reason == "dst extension_busy_no_forward    "


def test_the_timestamp_is_utc_whatever_the_display_time_says(example_rows: list[Record]) -> None:
    first = example_rows[0]

    assert datetime.fromtimestamp(first.started_at, UTC) == datetime(
        2022, 6, 14, 3, 19, 28, tzinfo=UTC
    )
    assert first.time == "06/14/2022 11:19:28"
    assert first.ended_at == first.started_at + 48


# --- every field ---------------------------------------------------------------------------------

VENDORS_FIELDS = {
    "id": 7,
    "time": "01/02/2024 03:04:05 AM",
    "call_from": "Anna<2000>",
    "call_to": "Ben<2001>",
    "timestamp": 1_704_164_645,
    "uid": "20240102030405ABCDE",
    "src_addr": "192.0.2.7",
    "src_trunk": "in",
    "dst_trunk": "out",
    "duration": 30,
    "ring_duration": 10,
    "talk_duration": 20,
    "disposition": "VOICEMAIL",
    "call_type": "Inbound",
    "did_number": "5503301",
    "dod_number": "5503302",
    "record_file": "x.wav",
    "reason": "dst hangup    ",
}


def attribute(name: str) -> str:
    return "started_at" if name == "timestamp" else name


@pytest.mark.parametrize("name", VENDORS_FIELDS)
@pytest.mark.parametrize("start", [pytest.param(b"", id="typed"), pytest.param(BOM, id="saved")])
def test_every_field_of_the_contract_is_read(start: bytes, name: str) -> None:
    found = only(decode(start + body([VENDORS_FIELDS])))

    assert getattr(found, attribute(name)) == VENDORS_FIELDS[name]


def test_every_field_but_the_id_can_be_counted_as_unusable() -> None:
    assert set(FIELDS) == VENDORS_FIELDS.keys() - {"id"}


@pytest.mark.parametrize("start", [pytest.param(b"", id="typed"), pytest.param(BOM, id="saved")])
def test_absent_null_and_empty_are_the_same(start: bytes) -> None:
    absent: dict[str, Any] = {"id": 1}
    null = {"id": 1, **dict.fromkeys(FIELDS)}
    empty = {"id": 1, **dict.fromkeys(FIELDS, "")}

    decoded = [decode(start + body([each])) for each in (absent, null, empty)]

    assert [only(each) for each in decoded] == [Record(id=1)] * 3
    assert all(map(is_clean, decoded))


@pytest.mark.parametrize("start", [pytest.param(b"", id="typed"), pytest.param(BOM, id="saved")])
def test_unknown_fields_of_newer_firmware_are_ignored(start: bytes) -> None:
    newer = row(call_note_id="", nested={"a": [1, {"b": None}]}, number=1.5)

    decoded = decode(start + body([newer], total_records=1, more={"x": 1}))

    assert only(decoded) == record()
    assert is_clean(decoded)


NO_ID = [
    pytest.param({}, id="missing"),
    pytest.param({"id": None}, id="null"),
    pytest.param({"id": ""}, id="empty"),
]


@pytest.mark.parametrize("no_id", NO_ID)
@pytest.mark.parametrize("start", [pytest.param(b"", id="typed"), pytest.param(BOM, id="saved")])
def test_a_row_without_id_is_a_record_and_keeps_its_new_id(
    start: bytes, no_id: dict[str, Any]
) -> None:
    """Newer firmware gives rows a text instead of the number."""
    without_id = {name: value for name, value in row().items() if name != "id"} | no_id

    decoded = decode(start + body([{**without_id, "new_id": "2023-7"}, row(3), without_id]))

    assert list(decoded.rows) == [
        replace(record(), id=0, new_id="2023-7"),
        record(3),
        replace(record(), id=0),
    ]
    assert is_clean(decoded)


def test_a_row_may_have_both_kinds_of_id() -> None:
    assert only(decode(body([row(7, new_id="2023-7")]))) == record(7, new_id="2023-7")


@pytest.mark.parametrize("value", [7, True, ["2023-7"], {"year": 2023}], ids=str)
def test_an_unusable_new_id_is_taken_as_absent_and_not_counted(value: object) -> None:
    """It is not in the contract, and only fields in the contract have a label on the counter."""
    decoded = decode(body([row(new_id=value)]))

    assert only(decoded) == record()
    assert is_clean(decoded)


def test_a_row_without_id_may_have_unusable_fields_too() -> None:
    decoded = decode(body([{"new_id": "2023-7", "duration": -1}]))

    assert only(decoded) == FlawedRecord(new_id="2023-7", unusable_fields=("duration",))


def test_integers_may_come_as_digits() -> None:
    digits = row() | dict.fromkeys(DURATIONS, "42") | {"timestamp": " 1700000001 "}

    decoded = decode(body([digits], total_number="2579"))

    assert decoded.total == 2579
    assert only(decoded) == record(duration=42, ring_duration=42, talk_duration=42)


BLANK = (
    " ",
    "  ",
    "\t",
    "\r\n",
    "\x0b\x1c",
    "\x85",
    "\xa0",
    "\u1680",
    "\u2003 ",
    "\u2028",
    "\u3000",
)

# --- blank texts -----


BLANK_TEXTS = [
    *(pytest.param(json.dumps(each), id=f"escaped {each!a}") for each in BLANK),
    *(pytest.param(f'"{each}"', id=f"raw {each!a}") for each in BLANK),
    pytest.param(json.dumps(" " * 10_000), id="10,000 blanks"),
]


@pytest.mark.fault("C19")
@pytest.mark.parametrize("blank", BLANK_TEXTS)
@pytest.mark.parametrize("start", [pytest.param(b"", id="typed"), pytest.param(BOM, id="saved")])
def test_a_blank_text_is_absent_in_every_field(start: bytes, blank: str) -> None:
    for name in (*FIELDS, "new_id"):
        decoded = decode(start + raw_body(f"{raw_row(id='2')}, {raw_row(**{name: blank})}"))

        assert list(decoded.rows) == [Record(id=2), Record(id=1)], name
        assert is_clean(decoded), name


@pytest.mark.fault("C19")
@pytest.mark.parametrize("blank", BLANK_TEXTS)
def test_a_blank_id_is_none_and_a_blank_total_is_unknown(blank: str) -> None:
    decoded = decode(raw_body(raw_row(id=blank, new_id='"2023-7"'), total_number=blank))

    assert decoded.total is None
    assert only(decoded) == Record(new_id="2023-7")
    assert is_clean(decoded)


@pytest.mark.parametrize("text", [" sip ", "\xa0sip", "src hangup    "])
@pytest.mark.parametrize("start", [pytest.param(b"", id="typed"), pytest.param(BOM, id="saved")])
def test_blanks_around_a_text_are_kept(start: bytes, text: str) -> None:
    """Two trunks may differ in nothing else."""
    assert only(decode(start + body([row(src_trunk=text)]))).src_trunk == text


# --- the envelope --------------------------------------------------------------------------------


def test_an_answer_without_total_or_data_is_an_empty_one_of_unknown_total() -> None:
    decoded = decode(b'{"errcode": 0}')

    assert (decoded.errcode, decoded.errmsg, decoded.total) == (0, None, None)
    assert (tuple(decoded.rows), tuple(decoded.rejected)) == ((), ())


@pytest.mark.fault("C1")
@pytest.mark.parametrize(
    "rest",
    [
        pytest.param({}, id="nothing else"),
        pytest.param({"data": []}, id="an empty list"),
        pytest.param({"data": {}}, id="data is an object"),
        pytest.param({"data": ""}, id="data is text"),
        pytest.param({"total_number": "none"}, id="total_number is text"),
        pytest.param({"errmsg": {"en": "expired"}}, id="errmsg is an object"),
    ],
)
def test_an_error_code_is_returned_whatever_else_the_answer_holds(rest: dict[str, Any]) -> None:
    decoded = decode(json.dumps({"errcode": 10004, **rest}).encode())

    assert decoded.errcode == 10004
    assert tuple(decoded.rows) == ()


@pytest.mark.fault("C2")
@pytest.mark.parametrize(
    "errcode",
    [
        pytest.param(None, id="missing"),
        pytest.param("null", id="null"),
        pytest.param('"0"', id="text"),
        pytest.param("false", id="a bool"),
        pytest.param("0.5", id="a fraction"),
        pytest.param(str(2**31), id="more than 32 bits"),
        pytest.param("", id="nothing"),
        pytest.param("[0]", id="a list"),
    ],
)
def test_an_answer_whose_errcode_is_no_integer_is_garbled(errcode: str | None) -> None:
    beside = {} if errcode is None else {"errcode": errcode}
    text = raw_body(raw_row(), **beside)
    if errcode is None:
        text = text.replace(b'"errcode": 0, ', b"")

    with pytest.raises(GarbledAnswer, match="no errcode"):
        decode(text)


@pytest.mark.fault("C8")
@pytest.mark.parametrize(
    "total",
    [
        *('"many"', "true", "1.5", '"1.5"', "-1", "[]", "{}", "NaN", "1e400", str(2**63), "[" * 50),
        pytest.param("9" * 5_000, id="5,000 digits"),
    ],
)
def test_a_total_number_that_is_no_count_voids_the_answer(total: str) -> None:
    with pytest.raises(GarbledAnswer):
        decode(raw_body(raw_row(), total_number=total))


@pytest.mark.parametrize("data", ['"rows"', '{"1": {}}', "1", "true", "false", "0", "NaN"])
def test_data_that_is_no_list_voids_the_answer(data: str) -> None:
    with pytest.raises(GarbledAnswer, match="data is not a list"):
        decode(raw_body("", data=data))


@pytest.mark.fault("C21")
@pytest.mark.parametrize("total", ["0", "57", "null"])
@pytest.mark.parametrize("data", ["{}", "{ \n }", '""', '" "', "null", "[]", "[ ]", ""])
def test_an_empty_list_may_be_an_empty_object_or_text(data: str, total: str) -> None:
    """Past its end a list is empty, too, whatever its total."""
    decoded = decode(raw_body("", data=data, total_number=total))

    assert (tuple(decoded.rows), tuple(decoded.rejected)) == ((), ())
    assert decoded.total == (None if total == "null" else int(total))


NOT_AN_OBJECT = [
    pytest.param(b"", id="empty"),
    pytest.param(b" \r\n", id="blank"),
    pytest.param(BOM, id="nothing but a byte order mark"),
    pytest.param(b"<html><body>502 Bad Gateway</body></html>", id="HTML"),
    pytest.param(b"null", id="null"),
    pytest.param(b"0", id="a number"),
    pytest.param(b'"{}"', id="text"),
    pytest.param(b"[]", id="a list"),
    pytest.param(body([row()])[:-1], id="cut before the end"),
    pytest.param(body([row()]) + b"x", id="trailing garbage"),
    pytest.param(body([row()]) + body([row()]), id="two answers"),
    pytest.param(body([row()]) + b"\x00", id="trailing NUL"),
    pytest.param(body([row()]).decode().encode("utf-16"), id="UTF-16"),
    pytest.param(b"\xff" + body([row()]), id="invalid UTF-8 outside of a text"),
    pytest.param(raw_body(raw_row(), errcode="0" * 2 + "1"), id="a leading zero"),
    pytest.param(b"[" * DEEP, id="nested without end"),
    pytest.param(raw_body(raw_row(x="[" * DEEP)), id="a field nested without end"),
    pytest.param(raw_body(raw_row(x="[}")), id="brackets that do not match"),
    pytest.param(raw_body(raw_row() + " " + raw_row()), id="rows without a comma"),
    pytest.param(raw_body('{"id" 1}'), id="a name without a colon"),
    pytest.param(raw_body("{id: 1}"), id="a name without quotes"),
    pytest.param(raw_body(raw_row(uid='"a')), id="a text without end"),
]


@pytest.mark.fault("C3", "C5")
@pytest.mark.parametrize("text", NOT_AN_OBJECT)
def test_what_is_no_json_object_is_garbled(text: bytes) -> None:
    with pytest.raises(GarbledAnswer):
        decode(text)


@pytest.mark.fault("C5")
@pytest.mark.parametrize("depth", [1, 10, 500, 990, 1_000, 1_100, 5_000, DEEP])
def test_no_depth_of_nesting_costs_more_than_its_field(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    decoded = decode(raw_body(f"{raw_row(x=nested)}, {raw_row(uid=nested)}, {nested}"))

    assert list(decoded.rows) == [Record(id=1), FlawedRecord(id=1, unusable_fields=("uid",))]
    assert [each.reason for each in decoded.rejected] == ["shape"]


@pytest.mark.fault("C3")
@given(st.binary() | st.text().map(str.encode) | st.binary().map(lambda b: body([row()]) + b))
@example(b'{"errcode": 0, "data": [{"id": 1, "uid": "\xed\xa0\x80"}]}')
def test_no_bytes_end_in_another_error_than_garbled(text: bytes) -> None:
    try:
        decoded = decode(text)
    except GarbledAnswer:
        return

    assert type(decoded.errcode) is int


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


CANARY = "Kristin Hale<2005>"


@pytest.mark.fault("G5")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CANARY.encode(), id="not JSON"),
        pytest.param(body([row(call_from=CANARY)])[:-1], id="cut"),
        pytest.param(body([row(call_from=CANARY)]) + b"x", id="trailing garbage"),
        pytest.param(
            body([row(call_from=CANARY)])[:-1].replace(b"2005", b"2005\xff"), id="invalid UTF-8"
        ),
        pytest.param(
            body([row(call_from=CANARY)], errcode="0").replace(b"2005", b"2005\xff"),
            id="invalid UTF-8 and no errcode",
        ),
        pytest.param(body([row(call_from=CANARY)], errcode=CANARY), id="errcode"),
        pytest.param(body([row(call_from=CANARY)], total_number=CANARY), id="total_number"),
        pytest.param(body(data={CANARY: CANARY}), id="data"),
        pytest.param(raw_body(raw_row(reason=f'"{CANARY}"'), total_number="1.5"), id="a fraction"),
        pytest.param(raw_body(raw_row(call_from=f'"{CANARY}"', x="[" * DEEP)), id="depth"),
    ],
)
def test_the_error_for_a_garbled_answer_holds_nothing_of_it(text: bytes) -> None:
    with pytest.raises(GarbledAnswer) as garbled:
        decode(text)

    for error in chain(garbled.value):
        assert not isinstance(error, json.JSONDecodeError | UnicodeError)
        assert "Kristin" not in repr(error)
        assert "Kristin" not in repr(vars(error))


# --- rows that break the contract ----------------------------------------------------------------

BAD_IDS = [
    pytest.param("true", id="a bool"),
    pytest.param("false", id="another bool"),
    pytest.param("1.5", id="a fraction"),
    pytest.param("1e-2", id="a small fraction"),
    pytest.param("1e999999999", id="a large exponent"),
    pytest.param("undefined", id="a word"),
    pytest.param("01", id="a leading zero"),
    pytest.param("NaN", id="NaN"),
    pytest.param("-1", id="negative"),
    pytest.param("0", id="zero"),
    pytest.param(str(2**63), id="2^63"),
    pytest.param('"9223372036854775808"', id="2^63 in digits"),
    pytest.param(f'"{"9" * 5_000}"', id="5,000 digits"),
    pytest.param('"2023-7"', id="text"),
    pytest.param('"12a"', id="not only digits"),
    pytest.param('"-12"', id="negative digits"),
    pytest.param('"\u0661\u0662"', id="digits of another script"),
    pytest.param('"\u00b2"', id="a superscript"),
    pytest.param("[1]", id="a list"),
    pytest.param("{}", id="an object"),
]


@pytest.mark.fault("C6")
@pytest.mark.parametrize("raw_id", BAD_IDS)
def test_a_row_with_an_unusable_id_is_rejected_and_its_page_goes_on(raw_id: str) -> None:
    bad = raw_row(id=raw_id)
    decoded = decode(raw_body(f"{raw_row(id='3')}, {bad}, {raw_row(id='2')}"))

    assert [each.id for each in decoded.rows] == [3, 2]
    assert [(each.reason, each.id) for each in decoded.rejected] == [("id", None)]


@pytest.mark.fault("C6")
@pytest.mark.parametrize(
    ("raw_id", "row_id"),
    [
        pytest.param("1", 1, id="lowest"),
        pytest.param(str(2**63 - 1), 2**63 - 1, id="highest"),
        pytest.param('"12"', 12, id="digits"),
        pytest.param('" 0012 "', 12, id="digits with blanks and zeros"),
        pytest.param("12.0", 12, id="a float"),
        pytest.param("12e1", 120, id="an exponent"),
        pytest.param(f"{2**63 - 1}.000", 2**63 - 1, id="highest as a float"),
        pytest.param('"12.0"', 12, id="a float in quotes"),
        pytest.param('"9223372036854775807"', 2**63 - 1, id="highest in digits"),
    ],
)
def test_an_id_may_be_any_number_a_database_holds(raw_id: str, row_id: int) -> None:
    decoded = decode(raw_body(raw_row(id=raw_id)))

    assert only(decoded) == Record(id=row_id)


@pytest.mark.parametrize("raw", ["null", "true", "1", '"row"', "[]", "[[1]]"])
def test_a_row_that_is_no_object_is_rejected_by_its_shape(raw: str) -> None:
    decoded = decode(raw_body(f"{raw}, {raw_row()}"))

    assert [(each.reason, each.id) for each in decoded.rejected] == [("shape", None)]
    assert only(decoded).id == 1


@pytest.mark.fault("C4")
@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e-400", "1.5", "-0.5"])
def test_a_number_that_is_no_integer_rejects_its_row(number: str, name: str) -> None:
    decoded = decode(raw_body(f"{raw_row(**{name: number})}, {raw_row(id='2')}"))

    assert only(decoded).id == 2
    assert [(each.reason, each.id) for each in decoded.rejected] == [("number", 1)]


@pytest.mark.fault("C20")
@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(
    "number", ["30.0", "3e1", "3.0E+1", "300e-1", "30", '"30"', '"30.0"', '" 30 "', '"3e1"']
)
def test_a_number_without_a_fraction_is_whole(number: str, name: str) -> None:
    decoded = decode(raw_body(raw_row(id="1.0", **{name: number}), total_number="3.0"))

    assert decoded.total == 3
    assert only(decoded) == replace(Record(id=1), **{name: 30})
    assert is_clean(decoded)


@pytest.mark.fault("C20")
@given(st.integers(1, 2**63 - 1))
def test_no_digit_of_a_whole_number_is_lost(row_id: int) -> None:
    assert only(decode(raw_body(raw_row(id=f"{row_id}.0")))).id == row_id


@pytest.mark.fault("C10")
@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize(
    "word",
    [
        *(
            "1e400",
            "1e999999999",
            "-1e400",
            "undefined",
            "None",
            "007",
            "+7",
            "0x10",
            "7s",
            "\udcff",
        ),
        pytest.param("9" * 5_000, id="5,000 digits"),
    ],
)
def test_a_word_that_is_no_usable_number_costs_its_field_only(word: str, name: str) -> None:
    decoded = decode(raw_body(f"{raw_row(**{name: word})}, {raw_row(id='2')}"))

    assert list(decoded.rows) == [FlawedRecord(id=1, unusable_fields=(name,)), Record(id=2)]


@pytest.mark.fault("C10")
@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(-1, id="negative"),
        pytest.param("-1", id="negative digits"),
        pytest.param("soon", id="text"),
        pytest.param(10**12, id="a trillion"),
        pytest.param(7 * 86_400 + 1, id="over seven days"),
        pytest.param("9" * 5_000, id="5,000 digits"),
        pytest.param(True, id="a bool"),
        pytest.param([5], id="a list"),
        pytest.param({"s": 5}, id="an object"),
    ],
)
def test_an_unusable_duration_is_taken_as_absent_and_named(value: Any, name: str) -> None:
    decoded = decode(body([row(**{name: value})]))

    assert only(decoded) == flawed(name, **{name: 0})


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("seconds", [0, 1, 7 * 86_400])
def test_a_duration_is_from_nothing_to_seven_days(seconds: int, name: str) -> None:
    decoded = decode(body([row(**{name: seconds})]))

    assert getattr(only(decoded), name) == seconds
    assert is_clean(decoded)


@pytest.mark.fault("C18")
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [1, 1.5, True, ["sip"], {"name": "sip"}], ids=str)
def test_a_text_of_another_type_is_taken_as_absent_and_named(value: Any, name: str) -> None:
    decoded = decode(body([row(**{name: value}), row(2)]))

    assert list(decoded.rows) == [flawed(name, **{name: ""}), record(2)]


@pytest.mark.parametrize("value", [-1, "yesterday", 2**33 + 1, 10**12])
def test_an_impossible_timestamp_is_taken_as_absent(value: object) -> None:
    decoded = decode(body([row(timestamp=value)]))

    assert only(decoded) == flawed("timestamp", started_at=0)
    assert only(decoded).ended_at == 0


def test_all_unusable_fields_of_a_row_are_named() -> None:
    found = only(decode(body([row(duration=-1, src_trunk=[], reason=0)])))

    assert isinstance(found, FlawedRecord)
    assert sorted(found.unusable_fields) == ["duration", "reason", "src_trunk"]


def writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.fault("C12")
@pytest.mark.parametrize("name", TEXTS)
def test_a_lone_surrogate_is_replaced_so_that_the_text_can_be_encoded(name: str) -> None:
    decoded = decode(raw_body(raw_row(**{name: r'"a\ud800z"'})))

    text = getattr(only(decoded), name)
    assert writable(text)
    assert (text[0], text[-1]) == ("a", "z")
    assert only(decoded).fingerprint >= 0


@pytest.mark.fault("C12")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(r'"to \ud800"', r'"to \ud801"', id="lone surrogates"),
        pytest.param('"Z\udcfcrich"', '"Z\udcf6rich"', id="bytes of Latin-1"),
    ],
)
def test_names_that_cannot_be_encoded_stay_different(one: str, other: str) -> None:
    rows = (raw_row(id="2", src_trunk=one), raw_row(src_trunk=other))
    decoded = decode(raw_body(", ".join(rows)))

    names = {each.src_trunk for each in decoded.rows}
    assert len(names) == 2
    assert all(map(writable, names))


@pytest.mark.fault("C3")
def test_a_pair_of_surrogates_is_the_character_it_means() -> None:
    decoded = decode(BOM + raw_body(raw_row(src_trunk=r'"\ud83d\ude00"')))

    assert only(decoded).src_trunk == "\N{GRINNING FACE}"


def test_the_message_of_the_pbx_can_be_encoded_too() -> None:
    decoded = decode(raw_body("", errcode="10005", errmsg=r'"no \ud800"'))

    assert decoded.errmsg is not None
    assert writable(decoded.errmsg)


# --- texts that are not JSON ---


ODD_TEXTS = [
    pytest.param("a\tz", "a\tz", id="a raw tab"),
    pytest.param("a\nz", "a\nz", id="a raw line feed"),
    pytest.param("a\x00z", "a\x00z", id="a raw NUL"),
    pytest.param("a\x01z", "a\x01z", id="a raw control byte"),
    pytest.param(r"O\'Hara", "O'Hara", id="an escaped apostrophe"),
    pytest.param(r"\x41", r"\x41", id="an escape of another language"),
    pytest.param(r"C:\new dir\!", "C:\new dir\\!", id="a lone backslash"),
    pytest.param(r"\u12", r"\u12", id="an escape that is too short"),
    pytest.param(r"\t\u00e4\ud83d\ude00\x", "\t\xe4\N{GRINNING FACE}\\x", id="good ones beside"),
    pytest.param("Z\udcfcrich", r"Z\udcfcrich", id="a byte of Latin-1"),
    pytest.param("\ufeff\t", "\ufeff\t", id="a byte order mark"),
    pytest.param("sip\\", "sip\\", id="a backslash at the end"),
    pytest.param('the "old" one', 'the "old" one', id="quotes"),
    pytest.param('the \\"old" one\\', 'the "old" one\\', id="quotes, of which one is escaped"),
]


@pytest.mark.fault("C22")
@pytest.mark.parametrize(("sent", "text"), ODD_TEXTS)
def test_a_text_that_is_not_json_is_mended_and_its_page_goes_on(sent: str, text: str) -> None:
    for name in TEXTS:
        odd = raw_row(**{name: f'"{sent}"'})
        for rows in (f"{odd}, {raw_row(id='2')}", f"{raw_row(id='2')}, {odd}"):
            decoded = decode(raw_body(rows, total_number="2"))

            assert {each.id: each for each in decoded.rows} == {
                1: replace(Record(id=1), **{name: text}),
                2: Record(id=2),
            }
            assert is_clean(decoded)


@pytest.mark.fault("C22")
def test_the_message_of_the_pbx_is_mended_too() -> None:
    decoded = decode(raw_body("", errcode="10005", errmsg='"no\x01pe"'))

    assert (decoded.errcode, decoded.errmsg) == (10005, "no\x01pe")


odd_pieces = st.sampled_from(
    [
        *(rb"\' \x41 \q \u12 \ud800 \" \\ \n".split()),
        b"\t",
        b"\n",
        b"\0",
        b"\x01",
        b"\xff",
        BOM,
        b"}",
        b"],",
    ]
) | st.binary(max_size=5).map(lambda raw: raw.translate(None, b'"\\'))
odd_texts = st.lists(odd_pieces).map(b"".join)
quoting_texts = st.text('ab\\" \t').map(str.encode)
words = st.binary(max_size=9).map(lambda raw: raw.translate(None, b' \t\r\n",:[]{}'))


@pytest.mark.fault("C18", "C22")
@given(
    st.sampled_from(["id", "new_id", *FIELDS, "unknown"]),
    odd_texts.map(lambda raw: b'"%b"' % raw) | quoting_texts.map(lambda raw: b'"%b"' % raw) | words,
    st.booleans(),
)
@example("uid", rb'"\"', False)
@example("uid", b'""""', True)
def test_no_single_odd_value_costs_its_page(name: str, value: bytes, beside: bool) -> None:
    usual = json.dumps(row(2, reason='a "b" \\')).encode()
    odd = b'{"id": 1, "%b": %b%b}' % (name.encode(), value, b', "time": "x"' if beside else b"")
    text = b'{"errcode": 0, "data": [%b, %b, %b], "total_number": 3}' % (usual, odd, usual)
    decoded = decode(text)

    assert len(decoded.rows) + len(decoded.rejected) == 3
    assert decoded.rows[0] == decoded.rows[-1] == record(2, reason='a "b" \\')
    assert decoded.total == 3
    if len(decoded.rows) == 3 and beside and name != "time":
        assert decoded.rows[1].time == "x"


# --- long texts ---


@pytest.mark.fault("C24")
@pytest.mark.parametrize(
    ("name", "char"),
    [
        *(("uid", char) for char in ("a", "\xe4", " a", "\x01")),
        *((name, "\N{GRINNING FACE}") for name in (*TEXTS, "new_id")),
    ],
    ids=ascii,
)
def test_a_long_text_is_kept_short_and_two_long_texts_stay_two(char: str, name: str) -> None:
    long = char * 70_000
    sent = [
        row(3, **{name: long + "1"}),
        row(2, **{name: long + "2"}),
        row(1, **{name: long + "1"}),
    ]
    one, other, again = (getattr(each, name) for each in decode(body(sent)).rows)

    assert len(one) == len(other) == (64 if name == "uid" else 128)
    assert len(one.encode()) <= 512
    assert one.startswith(long[:40])
    assert one == again != other
    assert is_clean(decode(body(sent)))


@pytest.mark.fault("C24")
@pytest.mark.parametrize(
    ("name", "longest"),
    [pytest.param("uid", LONGEST_UID, id="uid"), pytest.param("reason", LONGEST_TEXT, id="text")],
)
@pytest.mark.parametrize("start", [pytest.param(b"", id="typed"), pytest.param(BOM, id="saved")])
def test_a_text_that_is_not_too_long_is_kept_whole(start: bytes, name: str, longest: int) -> None:
    for length in (longest - 1, longest, longest + 1, 4_096, 4_097):
        sent = "\N{GRINNING FACE}" * length
        kept = getattr(only(decode(start + body([{**row(), name: sent}]))), name)

        assert (kept == sent) is (length <= longest)
        assert len(kept) <= longest


def test_a_long_message_of_the_pbx_is_cut() -> None:
    for start in (b"", BOM):
        errmsg = decode(start + body(errcode=10005, errmsg="a" * 100_000)).errmsg
        assert errmsg is not None
        assert len(errmsg) == LONGEST_TEXT


# --- large answers ---


def test_an_answer_may_have_64_kib_and_16_for_each_row_asked_for() -> None:
    assert [largest_answer(rows) >> 10 for rows in (0, 1, 20, 500)] == [64, 68, 144, 2064]
    assert largest_answer(10_000) == 4 << 20


@pytest.mark.fault("C23")
@pytest.mark.parametrize("start", [pytest.param(b"", id="typed"), pytest.param(BOM, id="saved")])
def test_more_rows_than_were_asked_for_void_the_answer(start: bytes) -> None:
    assert len(decode(start + body([row(3), row(2)]), 2).rows) == 2

    with pytest.raises(GarbledAnswer, match="more rows came than the 2 asked for"):
        decode(start + body([row(3), row(2), row(1)]), 2)


ASKED = 4


def filled(piece: bytes, before: bytes = b"", after: bytes = b"", between: bytes = b"") -> bytes:
    """Return an answer of the largest size to a query of ASKED rows, full of *piece*s."""
    start, end = b'{"errcode": 0, "data": [%b' % before, b"%b]}" % after
    times = (largest_answer(ASKED) - len(start) - len(end)) // len(piece + between)
    return start + between.join([piece] * times) + end


LARGE = {
    "rows without members": filled(b"{}", between=b","),
    "rows that are numbers": filled(b"1", between=b","),
    "rows that are nothing": filled(b",", b"0"),
    "rows that are lists": filled(b"[]", between=b","),
    "rows with a uid": filled(b'{"uid":"a"}', between=b","),
    "members": filled(b'"a":1', b"{", b"}", between=b","),
    "members of many names": filled(b'"uid":"a","time":"b"', b"{", b"}", between=b","),
    "texts in a list": filled(b'"a"', b'{"uid":[', b"]}", between=b","),
    "open lists": filled(b"["),
    "open objects": filled(b'{"":'),
    "nested lists": filled(b"[[]],", b"[", b"[]]"),
    "closing brackets": filled(b"]"),
    "one text": filled(b"a", b'{"uid":"', b'"}'),
    "one text with a wide character": filled(b"a", '{"uid":"\U0001f600'.encode(), b'"}'),
    "one text of wide characters": filled("\U0001f600".encode(), b'{"uid":"', b'"}'),
    "one text of escapes": filled(rb"\u0001", b'{"uid":"', b'"}'),
    "one text of bad bytes": filled(b"\xff", b'{"uid":"', b'"}'),
    "one text of escaped quotes": filled(rb"\"", b'{"uid":"', b'"}'),
    "one text of quotes": filled(b'"', b'{"uid":"', b'"}'),
    "one text of backslashes": filled(b"\\", b'{"uid":"', b'"}'),
    "a text without end": filled(rb"\"", b'{"uid":"'),
    "quotes and commas": filled(b'" ,', b'{"uid":"', b'"}'),
    "quotes and blanks": filled(b'"' + b" " * 1000, b'{"uid":"', b'"}'),
    "quotes and names": filled(b'","a"', b'{"uid":"', b'"}'),
    "blanks": filled(b" "),
    "a name": filled(b"a", b'{"', b'":1}'),
    "a number": filled(b"9", b'{"id":', b"}"),
    "a word": filled(b"x", b'{"uid":', b"}"),
    "long rows": filled(b'{"uid":"%b"}' % (b"a" * 16_000), between=b","),
    "rows of long texts": filled(
        b"{%b}" % b",".join(b'"%b":"%b"' % (name.encode(), b"a" * 1_100) for name in TEXTS),
        between=b",",
    ),
}


@pytest.mark.fault("C23", "E15")
@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_no_answer_takes_three_times_its_largest_size_to_decode(text: bytes) -> None:
    assert largest_answer(ASKED) - 20_000 < len(text) <= largest_answer(ASKED)
    tracemalloc.start()
    try:
        decode(text, ASKED)
    except GarbledAnswer:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert len(text) + peak < 3 * largest_answer(ASKED)


@pytest.mark.fault("C23")
@pytest.mark.parametrize(
    "rows", [b"{},", b'{"uid":"a"},', '{"uid":"\U0001f600%b"},'.encode() % (b"a" * 900)]
)
@pytest.mark.parametrize("share", [0.04, 0.1, 0.5, 0.6, 0.7])
def test_neither_does_an_answer_that_is_smaller(rows: bytes, share: float) -> None:
    text = b'{"errcode": 0, "data": [%b{}]}' % (
        rows * int(share * largest_answer(ASKED) / len(rows))
    )
    tracemalloc.start()
    try:
        decode(text, ASKED)
    except GarbledAnswer:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert len(text) + peak < 3 * largest_answer(ASKED)


@pytest.mark.fault("C23")
@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_no_answer_takes_long_to_decode(text: bytes) -> None:
    """Work that goes by the square of the size would take minutes."""
    began = time.process_time()
    with suppress(GarbledAnswer):
        decode(text, ASKED)

    assert time.process_time() - began < 2


# --- the same row is known again -----------------------------------------------------------------


def test_a_rejected_row_has_the_same_fingerprint_whenever_it_is_read() -> None:
    one = decode(body([{"id": 0, "uid": "a"}])).rejected
    again = decode(BOM + body([row(2), {"uid": "a", "id": 0}])).rejected
    another = decode(body([{"id": 0, "uid": "b"}])).rejected

    assert one == again
    assert one != another
    assert 0 <= one[0].fingerprint < 2**63


def test_a_row_that_gained_a_recording_keeps_its_fingerprint() -> None:
    before, after = record(), record(record_file="x.wav", reason="src hangup", duration=61)

    assert before.fingerprint == after.fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(record(uid="a"), record(uid="b"), id="another uid"),
        pytest.param(record(started_at=1), record(started_at=2), id="another start"),
        pytest.param(
            record(uid="", call_from="a"), record(uid="", call_from="b"), id="another caller"
        ),
        pytest.param(
            record(uid="", call_from="a", call_to="b"),
            record(uid="", call_from="", call_to="ab"),
            id="the same letters, otherwise parted",
        ),
    ],
)
def test_another_call_has_another_fingerprint(one: Record, other: Record) -> None:
    assert one.fingerprint != other.fingerprint


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 2**33))
def test_a_fingerprint_fits_into_a_database(uid: str, started_at: int) -> None:
    assert 0 <= record(uid=uid, started_at=started_at).fingerprint < 2**63


def test_the_end_of_a_call_without_start_is_unknown() -> None:
    assert record(started_at=0, duration=60).ended_at == 0
    assert record(7, duration=60).ended_at == EPOCH + 67


# --- properties ----------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8")) | st.sampled_from(BLANK)
seconds = st.integers(0, LONGEST_SECONDS)
good_rows = st.fixed_dictionaries(
    {},
    optional={
        "id": st.none() | st.just("") | st.integers(1, 2**63 - 1),
        "new_id": texts,
        **dict.fromkeys(TEXTS, texts),
        **dict.fromkeys(DURATIONS, seconds),
        "timestamp": st.integers(0, 2**33),
        "unknown": st.none() | st.booleans() | st.integers() | texts | st.lists(texts),
    },
)


@given(st.lists(good_rows), st.integers(0, 2**63 - 1), texts, st.booleans())
def test_both_ways_of_decoding_give_the_same_records(
    rows: list[dict[str, Any]], total: int, errmsg: str, ascii_only: bool
) -> None:
    answer = {"errcode": 0, "errmsg": errmsg, "total_number": total, "data": rows}
    text = json.dumps(answer, ensure_ascii=ascii_only).encode()

    typed, saved = decode(text), decode(BOM + text)

    assert list(typed.rows) == list(saved.rows)
    assert [each.fingerprint for each in typed.rows] == [each.fingerprint for each in saved.rows]
    assert (typed.errcode, typed.errmsg, typed.total) == (saved.errcode, saved.errmsg, saved.total)
    assert is_clean(saved)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text()
    | st.sampled_from(["", " ", "12", "-1", "1.0", "9" * 30, "\ud800", "\x00", "ANSWERED"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.fault("C18")
@given(st.dictionaries(st.sampled_from(["id", "new_id", *FIELDS, "unknown"]), anything))
def test_no_bad_row_costs_another_row(hostile: dict[str, Any]) -> None:
    decoded = decode(body([row(2**63 - 1), hostile, row(1)]))

    ids = [each.id for each in decoded.rows]
    assert (ids[0], ids[-1]) == (2**63 - 1, 1)
    assert len(decoded.rows) + len(decoded.rejected) == 3
    assert decoded.rows[0] == flawed("timestamp", row_id=2**63 - 1, started_at=0)
    assert decoded.rows[-1] == record(1)


@given(st.dictionaries(st.sampled_from(["errcode", "errmsg", "total_number", "data"]), anything))
def test_no_envelope_ends_in_another_error_than_garbled(envelope: dict[str, Any]) -> None:
    try:
        decoded = decode(json.dumps(envelope).encode())
    except GarbledAnswer:
        return

    assert decoded.errcode == envelope["errcode"]
