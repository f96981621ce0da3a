"""Puts the revision that a wheel is built from into it, for `cdr_exporter_build_info`.

hatchling runs it, see pyproject.toml. The revision is CDR_EXPORTER_REVISION in the environment, or
else the commit of the checkout; where there is neither, as in an unpacked source archive, which
brings the file already, nothing is added.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_IN_THE_PACKAGE = "cdr_exporter/bundled/REVISION"


class RevisionHook(BuildHookInterface[Any]):
    """Adds the file while a wheel or a source archive is built; an editable install has none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file where hatchling takes it from."""
        revision = os.environ.get("CDR_EXPORTER_REVISION") or commit_of(Path(self.root))
        self._folder = TemporaryDirectory()
        if version != "editable" and revision:
            file = Path(self._folder.name) / "REVISION"
            file.write_text(f"{revision}\n")
            build_data["force_include"][str(file)] = _IN_THE_PACKAGE

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact: str) -> None:
        """Remove what was written."""
        self._folder.cleanup()


def commit_of(root: Path) -> str | None:
    """Return the commit that is checked out at *root*, or None where no repository begins there."""
    try:
        done = subprocess.run(
            ["git", "-C", root, "rev-parse", "--show-toplevel", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    top, commit = done.stdout.splitlines()
    return commit if Path(top) == root.resolve() else None
