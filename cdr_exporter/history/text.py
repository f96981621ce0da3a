"""A block of samples as OpenMetrics text, in the lines of `/metrics`. Pure.

cdr_calls_total{instance="…",job="…",call_type="Inbound",outcome="answered",…} 7.0 1764200000
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import NamedTuple

from ..exposition.lines import Writer, openmetrics_header, writer
from ..exposition.utc_offset import utc_offset
from ..metrics.catalogue import TRAFFIC_FAMILIES, UP, UTC_OFFSET
from ..metrics.totals import Bounds, Series
from .counting import Changes

FAMILIES = (*TRAFFIC_FAMILIES, UP, UTC_OFFSET)

_EOF = b"# EOF\n"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

Runs = Mapping[Series, Sequence[tuple[int, Sequence[float]]]]
"""For each series, from which time on (epoch seconds) it has which value."""


class PBXBlock(NamedTuple):
    """What one block has of the PBX *name*: samples at *times*, by *runs* of equal values.

    *labels* are those of the scrape target, as `target_labels` writes them.
    """

    name: str
    labels: bytes
    times: range
    runs: Runs


def target_labels(labels: Mapping[str, str]) -> bytes:
    """Return *labels* as they stand in a line, behind the brace."""
    pairs = (f'{name}="{value.translate(_ESCAPES)}",' for name, value in sorted(labels.items()))
    return "".join(pairs).encode()


def with_gauges(changes: Changes, times: range, zone: tzinfo) -> Runs:
    """Return *changes* with the UTC offset of *zone*, and with the PBX up."""
    offsets = [(time, (utc_offset(zone, time),)) for time in times]
    changed = [each for n, each in enumerate(offsets) if not n or each[1] != offsets[n - 1][1]]
    return {**changes, Series(UP.name): [(times[0], (1,))], Series(UTC_OFFSET.name): changed}


def block_text(
    pbxs: Sequence[PBXBlock], bounds: Bounds, hidden: Collection[str] = ()
) -> Iterator[bytes]:
    """Yield the text of one block of all *pbxs*, a part for each series.

    Families whose names are in *hidden* are left out, as they are on `/metrics`.
    """
    of_family = [_by_family(pbx) for pbx in pbxs]
    for family in FAMILIES:
        if family.name not in hidden and any(family.name in series for series in of_family):
            yield openmetrics_header(family)
            write = writer(family, bounds)
            for pbx, series in zip(pbxs, of_family, strict=True):
                for key in sorted(series.get(family.name, ())):
                    yield _samples(pbx, key, write)
    yield _EOF


def _by_family(pbx: PBXBlock) -> Mapping[str, Sequence[Series]]:
    found: dict[str, list[Series]] = {}
    for series in pbx.runs:
        found.setdefault(series.family, []).append(series)
    return found


def _samples(pbx: PBXBlock, series: Series, write: Writer) -> bytes:
    """Return all samples of *series*: each line of `/metrics`, at each time, in order of time."""
    runs, times = pbx.runs[series], pbx.times
    begins = [times.index(time) for time, _ in runs]
    stamps = [f" {time}\n".encode() for time in times]
    parts = []
    for (_, value), begin, end in zip(runs, begins, [*begins[1:], len(times)], strict=True):
        lines = write(pbx.name, series, value).split(b"\n")[:-1]
        # Every family here has the label `pbx`, so there is a brace, and the first is ours.
        labelled = [line.replace(b"{", b"{" + pbx.labels, 1) for line in lines]
        parts += [line + stamp for stamp in stamps[begin:end] for line in labelled]
    return b"".join(parts)
