"""What travels with the program: dashboards, rules, the runbook and the example files.

Rule: they are read once, into fixed tables of name → content. Whoever asks for one by name looks
it up there; no path is ever made of what somebody sent.

In a wheel the files lie in this folder. In a checkout they lie where people edit them, and
`CHECKOUT` says where; `pyproject.toml` puts the same files into the wheel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ..errors import ExporterError

CHECKOUT: Mapping[str, Sequence[str]] = {
    "dashboards/*.json": ["grafana/dashboards/*.json"],
    "rules/*.yml": ["prometheus/rules/*.yml"],
    "RUNBOOK.md": ["prometheus/RUNBOOK.md"],
    "examples/*.yml": ["exporter.yml", "prometheus/prometheus.yml", "prometheus/alertmanager.yml"],
}
"""For each pattern below this folder in a wheel, the patterns below the root of a checkout."""

_WHEEL = Path(__file__).parent
_ROOT = _WHEEL.parent.parent


class NotWritten(ExporterError):
    """The files could not be written where they were wanted: exit 1."""


@cache
def dashboards() -> Mapping[str, bytes]:
    """Return the dashboards' JSON by file name."""
    return _read("dashboards/*.json", _WHEEL, _ROOT)


@cache
def rules() -> Mapping[str, bytes]:
    """Return the rule files by file name."""
    return _read("rules/*.yml", _WHEEL, _ROOT)


def write(directory: Path) -> list[Path]:
    """Write every bundled file into *directory*, laid out as in the wheel; return their paths.

    Folders are made where they are missing, older files of the same names are replaced, and
    other files are left alone. Raises `NotWritten`.
    """
    return [
        _write(directory / Path(pattern).parent / name, content)
        for pattern in CHECKOUT
        for name, content in _read(pattern, _WHEEL, _ROOT).items()
    ]


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise NotWritten(f"cannot write {path}: {error.strerror}") from error
    return path


def _read(pattern: str, wheel: Path, root: Path) -> Mapping[str, bytes]:
    """Return the files of *pattern* by name, from the folder *wheel* or else from a checkout."""
    packaged = list(wheel.glob(pattern))
    paths = packaged or [path for each in CHECKOUT[pattern] for path in root.glob(each)]
    return MappingProxyType({path.name: path.read_bytes() for path in sorted(paths)})
