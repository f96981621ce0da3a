"""Takes the pictures of the exporter's own pages: `make pictures`.

It starts the demo, waits until all that its PBXs have is counted, and lets headless Chromium draw a
page in both themes. The pictures of dashboards are not made here: they need a Grafana.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from shutil import which

PAGE, WIDTH, HEIGHT = "pbx/berlin", 1280, 820
THEMES = {"dark": 0, "light": 1}
"""By name: the setting `preferredColorScheme` of Chromium's engine."""

READY_SECONDS = 120


def main() -> None:
    """Take them; exits with what is missing or went wrong."""
    chromium = which("chromium") or which("google-chrome")
    if chromium is None:
        sys.exit("take_pictures: needs chromium")
    command = [sys.executable, "-m", "cdr_exporter", "demo", "--web.listen-address", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        try:
            address = _address_in(demo)
            _wait_until_counted(address)
            for theme, number in THEMES.items():
                _take(chromium, address + PAGE, theme, number)
        finally:
            demo.terminate()


def _address_in(demo: subprocess.Popen[str]) -> str:
    """Return the address of the exporter, which the demo prints."""
    for line in demo.stdout or ():
        if line.strip().startswith("http://"):
            return line.split()[0]
    sys.exit("take_pictures: the demo has ended")


def _wait_until_counted(address: str) -> None:
    ends_at = time.monotonic() + READY_SECONDS
    while b"cdr_calls_total{" not in urllib.request.urlopen(f"{address}metrics").read():
        if time.monotonic() > ends_at:
            sys.exit(f"take_pictures: nothing was counted within {READY_SECONDS} s")
        time.sleep(1)
    # The next polls settle the calls of the last minute.
    time.sleep(10)


def _take(chromium: str, url: str, theme: str, number: int) -> None:
    path = Path(__file__).parent / "pictures" / f"pbx-page-{theme}.png"
    with tempfile.TemporaryDirectory() as user:
        subprocess.run(
            [
                chromium,
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={user}", f"--blink-settings=preferredColorScheme={number}"),
                *(f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={path}", url),
            ],
            check=True,
            capture_output=True,
        )
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
