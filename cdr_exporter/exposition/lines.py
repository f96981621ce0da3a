"""How a line is written: byte for byte as prometheus_client writes it, in both formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from prometheus_client.utils import floatToGoString

from ..metrics.catalogue import HISTOGRAM, Family
from ..metrics.totals import Bounds, Series

Writer = Callable[[str, Series, Sequence[float]], bytes]
"""(PBX name, series, numbers of its value) → the lines of that series.

A histogram's value is a count for each bucket, the last one for +Inf, then the sum.
"""

# prometheus_client has no annotations for this function.
_number: Callable[[float], str] = floatToGoString


def writer(family: Family, bounds: Bounds) -> Writer:
    """Return the function that writes the lines of a series of *family*."""
    if family.kind == HISTOGRAM:
        return _histogram_writer(family, bounds[family.buckets])
    return lambda pbx, series, value: (
        f"{family.name}{_labels(family, pbx, series)} {_number(value[0])}\n".encode()
    )


def _histogram_writer(family: Family, bounds: tuple[int, ...]) -> Writer:
    edges = [*(_number(bound) for bound in bounds), "+Inf"]

    def write(pbx: str, series: Series, value: Sequence[float]) -> bytes:
        *counts, total = value
        cumulative = list(accumulate(counts))
        lines = [
            f"{family.name}_bucket{_labels(family, pbx, series, edge)} {_number(count)}\n"
            for edge, count in zip(edges, cumulative, strict=True)
        ]
        labels = _labels(family, pbx, series)
        lines.append(f"{family.name}_count{labels} {_number(cumulative[-1])}\n")
        lines.append(f"{family.name}_sum{labels} {_number(total)}\n")
        return "".join(lines).encode()

    return write


_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def _labels(family: Family, pbx: str, series: Series, edge: str | None = None) -> str:
    pairs = dict(zip(family.labels, series.labels, strict=True))
    if not family.process_wide:
        pairs["pbx"] = pbx
    if edge is not None:
        pairs["le"] = edge
    inner = ",".join(f'{name}="{pairs[name].translate(_ESCAPES)}"' for name in sorted(pairs))
    return f"{{{inner}}}"


def text_header(family: Family) -> bytes:
    """Return the HELP and TYPE lines of the text format 0.0.4."""
    return _header(family.name, family.help, family.kind)


def openmetrics_header(family: Family) -> bytes:
    """Return the HELP and TYPE lines of OpenMetrics 1.0, where no family name ends in `_total`."""
    name = family.name.removesuffix("_total")
    return _header(name, family.help.translate(_ESCAPES), family.kind)


def _header(name: str, words: str, kind: str) -> bytes:
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n".encode()
