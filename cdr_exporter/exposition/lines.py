"""How a line is written: byte for byte as prometheus_client writes it, in both formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate

from prometheus_client.utils import floatToGoString

from ..metrics.catalogue import HISTOGRAM, Family
from ..metrics.totals import Bounds, Series

Writer = Callable[[str, Series, Sequence[float]], bytes]
"""(PBX name, series, numbers of its value) → the lines of that series.

A histogram's value is a count for each bucket, the last one for +Inf, then the sum.
"""

# prometheus_client has no annotations for this function.
_number_of_any_size: Callable[[float], str] = floatToGoString

_FIRST_WITH_EXPONENT = 1_000_000
"""From here on prometheus_client writes numbers with an exponent."""


def _number(value: float) -> str:
    if type(value) is int and 0 <= value < _FIRST_WITH_EXPONENT:
        return f"{value}.0"
    return _number_of_any_size(value)


_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def writer(family: Family, bounds: Bounds) -> Writer:
    """Return the function that writes the lines of a series of *family*."""
    if family.kind == HISTOGRAM:
        return _histogram_writer(family, bounds[family.buckets])
    labels = _label_writer(family)
    return lambda pbx, series, value: (
        f"{family.name}{{{','.join(labels(pbx, series))}}} {_number(value[0])}\n".encode()
    )


def _histogram_writer(family: Family, bounds: tuple[int, ...]) -> Writer:
    labels, place = _label_writer(family), sum(name < "le" for name in _names(family))
    edges = [*(f'le="{_number(bound)}"' for bound in bounds), 'le="+Inf"']

    def write(pbx: str, series: Series, value: Sequence[float]) -> bytes:
        *counts, total = value
        cumulative = list(accumulate(counts))
        pairs = labels(pbx, series)
        # What is the same in each bucket's line: a histogram is written at once, not line by line.
        head = f"{family.name}_bucket{{" + "".join([f"{pair}," for pair in pairs[:place]])
        tail = "".join([f",{pair}" for pair in pairs[place:]]) + "} "
        lines = [
            f"{head}{edge}{tail}{_number(count)}\n"
            for edge, count in zip(edges, cumulative, strict=True)
        ]
        inner = ",".join(pairs)
        lines.append(f"{family.name}_count{{{inner}}} {_number(cumulative[-1])}\n")
        lines.append(f"{family.name}_sum{{{inner}}} {_number(total)}\n")
        return "".join(lines).encode()

    return write


def _label_writer(family: Family) -> Callable[[str, Series], list[str]]:
    """Return the function that returns `name="value"` for each label, sorted by name."""
    names = _names(family)
    order = [(name, names.index(name)) for name in sorted(names)]

    def labels(pbx: str, series: Series) -> list[str]:
        if len(series.labels) != len(family.labels):
            raise ValueError("not the labels of this family")
        values = (*series.labels, pbx)
        return [_label(name, values[place]) for name, place in order]

    return labels


@lru_cache(maxsize=16_384)
def _label(name: str, value: str) -> str:
    return f'{name}="{value.translate(_ESCAPES)}"'


def _names(family: Family) -> tuple[str, ...]:
    return family.labels if family.process_wide else (*family.labels, "pbx")


def text_header(family: Family) -> bytes:
    """Return the HELP and TYPE lines of the text format 0.0.4."""
    return _header(family.name, family.help, family.kind)


def openmetrics_header(family: Family) -> bytes:
    """Return the HELP and TYPE lines of OpenMetrics 1.0, where no family name ends in `_total`."""
    name = family.name.removesuffix("_total")
    return _header(name, family.help.translate(_ESCAPES), family.kind)


def _header(name: str, words: str, kind: str) -> bytes:
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n".encode()
