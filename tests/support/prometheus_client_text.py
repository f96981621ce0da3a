"""prometheus_client as the judge of our text: what it writes for the same snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_format
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from cdr_exporter.metrics.catalogue import COUNTER, FAMILIES, HISTOGRAM, Family
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Bounds, Series

from .rows import BOUNDS

both_formats = pytest.mark.parametrize(
    "openmetrics", [pytest.param(False, id="text"), pytest.param(True, id="OpenMetrics")]
)


class _Judge(Collector):
    """The same families, written by prometheus_client itself."""

    def __init__(self, snapshots: Sequence[Snapshot], bounds: Bounds = BOUNDS) -> None:
        self._snapshots = snapshots
        self._bounds = bounds

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            metric = self._metric(family)
            for shot in self._snapshots:
                gauges = {series: (value,) for series, value in shot.gauges.items()}
                for series, value in sorted({**shot.totals.series, **shot.own, **gauges}.items()):
                    if series.family == family.name:
                        self._add(metric, family, shot.pbx, series, value)
            if metric.samples:
                yield metric

    def _metric(self, family: Family) -> Any:
        labels = ["pbx", *family.labels]
        if family.kind == COUNTER:
            name = family.name.removesuffix("_total")
            return CounterMetricFamily(name, family.help, labels=labels)
        if family.kind == HISTOGRAM:
            return HistogramMetricFamily(family.name, family.help, labels=labels)
        return GaugeMetricFamily(family.name, family.help, labels=labels)

    def _add(
        self, metric: Any, family: Family, pbx: str, series: Series, value: Sequence[float]
    ) -> None:
        labels = [pbx, *series.labels]
        if family.kind != HISTOGRAM:
            metric.add_metric(labels, value[0])
            return
        *counts, total = value
        edges = [*map(floatToGoString, self._bounds[family.buckets]), "+Inf"]
        buckets = list(zip(edges, accumulate(counts), strict=True))
        metric.add_metric(labels, buckets=buckets, sum_value=total)


def text_of_prometheus_client(
    snapshots: Sequence[Snapshot], openmetrics: bool, bounds: Bounds = BOUNDS
) -> bytes:
    """Return what prometheus_client writes for *snapshots*, all of which is visible."""
    registry = CollectorRegistry()
    registry.register(_Judge(snapshots, bounds))
    write = openmetrics_format.generate_latest if openmetrics else generate_latest
    text = write(registry)
    assert isinstance(text, bytes)
    return text
