"""Whole pages, of all PBXs or of one, each reused until something in it changes."""

from __future__ import annotations

import operator
import platform
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import tzinfo

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client import exposition as text_format
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_format
from prometheus_client.registry import Collector

from ..clock import Now
from ..metrics.catalogue import BUILD_INFO, COUNTER, FAMILIES, Family
from ..metrics.snapshot import Snapshot
from ..metrics.totals import Bounds, Series
from .body import Body, CompressedBlocks
from .lines import openmetrics_header, text_header, writer
from .pbx_text import Blocks, PBXText

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

ProcessValues = Mapping[Family, float | Mapping[str, float]]
"""Values of the whole process: of a family with a label by the values of that."""

_EOF = b"# EOF\n"

_RECENT_SECONDS = 1.0
"""How old, in seconds, a page may be for a scrape that would otherwise wait for the lock."""

# prometheus_client has no annotations for these two functions.
_render_text: Callable[[CollectorRegistry], bytes] = text_format.generate_latest
_render_openmetrics: Callable[[CollectorRegistry], bytes] = openmetrics_format.generate_latest


class Exposition:
    """Renders snapshots; any number of threads may call it.

    *bounds* are the bucket bounds of the histograms by the name of their setting, *version* and
    *revision* are those of this program, *zones* are the time zones by the name of the PBX.
    *hidden* are names of families in `TRAFFIC_FAMILIES` that are left out; *process* returns what
    there is of the whole process.

    One thread at a time renders. Meanwhile other threads get the previous page, if it is recent.
    """

    def __init__(
        self,
        bounds: Bounds,
        version: str,
        zones: Mapping[str, tzinfo] | None = None,
        hidden: Collection[str] = (),
        revision: str = "unknown",
        process: Callable[[], ProcessValues] = dict,
    ) -> None:
        self._writers = {family.name: writer(family, bounds) for family in FAMILIES}
        self._zones = zones or {}
        self._hidden = frozenset(hidden)
        self._pbxs: dict[str, PBXText] = {}
        self._pages: dict[str | None, _CachedPage] = {}
        self._lock = threading.Lock()
        labels = (version, revision, platform.python_version())
        self._build_info = writer(BUILD_INFO, bounds)("", Series(BUILD_INFO.name, labels), (1,))
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        self._process.register(_OfTheProcess(process))

    def all_pbxs(self, snapshots: Sequence[Snapshot], now: Now, *, openmetrics: bool) -> Body:
        """Return the page of every PBX, with the process-wide families."""
        shared = self._page(None, tuple(snapshots), now).blocks(openmetrics)
        return Body(shared, (_render_openmetrics if openmetrics else _render_text)(self._process))

    def one_pbx(self, snapshot: Snapshot, now: Now, *, openmetrics: bool) -> Body:
        """Return the page of one PBX, without the process-wide families."""
        shared = self._page(snapshot.pbx, (snapshot,), now).blocks(openmetrics)
        return Body(shared, _EOF if openmetrics else b"")

    def _page(self, key: str | None, snapshots: tuple[Snapshot, ...], now: Now) -> _CachedPage:
        page = self._pages.get(key)
        if page is not None and page.is_current(snapshots, now):
            return page
        if not self._lock.acquire(blocking=False):
            if page is not None and page.is_recent(snapshots, now):
                return page
            self._lock.acquire()
        try:
            page = self._pages[key] = self._render(key, snapshots, now)
        finally:
            self._lock.release()
        return page

    def _render(self, key: str | None, snapshots: tuple[Snapshot, ...], now: Now) -> _CachedPage:
        texts = [self._text(snapshot.pbx) for snapshot in snapshots]
        families: dict[str, list[Blocks]] = {}
        if key is None:
            families[BUILD_INFO.name] = [[self._build_info]]
        for text, snapshot in zip(texts, snapshots, strict=True):
            for family, blocks in text.update(snapshot, now).items():
                families.setdefault(family, []).append(blocks)
        valid_until = min((text.valid_until for text in texts), default=float("inf"))
        # A scrape that waited for the lock may carry older snapshots than those rendered
        # meanwhile; a page never goes back to them.
        return _CachedPage(tuple(text.newest for text in texts), now, valid_until, families)

    def _text(self, pbx: str) -> PBXText:
        if pbx not in self._pbxs:
            self._pbxs[pbx] = PBXText(pbx, self._writers, self._zones.get(pbx), self._hidden)
        return self._pbxs[pbx]


class _OfTheProcess(Collector):
    """Families of the whole process, with the values that *read* returns at a scrape."""

    def __init__(self, read: Callable[[], ProcessValues]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each."""
        for family, value in self._read().items():
            kind = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
            if not isinstance(value, Mapping):
                yield kind(family.name, family.help, value)
                continue
            labelled = kind(family.name, family.help, labels=family.labels)
            for label, number in value.items():
                labelled.add_metric([label], number)
            yield labelled


class _CachedPage:
    """A page as it was rendered once, in both formats.

    *valid_until* is a time on the steady clock. *families* are blocks of lines by family name.
    """

    def __init__(
        self,
        snapshots: tuple[Snapshot, ...],
        rendered_at: Now,
        valid_until: float,
        families: Mapping[str, Sequence[Blocks]],
    ) -> None:
        self._snapshots = snapshots
        self._rendered_at = rendered_at.steady
        self._valid_until = valid_until
        self._families = families
        self._blocks: dict[bool, CompressedBlocks] = {}

    def is_current(self, snapshots: tuple[Snapshot, ...], now: Now) -> bool:
        """Say whether it shows these snapshots and the clock has changed nothing in it."""
        if len(snapshots) != len(self._snapshots) or now.steady >= self._valid_until:
            return False
        return all(map(operator.is_, snapshots, self._snapshots))

    def is_recent(self, snapshots: tuple[Snapshot, ...], now: Now) -> bool:
        """Say whether a scrape may get it although newer *snapshots*, of the same PBXs, came."""
        if now.steady >= min(self._valid_until, self._rendered_at + _RECENT_SECONDS):
            return False
        # A PBX that another replica shows by now is never shown here.
        return [each.pbx for each in snapshots] == [each.pbx for each in self._snapshots]

    def blocks(self, openmetrics: bool) -> CompressedBlocks:
        """Return the lines with the headers of one format."""
        blocks = self._blocks.get(openmetrics)
        if blocks is None:
            blocks = self._blocks[openmetrics] = CompressedBlocks(self._with_headers(openmetrics))
        return blocks

    def _with_headers(self, openmetrics: bool) -> list[bytes]:
        header = openmetrics_header if openmetrics else text_header
        blocks = []
        for family in FAMILIES:
            if family.name in self._families:
                blocks.append(header(family))
                for blocks_of_pbx in self._families[family.name]:
                    blocks.extend(blocks_of_pbx)
        return blocks
