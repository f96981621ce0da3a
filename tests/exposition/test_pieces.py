from __future__ import annotations

import zlib
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.exposition.measure import measure
from cdr_exporter.exposition.pieces import block_of, last_piece_of, piece_of

lines = st.lists(st.sampled_from([b"cdr_up 1.0\n", b"cdr_up 0.0\n", b"a" * 300, b"\x00\xff"]))
texts = st.lists(st.one_of(st.binary(max_size=200), lines.map(b"".join)), max_size=8)


@given(texts.flatmap(st.permutations), st.binary(max_size=50))
def test_pieces_in_any_order_and_an_end_are_one_deflate_stream(
    row: Sequence[bytes], end: bytes
) -> None:
    stream = b"".join(piece_of(text).deflated for text in row) + last_piece_of(end)

    reader = zlib.decompressobj(-zlib.MAX_WBITS)
    assert reader.decompress(stream) == b"".join(row) + end
    assert (reader.eof, reader.unused_data) == (True, b"")


@given(st.binary(max_size=3_000))
def test_a_piece_is_read_alone_and_has_its_measure(text: bytes) -> None:
    piece = piece_of(text)

    assert piece.text() == text
    assert piece.measure == measure(text, len(piece.deflated))


@given(texts)
def test_a_block_has_the_measure_of_its_pieces_in_a_row(row: Sequence[bytes]) -> None:
    block = block_of(map(piece_of, row))

    size = sum(len(piece.deflated) for piece in block.pieces)
    assert block.measure == measure(b"".join(row), size)


def test_the_same_lines_again_are_a_fifth_at_most() -> None:
    text = b"".join(b'cdr_records_total{trunk="sip-%d"} 7.0\n' % n for n in range(200))

    assert len(piece_of(text).deflated) < len(text) / 5
