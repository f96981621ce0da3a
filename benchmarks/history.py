"""What `history` costs: 31 days of 100,000 rows on five trunks, read over HTTP, in blocks.

The real command reads a simulated PBX, which answers as fast as it can, and promtool makes the
blocks. Seconds mean nothing on another machine; what is to be seen is the order of magnitude, how
much of it is promtool's, and that memory does not grow with the rows. Run it from the top
directory: `python -m benchmarks.history [ROWS]`.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pbx_simulator import OfficeSettings, SimulatedPBX
from pbx_simulator.directory import BERLIN
from pbx_simulator.pbx import CLIENT_SECRET
from pbx_simulator.serving import serve

DAYS = 31
ROWS = 100_000
TRUNKS = {"SIP 1": 40, "SIP 2": 25, "PSTN": 20, "Branch": 10, "Backup": 5}
ADDRESSES = {name: f"198.51.100.{number}" for number, name in enumerate(TRUNKS, start=10)}

CONFIG = """\
pbxs:
  - {{name: hq, base_url: '{base_url}', client_id: simulated, client_secret_file: secret}}
"""


def pbx_with(rows: int) -> SimulatedPBX:
    """Return a PBX with about so many rows."""
    directory = replace(BERLIN, trunks=TRUNKS, trunk_addresses=ADDRESSES)
    sample = SimulatedPBX(OfficeSettings(directory=directory), days=DAYS)
    rate = rows / len(sample.table)
    return SimulatedPBX(OfficeSettings(directory=directory, rate=rate), days=DAYS)


@contextmanager
def started(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = ("-m", "cdr_exporter", "history", "--config.file", str(directory / "exporter.yml"))
    output = ("--output", str(directory / "out"))
    with subprocess.Popen([sys.executable, *command, *output]) as process:
        yield process


def resident(pid: int) -> float:
    """Return the MB of memory of a process and of those that it has started."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return sum(map(int, sizes)) / 1024 + sum(resident(int(child)) for child in children)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    pbx = pbx_with(rows)
    print(f"{len(pbx.table)} rows of {DAYS} days on {len(TRUNKS)} trunks")
    with tempfile.TemporaryDirectory() as name, serve(pbx) as server:
        directory = Path(name)
        (directory / "secret").write_text(CLIENT_SECRET)
        (directory / "exporter.yml").write_text(CONFIG.format(base_url=server.base_url))
        began, most = time.monotonic(), 0.0
        with started(directory) as process:
            while process.poll() is None:
                most = max(most, resident(process.pid))
                time.sleep(0.1)
        seconds = time.monotonic() - began
        size = sum(path.stat().st_size for path in (directory / "out").rglob("*"))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"exit code {process.returncode}")
    print(f"{seconds:.0f} s, of them {used.ru_utime + used.ru_stime:.0f} s of processor time")
    print(f"{most:.0f} MB at most, promtool's among them; {size / 1e6:.0f} MB of blocks")


if __name__ == "__main__":
    main()
