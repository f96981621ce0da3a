"""Whole pages of all PBXs or of one, kept as long as they hold."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client import exposition as text_format
from prometheus_client.openmetrics import exposition as openmetrics_format

from ..clock import Now
from ..metrics.catalogue import BUILD_INFO, FAMILIES
from ..metrics.snapshot import Snapshot
from ..metrics.totals import Bounds, Series
from .body import Body, Kept
from .lines import openmetrics_header, text_header, writer
from .pbx_text import Blocks, PBXText

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_EOF = b"# EOF\n"

_RECENT = 1.0
"""Seconds for which a page is good enough for who would have to wait for a newer one."""

# Typed names for what the library leaves untyped.
_text_of: Callable[[CollectorRegistry], bytes] = text_format.generate_latest
_openmetrics_of: Callable[[CollectorRegistry], bytes] = openmetrics_format.generate_latest


class Exposition:
    """Renders snapshots; any number of threads may ask. *zones* are by the PBX's name.

    One at a time renders. Meanwhile others get the page of a moment ago, if there is one.
    """

    def __init__(
        self, bounds: Bounds, version: str, zones: Mapping[str, tzinfo] | None = None
    ) -> None:
        self._writers = {family.name: writer(family, bounds) for family in FAMILIES}
        self._zones = zones or {}
        self._pbxs: dict[str, PBXText] = {}
        self._views: dict[str | None, _View] = {}
        self._lock = threading.Lock()
        labels = (version, platform.python_version())
        self._build_info = writer(BUILD_INFO, bounds)("", Series(BUILD_INFO.name, labels), (1,))
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)

    def all(self, snapshots: Sequence[Snapshot], now: Now, *, openmetrics: bool) -> Body:
        """Return every PBX and the process-wide families."""
        kept = self._view(None, tuple(snapshots), now).body(openmetrics)
        return Body(kept, (_openmetrics_of if openmetrics else _text_of)(self._process))

    def one(self, snapshot: Snapshot, now: Now, *, openmetrics: bool) -> Body:
        """Return one PBX without the process-wide families."""
        kept = self._view(snapshot.pbx, (snapshot,), now).body(openmetrics)
        return Body(kept, _EOF if openmetrics else b"")

    def _view(self, key: str | None, snapshots: tuple[Snapshot, ...], now: Now) -> _View:
        view = self._views.get(key)
        if view is not None and view.still_holds(snapshots, now):
            return view
        if not self._lock.acquire(blocking=False):
            if view is not None and view.is_of_a_moment_ago(now):
                return view
            self._lock.acquire()
        try:
            view = self._views[key] = self._render(key, snapshots, now)
        finally:
            self._lock.release()
        return view

    def _render(self, key: str | None, snapshots: tuple[Snapshot, ...], now: Now) -> _View:
        texts = [self._text(snapshot.pbx) for snapshot in snapshots]
        families: dict[str, list[Blocks]] = {}
        if key is None:
            families[BUILD_INFO.name] = [[self._build_info]]
        for text, snapshot in zip(texts, snapshots, strict=True):
            for family, blocks in text.update(snapshot, now).items():
                families.setdefault(family, []).append(blocks)
        until = min((text.until for text in texts), default=float("inf"))
        # Who was held up on his way here came with older snapshots than were shown already.
        return _View(tuple(text.newest for text in texts), now, until, families)

    def _text(self, pbx: str) -> PBXText:
        if pbx not in self._pbxs:
            self._pbxs[pbx] = PBXText(pbx, self._writers, self._zones.get(pbx))
        return self._pbxs[pbx]


class _View:
    """The text of some snapshots, in both formats, as long as it holds."""

    def __init__(
        self,
        snapshots: tuple[Snapshot, ...],
        made_at: Now,
        until: float,
        families: Mapping[str, Sequence[Blocks]],
    ) -> None:
        self._snapshots = snapshots
        self._made_at = made_at.steady
        self._until = until
        self._families = families
        self._bodies: dict[bool, Kept] = {}

    def still_holds(self, snapshots: tuple[Snapshot, ...], now: Now) -> bool:
        """Say whether nothing was published since and nothing fell due by the clock."""
        if len(snapshots) != len(self._snapshots) or now.steady >= self._until:
            return False
        return all(map(_same, snapshots, self._snapshots))

    def is_of_a_moment_ago(self, now: Now) -> bool:
        """Say whether nobody would mind to get it though there is news."""
        return now.steady < min(self._until, self._made_at + _RECENT)

    def body(self, openmetrics: bool) -> Kept:
        kept = self._bodies.get(openmetrics)
        if kept is None:
            kept = self._bodies[openmetrics] = Kept(self._blocks(openmetrics))
        return kept

    def _blocks(self, openmetrics: bool) -> list[bytes]:
        header = openmetrics_header if openmetrics else text_header
        blocks = []
        for family in FAMILIES:
            if family.name in self._families:
                blocks.append(header(family))
                for each in self._families[family.name]:
                    blocks.extend(each)
        return blocks


def _same(one: Snapshot, other: Snapshot) -> bool:
    return one is other
