"""The files that come with the program: dashboards, rules, the runbook and example files.

Rule: they are read once, into fixed tables of name → content. A file is looked up there by its
name; no path is ever built from what a client sent.

In an installed wheel the files are in this directory. In a checkout they are where people edit
them, and `CHECKOUT_PATTERNS` says where; `pyproject.toml` copies the same files into the wheel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ..errors import ExporterError

CHECKOUT_PATTERNS: Mapping[str, Sequence[str]] = {
    "dashboards/*.json": ["grafana/dashboards/*.json"],
    "rules/*.yml": ["prometheus/rules/*.yml"],
    "RUNBOOK.md": ["prometheus/RUNBOOK.md"],
    "examples/*.yml": [
        "exporter.yml",
        "prometheus/prometheus.yml",
        "prometheus/prometheus-replicas.yml",
        "prometheus/alertmanager.yml",
        "prometheus/web.yml",
    ],
}
"""For each pattern of files below this directory, the patterns below the root of a checkout."""

_RUNBOOK_PATH = b"runbook_url: prometheus/RUNBOOK.md#"

_PACKAGE = Path(__file__).parent
_ROOT = _PACKAGE.parent.parent


class FileWriteError(ExporterError):
    """A file could not be written to the directory that the user named: exit 1."""


@cache
def dashboards() -> Mapping[str, bytes]:
    """Return the JSON of each dashboard, by file name."""
    return _read("dashboards/*.json", _PACKAGE, _ROOT)


@cache
def rules(external_url: str | None = None) -> Mapping[str, bytes]:
    """Return the text of each rule file, by file name.

    Where the exporter is reached at *external_url*, each `runbook_url` is the heading of its alert
    on the exporter's own `/runbook`; else it is a path in this project.
    """
    files = _read("rules/*.yml", _PACKAGE, _ROOT)
    if external_url is None:
        return files
    link = b"runbook_url: %s/runbook#" % external_url.rstrip("/").encode()
    return MappingProxyType(
        {name: text.replace(_RUNBOOK_PATH, link) for name, text in files.items()}
    )


@cache
def runbook() -> str:
    """Return the text of the runbook, in Markdown."""
    return _read("RUNBOOK.md", _PACKAGE, _ROOT)["RUNBOOK.md"].decode()


@cache
def revision() -> str:
    """Return the commit that the wheel was built from; `unknown` in a checkout."""
    path = _PACKAGE / "REVISION"
    return path.read_text().strip() if path.exists() else "unknown"


def write_files(directory: Path, external_url: str | None = None) -> list[Path]:
    """Write all bundled files into *directory* and return their paths.

    The links of the rules lead to the exporter at *external_url*, see `rules`.

    They are in the same subdirectories as in the wheel. Missing directories are created, existing
    files of the same name are replaced, and other files are left alone. Raises `FileWriteError`.
    """
    with_links = rules(external_url)
    return [
        _write(directory / Path(pattern).parent / name, with_links.get(name, content))
        for pattern in CHECKOUT_PATTERNS
        for name, content in _read(pattern, _PACKAGE, _ROOT).items()
    ]


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise FileWriteError(f"cannot write {path}: {error.strerror}") from error
    return path


def _read(pattern: str, package: Path, root: Path) -> Mapping[str, bytes]:
    """Return the files of *pattern* by name, from the package or else from the checkout."""
    packaged = list(package.glob(pattern))
    paths = packaged or [path for each in CHECKOUT_PATTERNS[pattern] for path in root.glob(each)]
    return MappingProxyType({path.name: path.read_bytes() for path in sorted(paths)})
