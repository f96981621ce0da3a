"""What is reused from scrape to scrape: the page must be what it would be if made anew each time.

The judges are prometheus_client, and an exposition that has rendered nothing before.
"""

from __future__ import annotations

import gc
import gzip
import random
import re
import weakref
import zlib
from collections.abc import Sequence
from itertools import zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.exposition import Body, Exposition, pages
from cdr_exporter.metrics.catalogue import BUILD_INFO

from ..support.changing_pbxs import ALL_STEPS, ChangingFleet, ChangingPBX
from ..support.prometheus_client_text import both_formats, text_of_prometheus_client
from ..support.rows import BOUNDS

NAMES = ("hq", "Branch.2", "branch-3")
_BUILD_INFO = re.compile(
    f"# HELP {BUILD_INFO.name} .*\n# TYPE {BUILD_INFO.name} gauge\n.*\n".encode()
)
_OF_THE_PROCESS = re.compile(rb"# HELP (?:process|python)_")


def fleet(names: Sequence[str] = NAMES) -> ChangingFleet:
    return ChangingFleet({name: ChangingPBX(name, BOUNDS) for name in names})


def exposition() -> Exposition:
    return Exposition(BOUNDS, "1.2.3")


def unpacked(body: Body) -> bytes:
    """Return the text of the one gzip member that *body* is, and nothing after it."""
    member = body.gzipped
    assert len(member) == body.gzip_length
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)  # checks length and checksum
    text = reader.decompress(member)
    assert (reader.eof, reader.unused_data) == (True, b"")
    assert len(text) == body.length
    return text


def of_pbxs(page: bytes) -> bytes:
    """Return the page of all PBXs without the families of the process."""
    return _OF_THE_PROCESS.split(_BUILD_INFO.sub(b"", page))[0]


def first_difference(found: bytes, expected: bytes) -> tuple[bytes, bytes] | None:
    """Return the first line that differs, as it is and as it must be; None where none does."""
    if found == expected:
        return None
    pairs = zip_longest(found.splitlines(), expected.splitlines(), fillvalue=b"(nothing)")
    return next((pair for pair in pairs if pair[0] != pair[1]), (b"ends", b"differ"))


def check_against_anew(ours: Exposition, changing: ChangingFleet, openmetrics: bool) -> None:
    """Compare the page of all PBXs with one that was made without anything known before."""
    shots = [pbx.snapshot for pbx in changing.shown]
    body = ours.all_pbxs(shots, changing.now, openmetrics=openmetrics)
    anew = exposition().all_pbxs(shots, changing.now, openmetrics=openmetrics)

    assert first_difference(of_pbxs(unpacked(body)), of_pbxs(anew.plain)) is None


def check_against_prometheus_client(
    ours: Exposition, changing: ChangingFleet, openmetrics: bool
) -> None:
    """Compare the page of all PBXs, and that of each, with what prometheus_client writes."""
    shown, now = changing.shown, changing.now
    visible = [pbx.visible(now) for pbx in shown]
    body = ours.all_pbxs([pbx.snapshot for pbx in shown], now, openmetrics=openmetrics)
    text = unpacked(body)
    assert text == body.plain == gzip.decompress(body.gzipped)
    expected = text_of_prometheus_client(visible, openmetrics).removesuffix(b"# EOF\n")
    assert first_difference(of_pbxs(text), expected) is None
    for pbx, what in zip(shown, visible, strict=True):
        alone = ours.one_pbx(pbx.snapshot, now, openmetrics=openmetrics)
        expected = text_of_prometheus_client([what], openmetrics)
        assert first_difference(unpacked(alone), expected) is None
        assert alone.plain == unpacked(alone)


changes = st.tuples(
    st.sampled_from(ALL_STEPS), st.sampled_from(NAMES), st.sampled_from([0, 1, 2, 39, 121, 301])
)


@pytest.mark.slow
@pytest.mark.fault("B1")
@settings(max_examples=20)
@given(st.lists(st.lists(changes, max_size=4), max_size=8), st.booleans(), st.booleans())
def test_after_any_changes_a_page_is_what_prometheus_client_writes(
    scrapes: Sequence[Sequence[tuple[str, str, int]]], openmetrics: bool, ahead: bool
) -> None:
    ours, changing = exposition(), fleet()
    # More than what goes into one piece.
    changing.pbxs["hq"].count_rows(range(12), changing.now)
    for steps in scrapes:
        for step in steps:
            changing.change(*step)
            for pbx in changing.shown if ahead else ():
                ours.render_ahead(pbx.snapshot, changing.now)
        check_against_anew(ours, changing, openmetrics)

    check_against_prometheus_client(ours, changing, openmetrics)


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_a_day_of_changes_ends_with_the_page_that_would_be_made_anew() -> None:
    names = [f"pbx-{number:02}" for number in range(40)]
    ours, changing, chance = exposition(), fleet(names), random.Random(1)
    likely = ["poll"] * 40 + ["row"] * 12 + ["call"] * 6 + ["leave", "hide", "break down"]

    for scrape in range(86_400 // 15):
        for _ in range(chance.choice((0, 1, 5, 20))):
            changing.change(chance.choice(likely), chance.choice(names), chance.randrange(40))
        shots = [pbx.snapshot for pbx in changing.shown]
        unpacked(ours.all_pbxs(shots, changing.now, openmetrics=False))

        if scrape % 40 == 0:
            check_against_anew(ours, changing, openmetrics=scrape % 80 == 0)
        if scrape % 400 == 0:
            check_against_prometheus_client(ours, changing, openmetrics=scrape % 800 == 0)
        changing.change("wait", names[0], 15)


@both_formats
def test_what_was_handed_out_stays_what_it_was(openmetrics: bool) -> None:
    ours, changing = exposition(), fleet()

    def page() -> Body:
        shots = [pbx.snapshot for pbx in changing.shown]
        return ours.all_pbxs(shots, changing.now, openmetrics=openmetrics)

    body, parts = page(), []
    before, stream = page().plain, body.gzip_parts()
    for number in range(len(NAMES)):
        parts.append(next(stream))
        changing.change("row", NAMES[number], number)
        page()
    parts += stream

    assert of_pbxs(gzip.decompress(b"".join(parts))) == of_pbxs(before)


def test_each_of_many_pbxs_is_shown_as_it_is_now() -> None:
    ours, changing = exposition(), fleet([str(number) for number in range(70)])
    check_against_anew(ours, changing, openmetrics=False)

    for name in ("0", "31", "32", "69"):
        changing.change("poll", name, 7)
        changing.change("call", name, 7)

    check_against_prometheus_client(ours, changing, openmetrics=False)


def test_any_number_of_series_beside_each_other_may_change_at_once() -> None:
    ours, pbx = exposition(), many_rows("hq")
    changing = ChangingFleet({"hq": pbx})
    changing.change("wait", "hq", 200)
    check_against_anew(ours, changing, openmetrics=False)

    pbx.count_rows(range(40), changing.now)

    check_against_anew(ours, changing, openmetrics=False)


def test_a_page_that_could_not_be_made_is_made_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, changing = exposition(), fleet()
    check_against_anew(ours, changing, openmetrics=False)
    changing.change("poll", "hq", 7)

    def no_room(lines: bytes) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(pages, "piece_of", no_room)
        with pytest.raises(MemoryError):
            check_against_anew(ours, changing, openmetrics=False)

    check_against_anew(ours, changing, openmetrics=False)


# --- what is kept, and what is not --------------------------------------------------------------


def many_rows(name: str) -> ChangingPBX:
    pbx = ChangingPBX(name, BOUNDS)
    pbx.count_rows(range(40), fleet().now)
    return pbx


def test_what_a_pbx_shares_with_the_last_page_is_not_compressed_again() -> None:
    ours, pbx = exposition(), many_rows("hq")
    changing = ChangingFleet({"hq": pbx, "branch": many_rows("branch")})
    changing.change("wait", "hq", 200)

    def pieces() -> list[object]:
        shots = [each.snapshot for each in changing.shown]
        rows = ours.all_pbxs(shots, changing.now, openmetrics=False)._shared
        return [piece for row in rows for block in row.blocks for piece in block.pieces]

    before = pieces()
    changing.change("row", "hq", 17)
    after = pieces()

    other = [new for new, old in zip(after, before, strict=True) if new is not old]
    # The rows, their durations, and the delay of all PBXs.
    assert len(other) == 3
    assert len(after) > 50


def test_the_text_of_a_page_is_made_piece_by_piece() -> None:
    pbx = many_rows("hq")
    body = exposition().all_pbxs([pbx.snapshot], fleet().now, openmetrics=False)
    longest = max(map(len, body.plain_parts()))

    assert longest < 30_000 < body.length


def test_nothing_is_kept_of_a_pbx_that_is_no_longer_shown() -> None:
    ours, gone, kept = exposition(), many_rows("gone"), many_rows("kept")
    now = fleet().now
    ours.all_pbxs([gone.snapshot, kept.snapshot], now, openmetrics=False)
    texts = {name: weakref.ref(text) for name, text in ours._pbxs.items()}
    page = ours.all_pbxs([kept.snapshot], now, openmetrics=False)

    gc.collect()
    assert texts["gone"]() is None
    assert texts["kept"]() is not None
    assert b'pbx="gone"' not in page.plain


def test_who_asks_for_one_pbx_at_a_time_says_which_are_to_be_kept() -> None:
    ours, gone, kept = exposition(), many_rows("gone"), many_rows("kept")
    now = fleet().now
    for pbx in (gone, kept):
        ours.one_pbx(pbx.snapshot, now, openmetrics=False)
    whole = ours.all_pbxs([gone.snapshot, kept.snapshot], now, openmetrics=False).plain
    texts = {name: weakref.ref(text) for name, text in ours._pbxs.items()}

    ours.keep_only(["kept"])

    gc.collect()
    assert texts["gone"]() is None
    assert texts["kept"]() is not None
    again = ours.all_pbxs([gone.snapshot, kept.snapshot], now, openmetrics=False).plain
    assert of_pbxs(again) == of_pbxs(whole)
