"""Small files that a user names, such as one with a secret; read within bounds.

Reading ends soon whatever is at the path: only a regular file is read, no more than it can hold,
and a file system that does not answer is given up.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

MOST_BYTES = 4096
"""Of a file: room for a secret and for what editors and shells put around it."""

_READ_SECONDS = 5.0

_KINDS = {
    stat.S_IFDIR: "is a directory",
    stat.S_IFIFO: "is a pipe, and not a regular file",
    stat.S_IFCHR: "is a device, and not a regular file",
    stat.S_IFBLK: "is a device, and not a regular file",
}


def read_small_file(path: Path) -> bytes | str:
    """Return the bytes of the file at *path*, or what is wrong with it."""
    found: list[bytes | str] = []
    # In a thread of its own, since a file system of the network may never answer. What is given up
    # goes on there, and its result is dropped.
    thread = threading.Thread(target=lambda: found.append(_content_or_problem(path)), daemon=True)
    thread.start()
    thread.join(_READ_SECONDS)
    return found[0] if found else f"its file system did not answer within {_READ_SECONDS:.0f} s"


def _content_or_problem(path: Path) -> bytes | str:
    try:
        # Without O_NONBLOCK, a pipe that nobody writes to would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return (error.strerror or "not readable").lower()
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            return _KINDS.get(stat.S_IFMT(mode), "is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        return (error.strerror or "not readable").lower()
    finally:
        os.close(descriptor)
    if len(content) > MOST_BYTES:
        return f"is longer than {MOST_BYTES} bytes, so it is no secret"
    return content
