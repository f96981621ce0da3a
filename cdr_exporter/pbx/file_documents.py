"""The documents of one machine: files of a state directory.

Rule: writing replaces the whole file or nothing (a new file beside it, fsync, rename, fsync of the
directory).

The lock of a file is a file of its own, `NAME.lock`, since each rename gives the file a new inode.
It keeps `check --connect` and a running exporter from logging in at the same time. The kernel
releases it when its owner dies, and no sooner.

What happens when a file is not as expected:

- readable by others: its mode is reset to 0600 and the file used, with a warning.
- not readable or not writable by us: an error with reason `state`, and no login.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TypeVar

from ..errors import TryAgain
from ..state_files import OWNER_ONLY, open_file, remedy_of, try_lock
from .documents import TOKEN, Contents
from .turn import turn

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_TITLES = {TOKEN: "token file"}
_REMEDY = (
    "; did another user run `check --connect`? make the exporter's user its owner with chown, "
    "and run the check as that user"
)


class FileDocuments:
    """The files in *directory*."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self, kind: str, *names: str) -> FileDocument:
        """Return the files of these names."""
        return FileDocument(self._directory, _TITLES.get(kind, kind), names)

    def turn(
        self,
        name: str,
        timeout_seconds: float,
        cancelled: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> AbstractContextManager[None]:
        """Hold the lock on the file *name* while the `with` block runs; see `turn`."""
        return turn(self._directory / name, timeout_seconds, cancelled, monotonic)


class FileDocument:
    """Some files. Raises `TryAgain` with reason `state`, without a context."""

    def __init__(self, directory: Path, title: str, names: tuple[str, ...]) -> None:
        self.title = title
        self._files = {name: KeptFile(directory / name, title) for name in sorted(names)}

    def try_lock(self, hold_seconds: float) -> FileLock | None:
        """Lock them, for as long as this process lives; None where another has one of them."""
        with ExitStack() as opened:
            # All take them in one order, by name.
            for file in self._files.values():
                descriptor = file.locked_descriptor()
                if descriptor is None:
                    return None
                opened.callback(os.close, descriptor)
            return FileLock(opened.pop_all())

    def read(self) -> Contents:
        """Return what is in the files."""
        return {name: file.read() for name, file in self._files.items()}

    def change(self, edit: Callable[[Contents], Contents]) -> None:
        """Replace the files one by one: where one of them cannot be, those before it are."""
        for name, content in edit(self.read()).items():
            if content is None:
                self._files[name].remove()
            else:
                self._files[name].replace(content)


class KeptFile:
    """The small file at *path*, replaced as a whole. *title* is what messages call it.

    Raises `TryAgain` with reason `state` where the operating system refuses.
    """

    def __init__(self, path: Path, title: str) -> None:
        self._path = path
        self._title = title

    def locked_descriptor(self) -> int | None:
        """Lock the file and return a descriptor, whose closing ends the lock; None if held."""
        lock = self._path.with_name(f"{self._path.name}.lock")
        descriptor = self._with_state_error(lambda: self._open_lock(lock))
        is_ours = False
        try:
            is_ours = self._with_state_error(lambda: try_lock(descriptor, lock))
        finally:
            if not is_ours:
                os.close(descriptor)
        return descriptor if is_ours else None

    def read(self) -> bytes | None:
        """Return what is in the file; None where there is none."""
        return self._with_state_error(self._read_bytes)

    def replace(self, content: bytes) -> None:
        """Replace the file; once this returns, the content survives a power cut."""
        self._with_state_error(lambda: self._replace_file(content))

    def remove(self) -> None:
        """Remove the file, if there is one. After a power cut it may be back."""
        self._with_state_error(lambda: self._path.unlink(missing_ok=True))

    def _with_state_error(self, operation: Callable[[], _T]) -> _T:
        """Call *operation*; an `OSError` becomes a `TryAgain` without context."""
        try:
            return operation()
        except OSError as error:
            problem = (error.strerror or "input/output error").lower()
            where = error.filename or "in state_dir"
            remedy = _REMEDY if isinstance(error, PermissionError) else remedy_of(error)
        raise TryAgain(f"{self._title} {where}: {problem}{remedy}", reason="state")

    def _open_lock(self, lock: Path) -> int:
        # Its directory may have been deleted while the process runs.
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open_file(lock, os.O_WRONLY | os.O_CREAT)

    def _read_bytes(self) -> bytes | None:
        try:
            descriptor = open_file(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                log.warning(
                    "%s was readable or writable by others; mode reset to 0600",
                    self._title,
                    extra={"fields": {"file": self._path.name}},
                )
                os.fchmod(file.fileno(), OWNER_ONLY)
            return file.read()

    def _replace_file(self, content: bytes) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.unlink(missing_ok=True)
        descriptor = open_file(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        beside.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class FileLock:
    """Locks on files, open in *descriptors*."""

    def __init__(self, descriptors: ExitStack) -> None:
        self._descriptors = descriptors

    def is_held(self) -> bool:
        """Say yes: the kernel gives it to nobody else before it is released."""
        return True

    def release(self) -> None:
        """Close the files, which lets others have the lock."""
        self._descriptors.close()
