"""Grafana's provisioning files: data sources and dashboards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .paths import ROOT

FOLDER = ROOT / "grafana" / "provisioning"
DATA_SOURCES, DASHBOARDS = FOLDER / "datasources", FOLDER / "dashboards"


def the_only(folder: Path, what: str) -> dict[str, Any]:
    """Return the one thing that the files of *folder* provision."""
    (path,) = folder.iterdir()
    found = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert path.suffix == ".yml", "Grafana reads .yml and .yaml only"
    assert found.keys() == {"apiVersion", what}
    assert found["apiVersion"] == 1
    things: list[dict[str, Any]] = found[what]
    (thing,) = things
    return thing


def environment() -> dict[str, str]:
    """Return the variables that are set for Grafana."""
    lines = (FOLDER / "grafana.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))
