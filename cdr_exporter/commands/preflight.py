"""Checks of what the settings refer to: CA files, secrets, the state directory or database.

Rule: `run` and `check` use the same function, so `run` accepts what `check` calls valid. It leaves
nothing behind; `make_state_dir` does. Secrets are not checked by `run`: it starts
without one, polls the other PBXs, and polls this PBX once its secret is there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ..database import Database, check_schema, read_url
from ..errors import ConfigError, DatabaseError, WaitLong
from ..pbx.credentials import read_secret
from ..pbx.tls import tls_policy_of
from ..settings import PBX, Settings
from ..state_files import NO_LOCKS, StateFileError, file_of, open_file, remedy_of, try_directory

_OTHER_USERS = 0o007


def check_environment(settings: Settings, *, secrets: bool) -> None:
    """Raise a `ConfigError` that says what is missing or unusable, a line for each."""
    problems = [problem for pbx in settings.pbxs for problem in _pbx_problems(pbx, secrets=secrets)]
    problems += _state_problems(settings)
    if problems:
        raise ConfigError("\n".join(problems))


def open_database(url_file: Path, lease: float) -> Database:
    """Return the database of state_url_file, not connected yet; raises `ConfigError`."""
    return Database(read_url(url_file), lease)


def check_database(settings: Settings) -> list[str]:
    """Raise `ConfigError` where the database of state_url_file cannot be used; make nothing.

    Returns a line for each thing that works but is not safe. Only for `check`: `run` starts without
    its database, and waits for it.
    """
    if settings.state_url_file is None:
        return []
    database = open_database(settings.state_url_file, settings.lease)
    try:
        return check_schema(database)
    except DatabaseError as error:
        problem = str(error)
    finally:
        database.close()
    raise ConfigError(f"state_url_file: {problem}")


def warnings(settings: Settings) -> list[str]:
    """Return a line for each thing that works but is not safe."""
    if settings.state_url_file is not None:
        return []
    path = settings.state_dir
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return []
    if not mode & _OTHER_USERS:
        return []
    return [f"state_dir: {path} is open to other users (mode {mode:03o}); chmod 700 it"]


def make_state_dir(settings: Settings) -> None:
    """Make the state directory where it does not exist; raises `ConfigError`."""
    if settings.state_url_file is not None:
        return
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable_state_dir(settings.state_dir, error) from None


def unusable_state_dir(path: Path, error: OSError) -> ConfigError:
    """Return the error for the state_dir *path*, which is unusable for *error*."""
    problem = (error.strerror or "input/output error").lower()
    is_of_a_file = isinstance(error, StateFileError) and error.errno not in NO_LOCKS
    where = error.filename if is_of_a_file else path
    remedy = remedy_of(error) or "; make it writable for this user, or name another"
    return ConfigError(f"state_dir: {where} cannot be used ({problem}){remedy}")


def _pbx_problems(pbx: PBX, *, secrets: bool) -> Iterator[str]:
    checks: list[Callable[[], object]] = [lambda: read_secret(pbx.secret)] if secrets else []
    if pbx.base_url.startswith("https:"):
        checks.insert(0, lambda: tls_policy_of(pbx.tls))
    for check in checks:
        try:
            check()
        except (ConfigError, WaitLong) as error:
            yield f"pbx {pbx.name}: {error}"


def _state_problems(settings: Settings) -> Iterator[str]:
    if settings.state_url_file is None:
        problem = _state_dir_problem(settings)
        if problem:
            yield str(unusable_state_dir(settings.state_dir, problem))
        return
    try:
        open_database(settings.state_url_file, settings.lease).close()
    except ConfigError as error:
        yield str(error)


def _state_dir_problem(settings: Settings) -> OSError | None:
    """Return why files cannot be made and locked in the state directory, or None if they can.

    If it does not exist yet, its nearest existing parent is tried.
    """
    directory = settings.state_dir
    try:
        nearest = next(each for each in (directory, *directory.parents) if _exists(each))
        if not nearest.is_dir():
            return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        try_directory(nearest)
        if nearest == directory:
            _look_into(settings)
    except OSError as error:
        return error
    return None


def _look_into(settings: Settings) -> None:
    """Raise OSError where the directory, or a lock that is there, cannot be opened."""
    os.close(os.open(settings.state_dir, os.O_RDONLY | os.O_DIRECTORY))
    for pbx in settings.pbxs:
        with suppress(FileNotFoundError):
            os.close(open_file(file_of(settings.state_dir, pbx.name, "lock"), os.O_RDWR))


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
