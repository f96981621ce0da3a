"""The lines of one family of one PBX, never changed: other values make another one.

Rule: numbers that stay the same are neither written nor compressed again. What is kept of a text is
its pieces, and the values that it shows, which are those of the snapshot and no copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..metrics.catalogue import FAMILIES, HISTOGRAM, Family
from ..metrics.totals import Bounds, Series, value_length
from .lines import writer
from .pieces import NO_BLOCK, Block, Piece, block_of, piece_of

Values = Sequence[Sequence[float]]
"""The value of each series, in the order of the series."""

_LINES_PER_PIECE = 200
"""About how many. With fewer a change costs less, and the page is larger: with 100 by an eighth."""

SMALL = frozenset(family.name for family in FAMILIES if family.known_labels)
"""The families that have few lines in each PBX, since all of their label sets are known beforehand.

Their lines are kept as text, and compressed together with those of other PBXs: by themselves they
would hardly become smaller. Most of what changes with each poll is among them.
"""


@dataclass(frozen=True, slots=True)
class FamilyText:
    """The lines of *series*, which are sorted by label values, as they show *values*.

    Of a small family they are in *text*, of any other in *block*.
    """

    series: Sequence[Series] = ()
    values: Values = ()
    text: bytes = b""
    block: Block = NO_BLOCK


NO_TEXT = FamilyText()


class FamilyWriter:
    """Writes the lines of one family, of any PBX, whose histograms have *bounds*."""

    def __init__(self, family: Family, bounds: Bounds) -> None:
        self._write = writer(family, bounds)
        self._is_small = family.name in SMALL
        lines = value_length(family, bounds) + 1 if family.kind == HISTOGRAM else 1
        self._series_per_piece = max(1, _LINES_PER_PIECE // lines)

    def after(
        self, before: FamilyText, pbx: str, series: Sequence[Series], values: Values
    ) -> FamilyText:
        """Return the text of *series*; *before* itself, where nothing has changed."""
        if values == before.values and series == before.series:
            return before
        if self._is_small:
            return FamilyText(series, values, text=self._text(pbx, series, values))
        pieces = self._pieces(before, pbx, series, values)
        return FamilyText(series, values, block=block_of(pieces, before.block.measure))

    def _pieces(
        self, before: FamilyText, pbx: str, series: Sequence[Series], values: Values
    ) -> Iterator[Piece]:
        for number, first in enumerate(range(0, len(series), self._series_per_piece)):
            part = slice(first, first + self._series_per_piece)
            old, new = before.values[part], values[part]
            if series[part] != before.series[part]:
                yield piece_of(self._text(pbx, series[part], new))
            elif new == old:
                yield before.block.pieces[number]
            else:
                known = before.block.pieces[number]
                text = self._mended(known.text(), pbx, series[part], old, new)
                yield piece_of(text, known.measure)

    def _mended(
        self, text: bytes, pbx: str, series: Sequence[Series], old: Values, new: Values
    ) -> bytes:
        """Return *text*, which shows *old*, as it shows *new*: few of its lines are others.

        The lines of a series are found by what they are, since no two series have the same, and a
        quote within a label is written with a backslash.
        """
        for each, was, now in zip(series, old, new, strict=True):
            if was != now:
                text = text.replace(self._write(pbx, each, was), self._write(pbx, each, now), 1)
        return text

    def _text(self, pbx: str, series: Sequence[Series], values: Values) -> bytes:
        return b"".join([self._write(pbx, *each) for each in zip(series, values, strict=True)])
