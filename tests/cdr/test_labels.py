from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cdr_exporter.cdr.labels import LONGEST_TRUNK, Labels, labels_of, trunk_label

from ..support.rows import record

MARKED = re.compile(r"~[0-9a-f]{8}\Z")


@pytest.mark.fault("C9")
@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("ANSWERED", "ANSWERED"),
        ("NO ANSWER", "NO ANSWER"),
        ("BUSY", "BUSY"),
        ("FAILED", "FAILED"),
        ("VOICEMAIL", "VOICEMAIL"),
        ("answered", "ANSWERED"),
        ("  Answered\t", "ANSWERED"),
        ("NO_ANSWER", "NO ANSWER"),
        ("NOANSWER", "NO ANSWER"),
        ("no-answer", "NO ANSWER"),
        ("No  Answer ", "NO ANSWER"),
        ("VOICE MAIL", "VOICEMAIL"),
        ("busy\n", "BUSY"),
        ("ABANDONED", "NO ANSWER"),
        ("abandoned ", "NO ANSWER"),
        ("NO ANSWERED", "NO ANSWER"),
        ("No_Answered", "NO ANSWER"),
        ("ANSWERD", "ANSWERED"),
        ("\u00a0Answerd\t", "ANSWERED"),
    ],
)
def test_dispositions_are_folded_to_the_contracts_spelling(written: str, label: str) -> None:
    assert labels_of(record(disposition=written)) == Labels(label, "Inbound", "sip", (), "sip")


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("Inbound", "Inbound"),
        ("Outbound", "Outbound"),
        ("Internal", "Internal"),
        ("INBOUND", "Inbound"),
        (" internal ", "Internal"),
        ("out_bound", "Outbound"),
    ],
)
def test_call_types_are_folded_to_the_contracts_spelling(written: str, label: str) -> None:
    assert labels_of(record(call_type=written))[:3] == ("ANSWERED", label, "sip")


@pytest.mark.fault("C9")
@pytest.mark.parametrize("written", ["CONGESTION", "", "ANSWERED!", "ANSWEREDBUSY", "\x00", "Ω"])
def test_a_disposition_outside_the_contract_is_other_and_named(written: str) -> None:
    found = labels_of(record(disposition=written))

    assert found == Labels("OTHER", "Inbound", "sip", ("disposition",), "sip")


@pytest.mark.fault("C9")
@pytest.mark.parametrize("written", ["Transit", "", "In bound call"])
def test_a_call_type_outside_the_contract_is_other_and_named(written: str) -> None:
    found = labels_of(record(call_type=written))

    assert found == Labels("ANSWERED", "Other", "sip", ("call_type",), "sip")


def test_both_may_be_outside_the_contract() -> None:
    found = labels_of(record(disposition="?", call_type="?"))

    assert found == Labels("OTHER", "Other", "sip", ("disposition", "call_type"), "sip")


@pytest.mark.parametrize(
    ("call_type", "src_trunk", "dst_trunk", "label"),
    [
        ("Outbound", "in", "out", "out"),
        ("Outbound", "in", "", "in"),
        ("OUTBOUND ", "in", "out", "out"),
        ("Inbound", "in", "out", "in"),
        ("Inbound", "", "out", "out"),
        ("Internal", "in", "out", "in"),
        ("Internal", "", "", "none"),
        ("Outbound", "", "", "none"),
        ("Inbound", "", "", "none"),
        ("Transit", "in", "out", "in"),
        ("", "", "out", "out"),
    ],
)
def test_the_trunk_is_the_one_the_call_went_through(
    call_type: str, src_trunk: str, dst_trunk: str, label: str
) -> None:
    row = record(call_type=call_type, src_trunk=src_trunk, dst_trunk=dst_trunk)

    assert labels_of(row).trunk == label


def test_the_same_row_has_the_same_labels_whatever_came_before() -> None:
    before = labels_of(record())
    for number in range(5_000):
        labels_of(record(src_trunk=f"trunk {number}"))

    assert labels_of(record()) == before


# --- trunk names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "sip",
        "to28.41",
        "peer-to-34",
        " blanks ",
        "Zürich",
        "日本",
        "\N{GRINNING FACE}",
        'quo"te\\',
        "a\ufffdb",
        "None",
        "OTHER",
        "x~12345678 ",
        "x~1234567",
        "x~1234567g",
        "a" * LONGEST_TRUNK,
        "ü" * (LONGEST_TRUNK // 2),
    ],
)
def test_a_safe_name_is_its_own_label(name: str) -> None:
    assert trunk_label(name) == name


@pytest.mark.fault("C11", "C13")
@pytest.mark.parametrize(
    ("name", "start"),
    [
        pytest.param("none", "none", id="the name of no trunk"),
        pytest.param("other", "other", id="the name of the rest"),
        pytest.param("x~12345678", "x~12345678", id="looks marked"),
        pytest.param("a\nb", "a\ufffdb", id="newline"),
        pytest.param("a\rb", "a\ufffdb", id="carriage return"),
        pytest.param("a\x00b", "a\ufffdb", id="NUL"),
        pytest.param("a\x7fb", "a\ufffdb", id="DEL"),
        pytest.param("a\x85b", "a\ufffdb", id="C1 control"),
        pytest.param("a\u2028b", "a\ufffdb", id="line separator"),
        pytest.param("a\u202eb", "a\ufffdb", id="right to left override"),
        pytest.param("a\u2066b", "a\ufffdb", id="isolate"),
        pytest.param("a\ud800b", "a\ufffdb", id="lone surrogate"),
        pytest.param("a" * 10_000, "a" * 119, id="10,000 characters"),
        pytest.param("a" * 129, "a" * 119, id="one byte too many"),
        pytest.param("ü" * 65, "ü" * 59, id="never half a character"),
    ],
)
def test_an_unsafe_name_is_marked(name: str, start: str) -> None:
    label = trunk_label(name)

    assert label[:-9] == start
    assert MARKED.search(label)


def test_no_name_is_the_label_none() -> None:
    assert trunk_label("") == "none"


any_text = st.text(st.characters())
names = (
    any_text
    | st.sampled_from(["none", "other", "sip", "a\nb", "\ud800"])
    | st.text("aü\n\ufffd\ud800~0f", max_size=20)
    | st.builds("{}~{:08x}".format, any_text, st.integers(0, 2**32 - 1))
    | st.builds("{}{}".format, st.sampled_from(["a" * 119, "ü" * 60, "日" * 50]), any_text)
)


@pytest.mark.fault("C13")
@given(names)
def test_every_label_is_short_printable_utf_8(name: str) -> None:
    label = trunk_label(name)

    assert 0 < len(label.encode()) <= LONGEST_TRUNK
    assert not any(unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} for c in label)
    assert not any(unicodedata.bidirectional(c) in {"RLO", "LRO", "RLE", "LRE"} for c in label)


@given(names)
def test_a_label_is_the_name_or_marked(name: str) -> None:
    label = trunk_label(name)

    assert label == (name or "none") or MARKED.search(label)


@given(names)
def test_no_trunk_takes_the_label_of_no_trunk_or_of_the_rest(name: str) -> None:
    assume(name)

    assert trunk_label(name) not in {"none", "other"}


@pytest.mark.fault("C13")
@given(names, names)
@example("a\nb", "a\rb")
@example("a\nb", "a\ufffdb")
@example("none", "")
@example("a" * 200, "a" * 201)
def test_two_names_never_share_a_label(one: str, other: str) -> None:
    assume(one != other)

    assert trunk_label(one) != trunk_label(other)


@given(names)
@example("a\nb")
@example("none")
@example("a" * 200)
def test_a_trunk_with_the_name_of_another_ones_label_has_another_label(name: str) -> None:
    label = trunk_label(name)
    assume(label != name)

    assert trunk_label(label) != label


@pytest.mark.parametrize(
    ("call_type", "src_trunk", "dst_trunk", "came_in_by", "leaves"),
    [
        ("Inbound", "sip", "", "sip", False),
        ("Inbound", "", "sip", "", False),
        ("Internal", "sip", "", "sip", False),
        ("Internal", "", "", "", False),
        ("Internal", "", "sip", "", True),
        ("Outbound", "", "sip", "", True),
        ("Outbound", "sip", "", "", True),
        ("Outbound", "sip", "gsm", "sip", True),
        ("Inbound", "sip", "gsm", "sip", True),
        ("Outbound", "", "", "", True),
    ],
)
def test_the_trunks_of_a_row_say_whether_it_came_in_and_whether_it_leaves(
    call_type: str, src_trunk: str, dst_trunk: str, came_in_by: str, leaves: bool
) -> None:
    found = labels_of(record(call_type=call_type, src_trunk=src_trunk, dst_trunk=dst_trunk))

    assert (found.came_in_by, found.leaves) == (came_in_by, leaves)
