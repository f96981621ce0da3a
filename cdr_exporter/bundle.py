"""The Grafana dashboards and Prometheus rules that travel with the program.

Rule: they are read once, into fixed tables of name → content. Whoever asks for one by name looks
it up there; no path is ever made of what somebody sent.

In a wheel they lie in `cdr_exporter/bundled`, in a checkout where people edit them:

    cdr_exporter/bundled/dashboards/*.json   <-   grafana/dashboards/*.json
    cdr_exporter/bundled/rules/*.yml         <-   prometheus/rules/*.yml
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from .errors import ExporterError

_PACKAGE = Path(__file__).parent


class NotWritten(ExporterError):
    """The dashboards and rules could not be written where they were wanted: exit 1."""


@cache
def dashboards() -> Mapping[str, bytes]:
    """Return the dashboards' JSON by file name."""
    return _read("*.json", _PACKAGE / "bundled/dashboards", _PACKAGE.parent / "grafana/dashboards")


@cache
def rules() -> Mapping[str, bytes]:
    """Return the rule files by file name."""
    return _read("*.yml", _PACKAGE / "bundled/rules", _PACKAGE.parent / "prometheus/rules")


def write(directory: Path) -> list[Path]:
    """Write `dashboards/*.json` and `rules/*.yml` into *directory*, over older ones of the name.

    *directory* is made where it is missing. Other files in it are left alone.
    """
    written = []
    for kind, files in (("dashboards", dashboards()), ("rules", rules())):
        for name, content in files.items():
            written.append(_write(directory / kind / name, content))
    return written


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise NotWritten(f"cannot write {path}: {error.strerror}") from error
    return path


def _read(pattern: str, *places: Path) -> Mapping[str, bytes]:
    """Return the files of the first of *places* that exists, by name, in order of their names."""
    for place in places:
        if place.is_dir():
            return MappingProxyType({p.name: p.read_bytes() for p in sorted(place.glob(pattern))})
    return MappingProxyType({})
