"""`history`: from the flags to blocks, PBX by PBX and then block by block.

seam_of       until when: never two sources in one series at one time      seam
read_past     what the PBX still has → legs in a file                      reading
timeline      legs → what each series shows at which time                  counting, grid
block_text    → OpenMetrics text, two hours of all PBXs                    text
write_block   → a block, by promtool                                       folder, promtool
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..clock import Clock
from ..errors import ExporterError, PBXError
from ..ingest import call_rules_of
from ..metrics.call_metrics import number_zeros
from ..metrics.totals import Bounds
from ..settings import PBX, SecretSource, Settings
from ..store import LegFile, Publication
from ..tail.page_reader import CDRList, Stopped
from . import promtool
from .counting import Changes, Counting, timeline
from .folder import Folder, Plan
from .grid import BLOCK_SECONDS, DAY_SECONDS, block_before, blocks, clipped
from .reading import ReadingFailed, Source, read_past
from .seam import Seam, seam_of
from .text import PBXBlock, block_text, target_labels, with_gauges


class Interrupted(ExporterError):
    """The program was told to end before all was written: exit 1; a later run goes on."""


class Asked(NamedTuple):
    """What the flags ask for.

    *step* is in seconds, None for the usual ones; *end* in epoch seconds, None for the latest.
    *labels* are those of the scrape target; with *by_pbx*, `instance` is the name of the PBX.
    *text* wants text, also where there is promtool. *block_seconds* is the length of a block.
    *new_prometheus* says that the Prometheus which gets the blocks has no data yet.
    """

    output: Path
    days: int
    step: int | None
    end: float | None
    labels: Mapping[str, str]
    by_pbx: bool = False
    text: bool = False
    block_seconds: int = BLOCK_SECONDS
    new_prometheus: bool = False

    def labels_of(self, pbx: str) -> Mapping[str, str]:
        """Return the labels of the scrape target of *pbx*."""
        return {**self.labels, "instance": pbx} if self.by_pbx else self.labels


class Machine(NamedTuple):
    """What a run needs of the machine.

    *lists* returns the CDR list of a PBX, *noted* is called with a line about how far it is.
    *publication* says since when an exporter has shown the series of a PBX; raises `ExporterError`.
    """

    clock: Clock
    lists: Callable[[PBX], CDRList]
    noted: Callable[[str], None]
    publication: Callable[[PBX], Publication]


class Result(NamedTuple):
    """What was written: so many *blocks*, as text where *tool* is None.

    *spans* are the first time and the one behind the last, in epoch seconds, by PBX; one of which
    no row was found has none.
    """

    blocks: int
    tool: str | None
    spans: Mapping[str, tuple[int, float]]


class _Past(NamedTuple):
    """The past of one PBX: from *begin*, a block's, to before the *seam*'s end."""

    pbx: PBX
    seam: Seam
    legs: LegFile
    begin: int


def write_past(asked: Asked, settings: Settings, bounds: Bounds, machine: Machine) -> Result:
    """Write the past of all PBXs into the folder, and go on where an earlier run was ended.

    Raises `ConfigError`, `StateInUse` and other `ExporterError`s, each with one clear line.
    """
    folder = Folder(asked.output)
    digest = _digest(asked, settings, bounds)
    with ExitStack() as opened:
        opened.enter_context(folder.opened())
        plan = folder.plan()
        if plan is None:
            plan = Plan(digest, _seams(asked, settings, machine))
            folder.begin(plan)
        folder.check_same(plan, digest)
        try:
            pasts = [
                _read(opened, folder, pbx, settings, asked, plan.seams[pbx.name], bounds, machine)
                for pbx in settings.pbxs
            ]
            found = [past for past in pasts if past is not None]
            result = _write(folder, found, asked, bounds, machine, settings.hide_families)
        except Stopped:
            raise Interrupted("stopped; the same command goes on") from None
        folder.finish()
    return result


def _seams(asked: Asked, settings: Settings, machine: Machine) -> Mapping[str, Seam]:
    now = machine.clock.now().wall
    found = {}
    for pbx in settings.pbxs:
        found[pbx.name] = seam_of(
            *(pbx.name, machine.publication(pbx), pbx.start, now, asked.end),
            new_prometheus=asked.new_prometheus,
        )
    return found


def _read(
    opened: ExitStack,
    folder: Folder,
    pbx: PBX,
    settings: Settings,
    asked: Asked,
    seam: Seam,
    bounds: Bounds,
    machine: Machine,
) -> _Past | None:
    """Read one PBX; None where it has no row of that time."""
    legs = opened.enter_context(closing(LegFile(folder.work / f"{pbx.name}.legs")))
    source = Source(
        pbx,
        machine.lists(pbx),
        settings.machine_callees,
        bounds,
        machine.clock,
        lambda rows: machine.noted(f"{pbx.name}: {rows:,} rows read"),
    )
    begin = block_before(seam.end - asked.days * DAY_SECONDS, asked.block_seconds)
    # Rows of before are read for the calls that end later; with a baseline, for its values.
    not_before = None if seam.baseline else begin - pbx.longest_call
    try:
        read_past(source, legs, folder.work / pbx.name, not_before)
    except PBXError as error:
        if machine.clock.stopping:
            raise Stopped from None
        problem = str(error)
    else:
        return _past_in(legs, pbx, seam, begin, asked.block_seconds)
    raise ReadingFailed(f"{pbx.name}: {problem}; when that is mended, the same command goes on")


def _past_in(legs: LegFile, pbx: PBX, seam: Seam, begin: int, length: int) -> _Past | None:
    oldest = legs.oldest_end()
    if oldest is None or oldest >= seam.end:
        return None
    return _Past(pbx, seam, legs, max(begin, block_before(oldest, length)))


def _write(
    folder: Folder,
    pasts: Sequence[_Past],
    asked: Asked,
    bounds: Bounds,
    machine: Machine,
    hidden: Collection[str],
) -> Result:
    tool = None if asked.text else promtool.find()
    spans = {past.pbx.name: (past.begin, past.seam.end) for past in pasts}
    begin = min((past.begin for past in pasts), default=0)
    end = max((past.seam.end for past in pasts), default=0.0)
    length = asked.block_seconds
    grid = list(blocks(begin, end, asked.step, length)) if pasts else []
    running = [_Running(past, asked, bounds, grid) for past in pasts]
    written = folder.written(length)
    for number, times in enumerate(grid, start=1):
        if machine.clock.stopping:
            raise Stopped
        parts = [part for each in running if (part := each.next_block(times)) is not None]
        if (start := block_before(times[0], length)) not in written:
            text = block_text(parts, bounds, hidden)
            if tool is None:
                folder.write_text(start, text)
            else:
                folder.write_block(tool, text, length)
        machine.noted(f"{number:,} of {len(grid):,} blocks written")
    return Result(len(grid), tool, spans)


class _Running:
    """The timeline of one PBX, block by block."""

    def __init__(self, past: _Past, asked: Asked, bounds: Bounds, grid: Sequence[range]) -> None:
        self._past = past
        self._labels = target_labels(asked.labels_of(past.pbx.name))
        self._zone = ZoneInfo(past.pbx.timezone)
        self._timeline = self._counted(bounds, [t for each in grid if (t := self._own(each))])

    def next_block(self, times: range) -> PBXBlock | None:
        """Return what the next block has of the PBX; None where its past has none of *times*."""
        if not self._own(times):
            return None
        own, changes = next(self._timeline)
        runs = with_gauges(changes, own, self._zone)
        return PBXBlock(self._past.pbx.name, self._labels, own, runs)

    def _own(self, times: range) -> range:
        return clipped(times, self._past.begin, self._past.seam.end)

    def _counted(self, bounds: Bounds, own: Sequence[range]) -> Iterator[tuple[range, Changes]]:
        pbx, seam = self._past.pbx, self._past.seam
        zeros = number_zeros(call_rules_of(pbx))
        counting = Counting(self._past.legs, bounds, pbx.max_trunks, zeros, seam.settled_until)
        counting.begin(self._past.begin, baseline=seam.baseline)
        yield from timeline(counting, own)


def _digest(asked: Asked, settings: Settings, bounds: Bounds) -> str:
    """Return a hash of all that decides what is written, but for secrets."""
    pbxs = [replace(pbx, secret=SecretSource()) for pbx in settings.pbxs]
    of_all = (settings.machine_callees, sorted(settings.hide_families))
    known = (*asked[1:], sorted(asked.labels.items()), pbxs, *of_all, dict(bounds))
    return hashlib.sha256(repr(known).encode()).hexdigest()
