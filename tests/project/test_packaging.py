"""What surrounds the program: what goes into the image, the script of a newcomer's machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from ..support.paths import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_image_is_built_with_all_that_the_wheel_is_made_of() -> None:
    build, _ = DOCKERFILE.rsplit("\nFROM ", 1)
    copied = [
        path
        for line in re.findall(r"^COPY (.+) \S+$", build, re.MULTILINE)
        for path in line.split()
    ]
    let_in = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = hatch["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], hatch["hooks"]["custom"]["path"]}

    assert {path for path in needed if not is_in(path, copied)} == set()
    assert {path for path in copied if not is_in(path, let_in)} == set()
    assert all((ROOT / path).exists() for path in copied)


def is_in(path: str, folders: Iterable[str]) -> bool:
    """Say whether *path* is one of *folders*, or is in one."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


@pytest.mark.parametrize("missing", ["make", "python3"])
def test_a_machine_without_the_tools_is_told_which(missing: str, tmp_path: Path) -> None:
    # Nothing else is in the path, so that the script cannot get further than that.
    for tool in {"dirname", "make", "python3"} - {missing}:
        (tmp_path / tool).symlink_to(shutil.which(tool) or "/bin/false")
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, str(ROOT / ".ci" / "run")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"needs {missing}: install it, on Debian: apt-get install ")
    assert len(done.stderr.splitlines()) == 1
