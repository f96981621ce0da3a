"""What the settings name and the machine has to have: CA files, secrets, a place for the state.

Rule: `run` and `check` ask this one function, so that what `check` calls valid `run` takes. It
looks only, and makes nothing. Only `check` asks for secrets: one that is missing keeps one PBX
from being polled, until it is there, and leaves the others alone.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import ConfigError, WaitLong
from ..pbx.credentials import read_secret
from ..pbx.tls import tls_policy_of
from ..settings import PBX, Settings

_OTHERS = 0o007


def check_environment(settings: Settings, *, secrets: bool) -> None:
    """Raise a `ConfigError` for the first thing that is missing or cannot be used."""
    for pbx in settings.pbxs:
        _check_pbx(pbx, secrets=secrets)
    problem = _problem_of(settings.state_dir)
    if problem:
        raise unusable_state_dir(settings.state_dir, problem)


def warnings(settings: Settings) -> list[str]:
    """Return what works and is still unwise, a line each."""
    path = settings.state_dir
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return []
    if not mode & _OTHERS:
        return []
    return [f"state_dir: {path} is open to other users (mode {mode:03o}); chmod 700 it"]


def unusable_state_dir(path: Path, problem: str) -> ConfigError:
    """Return the error for a state_dir of which the operating system said *problem*."""
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


def _problem_of(state_dir: Path) -> str | None:
    """Return why nothing could be written to *state_dir*, made or still to be made."""
    try:
        place = next(each for each in (state_dir, *state_dir.parents) if _exists(each))
        if not place.is_dir():
            return os.strerror(errno.ENOTDIR)
        wanted = os.W_OK | os.X_OK | (os.R_OK if place == state_dir else 0)
        return None if os.access(place, wanted) else _why_not(place)
    except OSError as error:
        return error.strerror or "input/output error"


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _why_not(place: Path) -> str:
    """Tell a disk that takes no writing from one that does not take ours."""
    read_only = os.statvfs(place).f_flag & os.ST_RDONLY
    return os.strerror(errno.EROFS if read_only else errno.EACCES)
