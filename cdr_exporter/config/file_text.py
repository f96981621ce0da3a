"""The text of a configuration file; a file that is none is a `ConfigError`."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError

_MAX_BYTES = 1024 * 1024
"""Of the file; a thousand PBXs need a quarter of it."""

_UNREADABLE: dict[type[OSError], str] = {
    FileNotFoundError: "there is no such file{folder}; name another with {flag}, or {remedy}",
    IsADirectoryError: "is a directory; name the file in it with {flag}",
    PermissionError: "may not be read; give the user this program runs as the right to",
}


def read_text(path: Path, flag: str, remedy: str = "write it") -> str:
    """Return what is in the file that the *flag* of the command line names, as UTF-8.

    *remedy* is what to do where there is none.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        problem = _UNREADABLE.get(type(error), f"cannot be read; {error.strerror}")
        said = problem.format(flag=flag, remedy=remedy, folder=_folder(path))
        raise ConfigError(f"{path}: {said}") from error
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path}: is larger than 1 MiB; name the right file with {flag}")
    return _decode(content, path)


def _folder(path: Path) -> str:
    """Say where a relative *path* was looked for, if there is such a directory any more."""
    try:
        return "" if path.is_absolute() else f" in {Path.cwd()}"
    except OSError:
        return ""


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    # Outside the `except`: that error contains the bytes of the file.
    raise ConfigError(f"{path}: line {line}: is not UTF-8; save the file as UTF-8")
