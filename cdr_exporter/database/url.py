"""The file of `state_url_file`: one line with the URL of the database, which holds a password."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from ..secret import Secret
from ..small_files import read_small_file

_SCHEMES = ("postgresql://", "postgres://")

_AROUND = "\ufeff \t\r\n"
"""What editors and shells put around it."""


def read_url(path: Path) -> Secret:
    """Return the URL in the file *path*; raises `ConfigError`, which never holds the URL."""
    content = read_small_file(path)
    if isinstance(content, str):
        raise ConfigError(f"state_url_file: {path}: {content}")
    url = content.decode(errors="replace").strip(_AROUND)
    problem = _problem(url)
    if problem:
        raise ConfigError(f"state_url_file: {path}: {problem}")
    return Secret(url)


def _problem(url: str) -> str:
    """Return what is wrong with *url*, "" if nothing is."""
    if not url:
        return "is empty; write the URL of the database into it, postgresql://…"
    if not url.startswith(_SCHEMES):
        return "holds no URL that begins with postgresql://"
    if not url.isprintable() or " " in url or "\ufffd" in url:
        return "holds more than one line, a space or an invisible character"
    return ""
