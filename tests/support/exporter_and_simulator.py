"""An exporter that polls the simulated PBX: its configuration, and its page in the PBX's terms."""

from __future__ import annotations

from pathlib import Path

from pbx_simulator import SimulatedPBX

from .processes import Exporter, eventually

SECRET = "canary-secret-5cf1e07a"


def write_config(directory: Path, *base_urls: str, start: str = "all", extra: str = "") -> Path:
    """Write a configuration for PBXs named pbx0, pbx1, …"""
    secret = directory / "secret"
    secret.write_text(SECRET + "\n")
    pbxs = "".join(
        f"  - {{name: pbx{number}, base_url: '{url}', client_id: simulated,"
        " client_secret_file: secret}\n"
        for number, url in enumerate(base_urls)
    )
    path = directory / "exporter.yml"
    path.write_text(
        "poll_interval: 1s\nstale_after: 5m\nbirth_hold: 2s\ncall_settle: 5s\n"
        f"start: {start}\n{extra}pbxs:\n{pbxs}"
    )
    return path


def wait_for_rows(pbx: SimulatedPBX, served: float) -> None:
    """Wait until the PBX has sent more rows than *served*."""
    eventually("some pages", lambda: pbx.request_log.rows_served > served)


def records_shown(exporter: Exporter, pbx: str = "") -> dict[tuple[str, str, str], float]:
    """Return what is exposed (of one PBX by its name, or of all), as it counts its own table."""
    samples = exporter.samples("cdr_records_total")
    return {
        (disposition, call_type, trunk): value
        for (call_type, disposition, name, trunk), value in samples.items()
        if value and pbx in ("", name)
    }


def calls_shown(exporter: Exporter, pbx: str = "") -> dict[tuple[str, str, str], float]:
    """Return the calls that are exposed, likewise, as the simulated PBX knows them."""
    samples = exporter.samples("cdr_calls_total")
    return {
        (outcome, call_type, trunk): value
        for (call_type, outcome, name, trunk), value in samples.items()
        if value and pbx in ("", name)
    }
