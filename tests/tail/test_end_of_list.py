"""The end of a list is believed only where there is nothing below it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.ledger.order import BY_ID
from cdr_exporter.ledger.page import Page, page_of, query
from cdr_exporter.tail.end_of_list import EndOfList

from ..support.fake_pbx import FakePBX


class OddPBX(FakePBX):
    """Its total is *more* than it has rows; it sends none where that is None.

    A page ends after *most* rows, and with the row *stop*, unless it begins below that. Rows with
    ids in *hidden* have a place in the list and are not shown.
    """

    def __init__(
        self,
        rows: int,
        *,
        more: int | None = 0,
        most: int = 10_000,
        stop: int = 0,
        hidden: range = range(0),
    ) -> None:
        super().__init__(tells_total=more is not None)
        self.more, self.most, self.stop, self.hidden = more or 0, most, stop, hidden
        self.call(rows)

    def page(self, wanted: CDRQuery) -> Page:
        answer = self.fetch(wanted)
        rows = answer.rows[: self.most]
        if rows and rows[0].id >= self.stop:
            rows = [row for row in rows if row.id >= self.stop]
        rows = [row for row in rows if row.id not in self.hidden]
        total = answer.total if answer.total is None else answer.total + self.more
        return page_of(wanted, replace(answer, rows=rows, total=total))


def after_a_poll_gave_up() -> EndOfList:
    """Return what looks for the end once a poll gave up, and so doubts the total."""
    ending = EndOfList()
    ending.distrusts_total = True
    return ending


def read(ending: EndOfList, pbx: OddPBX, page: int, size: int) -> Page:
    return ending.observe(pbx.page(query(page, size)))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["look", "look", "read", "read", "move"]),
        st.integers(1, 8),
        st.integers(5, 60),
    ),
    min_size=6,
    max_size=25,
)


@pytest.mark.fault("C8")
@settings(max_examples=400)
@given(
    rows=st.integers(30, 60),
    more=st.sampled_from([None, 0, 1, 3, 50]),
    most=st.sampled_from([5, 15, 1000]),
    stop=st.sampled_from([0, 5, 12, 20]),
    hidden=st.sampled_from([range(0), range(10, 20), range(2, 20)]),
    grows=st.booleans(),
    steps=STEPS,
)
def test_no_page_is_taken_for_the_last_one_that_has_rows_below_it(
    rows: int,
    more: int | None,
    most: int,
    stop: int,
    hidden: range,
    grows: bool,
    steps: list[tuple[str, int, int]],
) -> None:
    # A PBX that hides rows and sends no total is believed: there is no way to notice.
    pbx = OddPBX(rows, more=more, most=most, stop=stop, hidden=hidden if more == 0 else range(0))
    ending = after_a_poll_gave_up()
    for kind, number, size in steps:
        if kind == "move":
            pbx.call(number) if grows else pbx.delete(*sorted(pbx.rows)[-number:])
            continue
        wanted = ending.next_query(ending._end_position, BY_ID) if kind == "look" else None
        page = ending.observe(pbx.page(wanted or query(number, size)))
        if page.is_last and page.size:
            assert page.lowest == min(pbx.rows)
            return


def test_two_pages_that_end_with_the_same_row_are_no_end_where_nobody_looked_below_it() -> None:
    pbx = OddPBX(60, more=None, stop=46)
    ending = after_a_poll_gave_up()
    pages = [read(ending, pbx, 1, 20), read(ending, pbx, 2, 8), read(ending, pbx, 2, 9)]

    assert {page.lowest for page in pages} == {46}
    assert not any(page.is_last for page in pages)


def test_a_list_that_hides_some_rows_does_not_end_above_them() -> None:
    pbx = OddPBX(60, hidden=range(2, 30))
    ending = after_a_poll_gave_up()
    read(ending, pbx, 1, 40)
    read(ending, pbx, 2, 25)
    nothing = read(ending, pbx, 32, 1)
    pages = [read(ending, pbx, 1, 40)]
    pages += [
        ending.observe(pbx.page(wanted)) for wanted in [ending.next_query(31, BY_ID)] if wanted
    ]
    pages += [read(ending, pbx, 1, 40), read(ending, pbx, 2, 25)]

    assert nothing.size == 0
    assert pages[1].lowest == 1
    assert not any(page.is_last for page in pages if page.lowest == 30)


def test_what_was_looked_for_below_the_end_is_void_once_rows_were_deleted_above_it() -> None:
    pbx = OddPBX(120, more=None, stop=16)
    ending = after_a_poll_gave_up()
    read(ending, pbx, 4, 30)
    read(ending, pbx, 8, 14)
    pbx.delete(*range(101, 121))
    nothing = read(ending, pbx, 106, 1)
    pages = [read(ending, pbx, 3, 35), read(ending, pbx, 2, 70)]

    assert nothing.size == 0
    assert [page.lowest for page in pages] == [16, 16]
    assert not any(page.is_last for page in pages)


@pytest.mark.parametrize("more", [None, 1, 2, 700], ids=["no-total", "one", "two", "many"])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 20, 21, 499, 500, 501, 30_001])
def test_the_end_is_found_in_a_few_reads(rows: int, more: int | None) -> None:
    pbx = OddPBX(rows, more=more)
    ending = after_a_poll_gave_up()
    size = 500 if rows % 500 else 501
    pages = [read(ending, pbx, (rows - 1) // size + 1, size) for _ in range(2)]
    while not pages[-1].is_last and len(pages) < 8:
        wanted = ending.next_query(rows, BY_ID)
        assert wanted is not None
        pages.append(ending.observe(pbx.page(wanted)))

    assert pages[-1].is_last
    assert pages[-1].lowest == 1
    assert sum(page.size for page in pages[2:]) <= 10


@pytest.mark.parametrize("more", [None, 3], ids=["no-total", "too-large"])
def test_rows_that_are_added_while_the_end_is_looked_for_do_not_hide_it(more: int | None) -> None:
    pbx = OddPBX(30, more=more)
    ending = after_a_poll_gave_up()
    read(ending, pbx, 1, 40)
    read(ending, pbx, 2, 20)
    pbx.call(25)
    position, pages = 30, []
    for _ in range(8):
        wanted = ending.next_query(position, BY_ID) or query(position // 9 + 1, 9)
        pages.append(ending.observe(pbx.page(wanted)))
        position = 55

    assert any(page.is_last for page in pages)


def test_a_total_is_believed_until_a_poll_has_given_up() -> None:
    pbx = OddPBX(7, more=1)
    ending = EndOfList()
    pages = [read(ending, pbx, 1, size) for size in (20, 30)]

    assert ending.next_query(7, BY_ID) is None
    assert not any(page.is_last for page in pages)
