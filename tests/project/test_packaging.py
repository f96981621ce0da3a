"""What surrounds the program: the image's health check, the script of a newcomer's machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from cdr_exporter.web import ListenAddress, Server

from ..support.paths import ROOT
from ..support.web import app, snapshot

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def health(url: str) -> int:
    """Run the image's health check against *url* and return its exit code."""
    command = re.search(r"^HEALTHCHECK .*\\\n\s*CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert command is not None
    _, *arguments = json.loads(command[1])
    env = {**os.environ, "CDR_EXPORTER_HEALTH_URL": url, "no_proxy": "*"}
    return subprocess.run(
        [sys.executable, *arguments], env=env, stderr=subprocess.DEVNULL, timeout=60, check=False
    ).returncode


@pytest.mark.parametrize("alive", [True, False], ids=["alive", "ended"])
def test_the_health_check_of_the_image_follows_its_variable(alive: bool) -> None:
    server = Server(app(snapshot(), alive=lambda: alive), [ListenAddress("127.0.0.1", 0)])
    server.start()
    try:
        code = health(f"{server.addresses[0].url}-/healthy")
    finally:
        server.stop()

    assert (code == 0) is alive


def test_the_image_asks_the_usual_port_unless_told_otherwise() -> None:
    assert "CDR_EXPORTER_HEALTH_URL=http://127.0.0.1:10088/-/healthy\n" in DOCKERFILE


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
