"""`python -m grafana.generator`, or `make dashboards`: write the dashboards."""

from __future__ import annotations

from pathlib import Path

from .calls_overview import CALLS_OVERVIEW
from .health import HEALTH
from .legs import LEGS_AND_RECORDS
from .trunks import TRUNKS

FOLDER = Path(__file__).parent.parent / "dashboards"

FILES = {
    "calls-overview.json": CALLS_OVERVIEW,
    "trunks.json": TRUNKS,
    "legs-and-records.json": LEGS_AND_RECORDS,
    "exporter-health.json": HEALTH,
}


def main() -> None:
    """Write all files; existing ones are replaced."""
    for name, dashboard in FILES.items():
        (FOLDER / name).write_text(dashboard.file_text, encoding="utf-8")


if __name__ == "__main__":
    main()
