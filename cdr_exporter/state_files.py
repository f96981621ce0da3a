"""The files of a state directory: what they are called, and how they are opened and locked.

Rule: no two files have one name, whatever the PBXs are called. The name of a PBX goes up to the
first dot of a file's name; its own dots are written `%2E`, which no name of a PBX holds. So the
token of `hq` is `hq.token`, and the state of a PBX `hq.token` is `hq%2Etoken.db`.

Rule: none is opened through a symbolic link: whoever may plant one there would choose what is
written over. The directory itself may be a link, which is the user's to make.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from pathlib import Path

OWNER_ONLY = 0o600

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
"""What a file system without locks answers."""

_MOUNTS = Path("/proc/self/mountinfo")


class StateFileError(OSError):
    """A file of the state directory that cannot be used as it is; *remedy* says what to do."""

    def __init__(self, code: int, problem: str, path: Path, remedy: str) -> None:
        super().__init__(code, problem, str(path))
        self.remedy = remedy


def file_of(directory: Path, name: str, ending: str) -> Path:
    """Return the file with *ending* (`db`, `token`, …) of the PBX *name*."""
    return directory / file_name(name, ending)


def file_name(name: str, ending: str) -> str:
    """Return what the file with *ending* of the PBX *name* is called."""
    return f"{name.replace('.', '%2E')}.{ending}"


def open_file(path: Path, flags: int) -> int:
    """Open *path*, which is made with mode 0600 where *flags* create it; return a descriptor.

    Raises OSError, and `StateFileError` for a symbolic link and for what is no regular file, such
    as a FIFO, which would keep us waiting.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, OWNER_ONLY)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _is_a_link(path) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _is_no_file(path)
    if flags & os.O_CREAT:
        _give_to_owner_of_directory(descriptor, path.parent)
    return descriptor


def _give_to_owner_of_directory(descriptor: int, directory: Path) -> None:
    """Let a file that root made belong to the user whose directory it is in.

    An administrator may run a command as root beside an exporter that runs as another user, which
    could not read its own token any more.
    """
    owner = directory.stat()
    if os.geteuid() == 0 and os.fstat(descriptor).st_uid == 0 != owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def refuse_links(path: Path, *others: Path) -> None:
    """Raise `StateFileError` where one of these is a symbolic link, or *path* is no regular file.

    For files that somebody else opens: SQLite follows links.
    """
    for each in (path, *others):
        if each.is_symlink():
            raise _is_a_link(each)
    if path.exists() and not path.is_file():
        raise _is_no_file(path)


def try_lock(descriptor: int, path: Path) -> bool:
    """Lock the open file *descriptor* at *path*, unless somebody else has it locked; say whether.

    Closing the descriptor ends the lock. Raises `StateFileError` on a file system without locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        kind = file_system_of(path)
        problem = f"its file system{f', {kind},' if kind else ''} has no locks"
        raise StateFileError(
            error.errno or errno.ENOLCK, problem, path, "put state_dir on a local disk"
        ) from None
    return True


def try_directory(directory: Path) -> None:
    """Raise OSError where no file can be made and locked in *directory*; leaves nothing behind."""
    path = directory / f".try-{secrets.token_hex(8)}"
    descriptor = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        try_lock(descriptor, directory)
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def file_system_of(path: Path) -> str:
    """Return the kind of the file system that holds *path*, as `nfs4`; empty where unknown."""
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
        # Of two at one place the later covers the other.
        kinds = {fields[4]: fields[fields.index("-") + 1] for fields in mounts}
        place = path.resolve()
    except (OSError, ValueError, LookupError):
        return ""
    return next((kinds[str(each)] for each in (place, *place.parents) if str(each) in kinds), "")


def remedy_of(error: OSError) -> str:
    """Return what to do about *error*, to be put behind its text; empty where it does not say."""
    return f"; {error.remedy}" if isinstance(error, StateFileError) else ""


def _is_a_link(path: Path) -> StateFileError:
    problem = "it is a symbolic link, and none is followed"
    return StateFileError(errno.ELOOP, problem, path, "remove it, or put the file itself there")


def _is_no_file(path: Path) -> StateFileError:
    return StateFileError(errno.EINVAL, "it is no regular file", path, "remove it")
