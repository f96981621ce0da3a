"""What all pages have in common: they load nothing, are whole, and their colours can be told."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from cdr_exporter.web.html import DARK, LIGHT, file_list_page, html_page

from ..support.html_reader import PageReader
from ..support.web import app, ask, snapshot

PAGES = ("/", "/pbx/hq", "/dashboards/", "/rules/", "/runbook")
INKS = ("ink", "soft", "link", "up", "down", "busy")
FILLS = ("answered", "voicemail", "no_answer", "busy_line", "blocked", "failed", "machine")

every_page = pytest.mark.parametrize("path", PAGES)
every_theme = pytest.mark.parametrize(
    "theme", [pytest.param(LIGHT, id="light"), pytest.param(DARK, id="dark")]
)


def page_of(path: str) -> str:
    return ask(app(snapshot("hq")), path).text


@every_page
def test_a_page_has_no_script_and_loads_nothing(path: str) -> None:
    page = page_of(path).replace("url(#hatch)", "")

    assert not re.search(r"<script|<img|<link|\son\w+=|url\(|@import|http|style=", page)


@every_page
def test_a_page_is_whole_and_can_be_read_by_headings_and_landmarks(path: str) -> None:
    text = page_of(path)
    page = PageReader(text)

    assert text.startswith('<!doctype html><html lang="en">')
    assert re.search(r"<title>[^<]*cdr-exporter</title>", text)
    assert page.open == []
    assert page.outline.count(1) == 1
    assert page.outline[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(page.outline))
    assert len(page.ids) == len(set(page.ids))
    assert text.count("<main") == 1


@every_page
def test_a_page_has_the_headers_that_keep_others_out(path: str) -> None:
    for method in ("GET", "HEAD"):
        response = ask(app(snapshot("hq")), path, method)

        assert response.status == 200
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none';")
        assert response.headers["X-Frame-Options"] == "deny"


def test_the_lists_of_files_say_how_to_use_them() -> None:
    assert "Dashboards > New > Import" in page_of("/dashboards/").replace("&gt;", ">")
    assert "rule_files" in page_of("/rules/")


def test_a_list_of_files_is_escaped_too() -> None:
    page = file_list_page("<T>", "<how>", ['a"<.yml'])

    assert PageReader(page).hrefs == ["../", "a%22%3C.yml"]
    assert "<T>" not in page
    assert "<how>" not in page


def contrast(one: str, other: str) -> float:
    light, dark = sorted(map(relative_luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def relative_luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@every_theme
@pytest.mark.parametrize("paper", ["paper", "head"])
@pytest.mark.parametrize("ink", INKS)
def test_text_has_enough_contrast(theme: dict[str, str], ink: str, paper: str) -> None:
    assert contrast(theme[ink], theme[paper]) >= 4.5


@every_theme
@pytest.mark.parametrize("fill", [*FILLS, "unknown"])
def test_bars_have_enough_contrast(theme: dict[str, str], fill: str) -> None:
    assert contrast(theme[fill], theme["paper"]) >= 3


def test_every_colour_that_the_style_names_is_in_both_themes() -> None:
    named = set(re.findall(r"var\(--(\w+)\)", html_page("t", "")))

    assert named == LIGHT.keys() == DARK.keys()
