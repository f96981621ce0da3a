"""The rows of blocks that a page has: that of all PBXs, and that of one.

    header, block, block, …     a family: a block for each PBX, in the order of the PBXs
    header, block, block, …     a small family: a block for so many PBXs at a time

Rule: a new page shares with the last what has not changed, its checksums too. A page that was
handed out does not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from ..metrics.catalogue import FAMILIES, Family
from .body import Row, row_of
from .family_text import NO_TEXT, SMALL
from .lines import openmetrics_header, text_header
from .measure import EMPTY, MeasureTree
from .pbx_text import TextByFamily
from .pieces import NO_BLOCK, Block, block_of, piece_of

_PBXS_PER_BLOCK = 32
"""Of a small family. With more a change costs more, and with fewer the page is larger."""


class WholePage:
    """All families of the PBXs *names*, in this order, as `update` was last told of them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._texts: Sequence[TextByFamily] = [{} for _ in names]
        groups = -(-len(names) // _PBXS_PER_BLOCK)
        self._rows = {
            family.name: _FamilyRow(groups if family.name in SMALL else len(names))
            for family in FAMILIES
        }

    def update(self, texts: Sequence[TextByFamily]) -> Mapping[str, Row]:
        """Return the rows by name of the family, where there are any; *texts* are those of now."""
        for name, positions in _changed_families(self._texts, texts).items():
            self._rows[name].replace(_blocks(name, positions, texts))
        # At last, so that nothing is left out for good where this has failed in between.
        self._texts = texts
        return {name: each.row for name, each in self._rows.items() if each.row.blocks}


def _changed_families(
    before: Sequence[TextByFamily], after: Sequence[TextByFamily]
) -> Mapping[str, Sequence[int]]:
    """Return the positions of the PBXs in which a family has changed, by its name."""
    changed: dict[str, list[int]] = {}
    for position, (old, new) in enumerate(zip(before, after, strict=True)):
        for name in _other_names(old, new):
            changed.setdefault(name, []).append(position)
    return changed


def _other_names(before: TextByFamily, after: TextByFamily) -> Sequence[str]:
    """Return the families whose text is another one; nearly always they are the same families."""
    if before is after:
        return ()
    if list(before) != list(after):
        names = before.keys() | after.keys()
        return [name for name in names if before.get(name) is not after.get(name)]
    pairs = zip(after.items(), before.values(), strict=True)
    return [name for (name, new), old in pairs if new is not old]


def _blocks(
    name: str, positions: Iterable[int], texts: Sequence[TextByFamily]
) -> Mapping[int, Block]:
    """Return the blocks of the family *name* that are others where the PBXs *positions* are."""
    if name not in SMALL:
        return {each: texts[each].get(name, NO_TEXT).block for each in positions}
    groups = {position // _PBXS_PER_BLOCK for position in positions}
    return {group: _block_of_many(name, texts[_members(group)]) for group in groups}


def _members(group: int) -> slice:
    return slice(group * _PBXS_PER_BLOCK, (group + 1) * _PBXS_PER_BLOCK)


def _block_of_many(name: str, texts: Iterable[TextByFamily]) -> Block:
    lines = b"".join([each[name].text for each in texts if name in each])
    return block_of([piece_of(lines)] if lines else ())


class _FamilyRow:
    """The blocks of one family, some of which are replaced at a time."""

    def __init__(self, count: int) -> None:
        self.row = Row((), EMPTY)
        self._blocks = [NO_BLOCK] * count
        self._measures = MeasureTree(count)

    def replace(self, changed: Mapping[int, Block]) -> None:
        for index, block in changed.items():
            self._blocks[index] = block
        self._measures.replace({index: block.measure for index, block in changed.items()})
        whole = self._measures.root
        self.row = Row(tuple(self._blocks) if whole.length else (), whole)


def with_headers(rows: Mapping[str, Row], openmetrics: bool) -> Iterator[Row]:
    """Yield the *rows* of families in the order of the catalogue, each after its header."""
    for family in FAMILIES:
        if family.name in rows:
            yield _header_row(family, openmetrics)
            yield rows[family.name]


def one_pbx(texts: TextByFamily, openmetrics: bool) -> tuple[Sequence[Row], bytes]:
    """Return the page of one PBX: rows, and the lines that follow them.

    Neighbouring small families are compressed together: this page has one PBX's lines of each.
    """
    rows: list[Row] = []
    lines = b""
    for family in FAMILIES:
        text = texts.get(family.name, NO_TEXT)
        if family.name in SMALL and text.text:
            lines += _header(family, openmetrics) + text.text
        elif text.block.pieces:
            rows += [row_of(block_of([piece_of(lines)]))] if lines else []
            rows += [_header_row(family, openmetrics), row_of(text.block)]
            lines = b""
    return rows, lines


@cache
def _header_row(family: Family, openmetrics: bool) -> Row:
    return row_of(block_of([piece_of(_header(family, openmetrics))]))


def _header(family: Family, openmetrics: bool) -> bytes:
    return openmetrics_header(family) if openmetrics else text_header(family)
