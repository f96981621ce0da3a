"""Checks of what the settings refer to: CA files, secrets, the state directory.

Rule: `run` and `check` use the same function, so `run` accepts what `check` calls valid. It only
looks and creates nothing; `make_state_dir` does. Secrets are not checked by `run`: it starts
without one, polls the other PBXs, and polls this PBX once its secret is there.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import ConfigError, WaitLong
from ..pbx.credentials import read_secret
from ..pbx.tls import tls_policy_of
from ..settings import PBX, Settings

_OTHER_USERS = 0o007


def check_environment(settings: Settings, *, secrets: bool) -> None:
    """Raise a `ConfigError` for the first thing that is missing or unusable."""
    for pbx in settings.pbxs:
        _check_pbx(pbx, secrets=secrets)
    problem = _state_dir_problem(settings.state_dir)
    if problem:
        raise unusable_state_dir(settings.state_dir, problem)


def warnings(settings: Settings) -> list[str]:
    """Return a line for each thing that works but is not safe."""
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
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror or "input/output error"
        raise unusable_state_dir(settings.state_dir, problem) from None


def unusable_state_dir(path: Path, problem: str) -> ConfigError:
    """Return the error for a state_dir that is unusable; *problem* is the system's message."""
    return ConfigError(
        f"state_dir: {path} cannot be used ({problem.lower()}); make it "
        "writable for this user, or name another"
    )


def _check_pbx(pbx: PBX, *, secrets: bool) -> None:
    try:
        if pbx.base_url.startswith("https:"):
            tls_policy_of(pbx.tls)
        if secrets:
            read_secret(pbx.secret)
    except (ConfigError, WaitLong) as error:
        problem = str(error)
    else:
        return
    raise ConfigError(f"pbx {pbx.name}: {problem}")


def _state_dir_problem(state_dir: Path) -> str | None:
    """Return why *state_dir* could not be written to, or None if it could.

    If it does not exist yet, its nearest existing parent is checked.
    """
    try:
        nearest = next(each for each in (state_dir, *state_dir.parents) if _exists(each))
        if not nearest.is_dir():
            return os.strerror(errno.ENOTDIR)
        wanted = os.W_OK | os.X_OK | (os.R_OK if nearest == state_dir else 0)
        return None if os.access(nearest, wanted) else _write_problem(nearest)
    except OSError as error:
        return error.strerror or "input/output error"


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _write_problem(directory: Path) -> str:
    """Return the reason: the file system is read-only, or the permissions forbid it."""
    read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
    return os.strerror(errno.EROFS if read_only else errno.EACCES)
