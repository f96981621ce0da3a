"""What is published is rendered ahead of the scrapes, and a scrape waits for none of it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cdr_exporter import config
from cdr_exporter.commands.exporter import Exporter
from cdr_exporter.exposition import Exposition
from cdr_exporter.web import ListenAddress

from ..support.changing_pbxs import ChangingFleet, ChangingPBX
from ..support.rows import BOUNDS

NAMES = ("hq", "branch")


@pytest.fixture
def changing() -> ChangingFleet:
    return ChangingFleet({name: ChangingPBX(name, BOUNDS) for name in NAMES})


@pytest.fixture
def ours() -> Exposition:
    return Exposition(BOUNDS, "1.2.3")


def behind(ours: Exposition, changing: ChangingFleet) -> list[str]:
    shots = [pbx.snapshot for pbx in changing.shown]
    return [each.pbx for each in ours.behind(shots, changing.now)]


def render_ahead(ours: Exposition, changing: ChangingFleet) -> None:
    for pbx in changing.shown:
        ours.render_ahead(pbx.snapshot, changing.now)


def test_a_scrape_finds_rendered_what_was_rendered_ahead(
    ours: Exposition, changing: ChangingFleet
) -> None:
    render_ahead(ours, changing)
    before = {name: text.rendered for name, text in ours._pbxs.items()}

    ours.all_pbxs([pbx.snapshot for pbx in changing.shown], changing.now, openmetrics=False)

    assert list(before) == list(NAMES)
    assert all(text.rendered is before[name] for name, text in ours._pbxs.items())


def test_a_pbx_is_rendered_ahead_when_it_is_new_and_when_it_has_published(
    ours: Exposition, changing: ChangingFleet
) -> None:
    assert behind(ours, changing) == list(NAMES)
    render_ahead(ours, changing)
    assert behind(ours, changing) == []

    changing.change("wait", "hq", 30)
    changing.change("poll", "branch", 0)

    assert behind(ours, changing) == ["branch"]


def test_a_pbx_that_publishes_each_second_is_rendered_ahead_now_and_then(
    ours: Exposition, changing: ChangingFleet
) -> None:
    rendered = 0
    for _ in range(20):
        changing.change("wait", "hq", 1)
        changing.change("row", "hq", 1)
        rendered += "hq" in behind(ours, changing)
        if "hq" in behind(ours, changing):
            render_ahead(ours, changing)

    assert rendered == 4


def test_nothing_is_rendered_ahead_while_a_scrape_is_rendered(
    ours: Exposition, changing: ChangingFleet
) -> None:
    with ours._lock:
        render_ahead(ours, changing)

    assert behind(ours, changing) == list(NAMES)


def test_an_older_snapshot_does_not_take_the_place_of_a_newer_one(
    ours: Exposition, changing: ChangingFleet
) -> None:
    older = changing.pbxs["hq"].snapshot
    changing.change("row", "hq", 1)
    newer = changing.pbxs["hq"].snapshot
    page = ours.one_pbx(newer, changing.now, openmetrics=False).plain

    ours.render_ahead(older, changing.now)

    assert ours.one_pbx(newer, changing.now, openmetrics=False).plain == page
    assert ours.one_pbx(older, changing.now, openmetrics=False).plain == page


FILE = """
pbxs:
  - {name: hq, base_url: http://127.0.0.1:9, client_id: x, client_secret: y}
"""


def test_the_program_renders_ahead_while_it_waits(tmp_path: Path) -> None:
    settings, stop = config.parse(FILE, "exporter.yml", tmp_path), threading.Event()
    exporter = Exporter(settings, [ListenAddress("127.0.0.1", 0)], stop)
    exporter.start()
    try:
        exporter.wait(each_second=stop.set)
    finally:
        exporter.stop()

    assert list(exporter._app._exposition._pbxs) == ["hq"]
