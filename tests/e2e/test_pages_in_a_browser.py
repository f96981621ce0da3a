"""The pages in a real browser: nothing is wider than the window, on a phone nor on a desk."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from html import escape, unescape
from pathlib import Path

import pytest

from cdr_exporter.calls import group_calls
from cdr_exporter.metrics.quarters import Quarters
from cdr_exporter.metrics.totals import Series

from ..support.finished_calls import DAY, HOUR, NOW, call
from ..support.programs import require
from ..support.web import app, ask, snapshot

WIDTHS = (400, 1600)
PATHS = ("/", "/pbx/hq", f"/pbx/{'long-name.' * 6}x", "/rules/", "/runbook")

MEASURE = """
onload = () => {
  const pages = [...document.querySelectorAll("iframe")].map(
    each => each.contentDocument.documentElement);
  document.title = JSON.stringify(pages.map(each => each.scrollWidth - each.clientWidth));
}
"""


def pages() -> dict[str, str]:
    """Return each page at its worst: long names, much advice, an outage, large numbers."""
    quarters = Quarters().reached_at(NOW - 20 * DAY, 300.0).after
    calls = [call(NOW - 3 * HOUR) for _ in range(12_345)]
    calls += [call(NOW - 2 * DAY, "busy"), call()]
    quarters = quarters.after(group_calls(calls), NOW).after
    well = replace(snapshot("hq"), quarters=quarters)
    ill = replace(
        snapshot(PATHS[2].removeprefix("/pbx/"), gauges={"cdr_up": 0.0, "cdr_pbx_records": 1e9}),
        failure="no answer within 30 s, and a long explanation of what was tried before it",
        failure_reason="auth",
        in_first_read=True,
        quarters=quarters,
    )
    blocked = {Series("cdr_exporter_auth_blocked", ("credentials",)): 1.0}
    ill = replace(ill, gauges={**ill.gauges, **blocked})
    application = app(well, ill)
    return {path: ask(application, path).text for path in PATHS}


@pytest.mark.e2e
def test_no_page_is_wider_than_the_window(tmp_path: Path) -> None:
    chromium = require("chromium")
    # The tables behind the charts are opened: they scroll by themselves.
    shown = {path: page.replace("<details>", "<details open>") for path, page in pages().items()}
    frames = "".join(
        f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{escape(page)}"></iframe>'
        for page in shown.values()
        for width in WIDTHS
    )
    file = tmp_path / "pages.html"
    file.write_text(f"<!doctype html>{frames}<script>{MEASURE}</script>")
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user")

    run = subprocess.run(
        [chromium, *flags, "--virtual-time-budget=10000", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        check=True,
    )

    title = re.search(r"<title>(\[.*?\])</title>", run.stdout)
    assert title is not None
    assert json.loads(unescape(title[1])) == [0, 0] * len(shown)
