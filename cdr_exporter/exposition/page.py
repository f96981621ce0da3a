"""The page of all PBXs and that of one, each rendered when something in it has changed."""

from __future__ import annotations

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
from .body import Body, Row, row_of
from .family_text import FamilyWriter
from .lines import writer
from .pages import WholePage, one_pbx, with_headers
from .pbx_text import PBXRendered, PBXText
from .pieces import block_of, piece_of
from .rendered import Rendered, T

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

ProcessValues = Mapping[Family, float | Mapping[str, float]]
"""Values of the whole process: of a family with a label by the values of that."""

_EOF = b"# EOF\n"

_AHEAD_SECONDS = 5.0
"""A PBX is rendered ahead of a scrape once in so many seconds at most."""

# prometheus_client has no annotations for these two functions.
_render_text: Callable[[CollectorRegistry], bytes] = text_format.generate_latest
_render_openmetrics: Callable[[CollectorRegistry], bytes] = openmetrics_format.generate_latest


_AllRendered = Rendered[Row]


class Exposition:
    """Renders snapshots; any number of threads may call it.

    *bounds* are the bucket bounds of the histograms by the name of their setting, *version* and
    *revision* are those of this program, *zones* are the time zones by the name of the PBX.
    *hidden* are names of families in `TRAFFIC_FAMILIES` that are left out; *process* returns what
    there is of the whole process.

    One thread at a time renders. Meanwhile other threads get the previous page, if it is recent.
    What was published is rendered ahead of the scrapes, one PBX after another: so a scrape has
    little left to render, and waits for one PBX at most.
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
        self._writers = {family.name: FamilyWriter(family, bounds) for family in FAMILIES}
        self._zones = zones or {}
        self._hidden = frozenset(hidden)
        self._pbxs: dict[str, PBXText] = {}
        self._whole = WholePage(())
        self._page: _AllRendered | None = None
        self._lock = threading.Lock()
        labels = (version, revision, platform.python_version())
        build_info = writer(BUILD_INFO, bounds)("", Series(BUILD_INFO.name, labels), (1,))
        self._build_info = row_of(block_of([piece_of(build_info)]))
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        self._process.register(_OfTheProcess(process))

    def all_pbxs(self, snapshots: Sequence[Snapshot], now: Now, *, openmetrics: bool) -> Body:
        """Return the page of every PBX, with the process-wide families; forget all other PBXs."""
        page = self._rendered(self._page, tuple(snapshots), now, self._render_all)
        rows = {**page.families, BUILD_INFO.name: self._build_info}
        own = (_render_openmetrics if openmetrics else _render_text)(self._process)
        return Body(tuple(with_headers(rows, openmetrics)), own)

    def one_pbx(self, snapshot: Snapshot, now: Now, *, openmetrics: bool) -> Body:
        """Return the page of one PBX, without the process-wide families."""
        text = self._pbxs.get(snapshot.pbx)
        known = None if text is None else text.rendered
        rendered = self._rendered(known, (snapshot,), now, self._render_one)
        rows, lines = one_pbx(rendered.families, openmetrics)
        return Body(rows, lines + (_EOF if openmetrics else b""))

    def behind(self, snapshots: Sequence[Snapshot], now: Now) -> Sequence[Snapshot]:
        """Return those of *snapshots* that should be rendered before the next scrape comes.

        One whose PBX was rendered within `_AHEAD_SECONDS` is left to the scrape: of a PBX that
        publishes page after page, most would be rendered for nobody.
        """
        return [each for each in snapshots if self._is_behind(each, now)]

    def _is_behind(self, snapshot: Snapshot, now: Now) -> bool:
        text = self._pbxs.get(snapshot.pbx)
        if text is None:
            return True
        is_old = now.steady >= text.rendered.rendered_at + _AHEAD_SECONDS
        return is_old and not text.rendered.is_current((snapshot,), now)

    def render_ahead(self, snapshot: Snapshot, now: Now) -> None:
        """Render one PBX, so that a scrape finds it rendered; not while another thread renders."""
        if self._lock.acquire(blocking=False):
            try:
                self._text(snapshot.pbx).update(snapshot, now)
            finally:
                self._lock.release()

    def keep_only(self, names: Collection[str]) -> None:
        """Forget the text of every PBX but *names*, so that it takes no memory.

        One that comes back is rendered anew. `all_pbxs` does it with the PBXs that it is given.
        """
        with self._lock:
            self._keep_only(names)

    def _keep_only(self, names: Collection[str]) -> None:
        kept = frozenset(names)
        self._pbxs = {name: text for name, text in self._pbxs.items() if name in kept}
        if not kept.issuperset(self._whole.names):
            self._whole, self._page = WholePage(()), None

    def _rendered(
        self,
        known: Rendered[T] | None,
        snapshots: tuple[Snapshot, ...],
        now: Now,
        render: Callable[[tuple[Snapshot, ...], Now], Rendered[T]],
    ) -> Rendered[T]:
        """Return what *render* makes of *snapshots*, or what is *known* where that will do."""
        if known is not None and known.is_current(snapshots, now):
            return known
        if not self._lock.acquire(blocking=False):
            if known is not None and known.is_recent(snapshots, now):
                return known
            self._lock.acquire()
        try:
            return render(snapshots, now)
        finally:
            self._lock.release()

    def _render_one(self, snapshots: tuple[Snapshot, ...], now: Now) -> PBXRendered:
        [snapshot] = snapshots
        return self._text(snapshot.pbx).update(snapshot, now)

    def _text(self, pbx: str) -> PBXText:
        if pbx not in self._pbxs:
            self._pbxs[pbx] = PBXText(pbx, self._writers, self._zones.get(pbx), self._hidden)
        return self._pbxs[pbx]

    def _render_all(self, snapshots: tuple[Snapshot, ...], now: Now) -> _AllRendered:
        names = tuple(snapshot.pbx for snapshot in snapshots)
        if names != self._whole.names:
            self._keep_only(names)
            self._whole = WholePage(names)
        rendered = [self._text(each.pbx).update(each, now) for each in snapshots]
        rows = self._whole.update([each.families for each in rendered])
        # A scrape that waited for the lock may carry older snapshots than those rendered
        # meanwhile; a page never goes back to them.
        self._page = Rendered(
            tuple(each.snapshots[0] for each in rendered),
            now.steady,
            min((each.valid_until for each in rendered), default=float("inf")),
            rows,
        )
        return self._page


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
