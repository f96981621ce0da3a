"""The folder that history is written to, and what is kept in it to go on after a kill.

    DIR/01K…/                      a block for Prometheus, whole from the moment it stands there
    DIR/cdr-history-TIME.om        a block as text, where there is no promtool
    DIR/.cdr-exporter-history/     what is kept to go on, for its owner only; gone at the end

Rule: a folder that holds blocks is refused, unless an earlier run has left something to go on with
beside them. For Prometheus adds up what stands in two blocks of one time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from ..errors import ConfigError, ExporterError, StateInUse
from . import promtool
from .grid import block_before
from .seam import Seam

WORK = ".cdr-exporter-history"

_BEGIN_ANEW = "empty the folder, or name another, to begin anew"


class FolderError(ExporterError):
    """The folder cannot be written to, as when the disk is full: exit 1; a later run goes on.

    *problem* is the system's message.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}; when that is mended, the same command goes on")
        self.problem = problem


class Plan(Struct, frozen=True):
    """What a run has begun: *asked* is a digest of what it was asked for, *seams* by PBX."""

    asked: str
    seams: Mapping[str, Seam]


class _BlockMeta(Struct):
    """What Prometheus writes of a block into its `meta.json`; milliseconds."""

    min_time: int = msgspec.field(name="minTime")


class Folder:
    """The folder at *path*, used by one process at a time; *work* is for what is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / WORK

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Create the folder where need be, and lock it while the block runs.

        Raises `ConfigError` where it holds blocks of another run, `StateInUse` where another
        process uses it, `FolderError` where it cannot be written to.
        """
        with self._named_errors():
            if not self.work.exists() and self.path.exists():
                self._check_empty()
            self.work.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.work / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(lock)
            with self._named_errors():
                yield
        finally:
            os.close(lock)

    def plan(self) -> Plan | None:
        """Return the plan of the run to go on with, None where none was begun."""
        try:
            return msgspec.json.decode((self.work / "plan").read_bytes(), type=Plan)
        except FileNotFoundError:
            return None

    def begin(self, plan: Plan) -> None:
        """Keep *plan*."""
        beside = self.work / "plan.new"
        beside.touch(mode=0o600)
        beside.write_bytes(msgspec.json.encode(plan))
        beside.rename(self.work / "plan")

    def check_same(self, plan: Plan, asked: str) -> None:
        """Raise `ConfigError` unless *plan* is of a run that was asked for the same."""
        if plan.asked != asked:
            raise ConfigError(
                f"{self.path}: begun with other flags or another configuration; go on with the "
                f"same, or {_BEGIN_ANEW}"
            )

    def written(self, length: int) -> frozenset[int]:
        """Return when the blocks of *length* seconds begin that are there already (epoch)."""
        metas = (each / "meta.json" for each in self._blocks())
        starts = [
            msgspec.json.decode(meta.read_bytes(), type=_BlockMeta).min_time // 1000
            for meta in metas
        ]
        texts = [int(each.stem.rpartition("-")[2]) for each in self._texts()]
        return frozenset(block_before(time, length) for time in (*starts, *texts))

    def write_text(self, start: int, parts: Iterator[bytes]) -> Path:
        """Write the block that begins at *start* as text, whole or not at all; return its path."""
        path = self.path / f"cdr-history-{start}.om"
        self._write(path.with_suffix(".part"), parts)
        return path.with_suffix(".part").rename(path)

    def write_block(self, tool: str, parts: Iterator[bytes], length: int) -> None:
        """Let promtool at *tool* make a block of *length* seconds of *parts*, whole or not."""
        text, made = self.work / "block.om", self.work / "made"
        shutil.rmtree(made, ignore_errors=True)
        self._write(text, parts)
        promtool.create_block(tool, text, made, length)
        text.unlink()
        for block in made.iterdir():
            if (block / "meta.json").exists():
                block.rename(self.path / block.name)

    def finish(self) -> None:
        """Remove what was kept to go on."""
        shutil.rmtree(self.work)

    def _write(self, path: Path, parts: Iterator[bytes]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)

    def _check_empty(self) -> None:
        if self._blocks() or self._texts():
            raise ConfigError(
                f"{self.path}: holds blocks already, and samples that stand in two blocks are "
                "added up; name an empty folder"
            )

    def _blocks(self) -> Sequence[Path]:
        return [each for each in self.path.iterdir() if (each / "meta.json").exists()]

    def _texts(self) -> Sequence[Path]:
        return list(self.path.glob("cdr-history-*.om"))

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateInUse(f"{self.path}: another process is writing history there") from None

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = (error.strerror or "input/output error").lower()
        else:
            return
        raise FolderError(self.path, problem)
