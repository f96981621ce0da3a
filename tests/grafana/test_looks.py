"""How the dashboards look: that nothing is cut off, hidden, or of a colour that tells an untruth.

Grafana is not here; what is known of it was measured where its front end drew these dashboards, at
1600 and 1366 pixels with the menu open beside them, which is its default.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pytest

from cdr_exporter.calls import OUTCOMES
from cdr_exporter.cdr.contract import CALL_TYPES
from cdr_exporter.cdr.error_codes import BLOCKED_REASONS
from cdr_exporter.metrics.catalogue import ALL_DISPOSITIONS, CALLEE_DOUBTS, LEGS_BUCKETS
from cdr_exporter.settings import Buckets
from grafana.generator import styles
from grafana.generator.panels import JSON

from ..support.dashboards import DASHBOARDS, PANELS, panels, targets
from ..support.each import for_each

every_panel = for_each(PANELS)
every_size = for_each(
    pytest.param(*case.values, width, id=f"{case.id} at {width}")
    for case in PANELS
    for width in (1600, 1366)
)

MENU, MARGINS, GAP, ROW = 302, 32, 8, 30
"""Pixels: the menu, both margins beside the panels, what is between panels, a row of the grid."""

BESIDE_THE_TITLE, LINK = 103, 28
"""Pixels: the paddings of a panel's head, its icon of the description and its menu; a link."""

CELL_PADDING, SORT_ARROW = 13, 18
LEGEND_LINE, LEGEND_MARK, PANEL_HEAD, TIME_AXIS, COLOUR_SCALE = 24, 32, 40, 30, 40

GLYPHS = {
    3.5: " ijl",
    4.0: ",.:I",
    4.5: "!';`",
    5.0: "()/[\\]t|",
    5.5: "fr",
    6.0: "1{}",
    6.5: "-^_",
    7.0: '"',
    7.5: "*?s",
    8.0: "7JLacekvxyz",
    8.5: "25EFbdghnopqu",
    9.0: "#$&034689BPRSTZ",
    9.5: "+<=>KY~",
    10.0: "ADVX",
    10.5: "CGHNOU",
    11.0: "Q",
    11.5: "w",
    12.5: "m",
    13.0: "M",
    14.0: "%@W",
}
"""Width in pixels → characters: Inter, medium, at 14 pixels, as Grafana writes titles."""

WIDTHS = {character: width for width, characters in GLYPHS.items() for character in characters}


def text_width(text: str) -> float:
    return sum(WIDTHS[character] for character in text)


def panel_width(panel: JSON, window: int = 1600) -> float:
    column = (window - MENU - MARGINS + GAP) / 24
    return float(column * panel["gridPos"]["w"] - GAP)


def panel_height(panel: JSON) -> int:
    return int(panel["gridPos"]["h"] * (ROW + GAP) - GAP)


def defaults(panel: JSON) -> JSON:
    found: JSON = panel["fieldConfig"]["defaults"]
    return found


def overrides(panel: JSON) -> dict[str, dict[str, Any]]:
    """Return the properties of each series or column that has some of its own."""
    return {
        each["matcher"]["options"]: {one["id"]: one["value"] for one in each["properties"]}
        for each in panel["fieldConfig"]["overrides"]
    }


def every_value(part: Any, key: str) -> Iterator[Any]:
    """Yield what stands under a *key*, however deep."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == key:
                yield value
            yield from every_value(value, key)
    elif isinstance(part, list):
        for each in part:
            yield from every_value(each, key)


# --- Nothing is cut off ---------------------------------------------------------------------------


def test_text_is_as_wide_as_it_was_seen() -> None:
    assert text_width("Inbound answered") == pytest.approx(124, abs=4)
    assert text_width("PBXs not reached") == pytest.approx(120, abs=4)


@every_size
def test_a_title_fits(panel: JSON, window: int) -> None:
    beside = BESIDE_THE_TITLE + LINK * len(panel.get("links", ()))

    assert text_width(panel["title"]) + beside <= panel_width(panel, window)


def keys_and_columns(panel: JSON) -> tuple[list[str], list[str]]:
    """Return the headings of a table: those of its labels, and of its numbers."""
    if any(step["id"] == "groupingToMatrix" for step in panel["transformations"]):
        return ["Disposition"], list(CALL_TYPES)
    (arranged,) = (one["options"] for one in panel["transformations"] if one["id"] == "organize")
    headings = list(arranged["renameByName"].values())
    numbers = len(targets(panel))
    return headings[:-numbers], headings[-numbers:]


@every_panel
def test_all_columns_of_a_table_are_seen_with_their_headings(panel: JSON) -> None:
    if panel["type"] != "table":
        return
    own = overrides(panel)
    sort = {one["displayName"] for one in panel["options"].get("sortBy", ())}
    headings = [heading for part in keys_and_columns(panel) for heading in part]
    needed = {
        heading: text_width(heading) + CELL_PADDING + SORT_ARROW * (heading in sort)
        for heading in headings
    }
    given = {
        heading: own[heading]["custom.width"]
        for heading in headings
        if "custom.width" in own.get(heading, {})
    }
    left = panel_width(panel) - 2 * GAP - sum(given.values())
    shared = left / max(1, len(headings) - len(given))

    assert {heading for heading, width in given.items() if width < needed[heading]} == set()
    assert {heading for heading in set(needed) - set(given) if shared < needed[heading]} == set()
    assert shared >= defaults(panel)["custom"]["minWidth"] or len(given) == len(headings)


KNOWN_SERIES: Mapping[str, Collection[str]] = {
    "outcome": OUTCOMES,
    "disposition": ALL_DISPOSITIONS,
    "call_type": CALL_TYPES,
    "reason": BLOCKED_REASONS,
    "kind": CALLEE_DOUBTS,
}
"""All values of a label that is in a legend; of others, names of the user's, it is not known."""


def series_of(panel: JSON) -> list[str]:
    """Return the texts in a panel's legend, as far as they are known."""
    own = overrides(panel)
    found: list[str] = []
    for query in targets(panel):
        named = re.fullmatch(r"\{\{(\w+)\}\}", query["legendFormat"])
        if "@ end()" in query["expr"] or (named and named[1] not in KNOWN_SERIES):
            continue
        found += KNOWN_SERIES[named[1]] if named else [query["legendFormat"]]
    return [own.get(name, {}).get("displayName", name) for name in found]


@every_panel
def test_a_legend_has_room_for_all_that_may_happen(panel: JSON) -> None:
    if panel["type"] != "timeseries":
        return
    legend, known = panel["options"]["legend"], series_of(panel)
    inside = panel_height(panel) - PANEL_HEAD
    if legend["placement"] == "right":
        assert panel_width(panel) >= 600, "beside a narrow plot it leaves no plot"
        assert (len(known) + 1) * LEGEND_LINE <= inside
        assert legend["displayMode"] == "table"
        assert legend["sortDesc"] is True, "what matters is on top"
        assert legend["sortBy"] in {"Total", "Max", "Mean"}
    else:
        number = text_width(" Total: 12,345") * len(legend["calcs"])
        line = sum(text_width(name) + LEGEND_MARK + number for name in known)
        lines = -(-line // (panel_width(panel) - 2 * GAP))
        assert legend["displayMode"] == "list"
        # Grafana gives a legend below a third of the panel.
        assert lines * LEGEND_LINE <= 0.35 * inside


@every_panel
def test_the_labels_of_a_heat_map_do_not_touch_each_other(panel: JSON) -> None:
    if panel["type"] != "heatmap":
        return
    buckets = Buckets()
    bounds = max(map(len, (buckets.duration, buckets.ring, buckets.wait, LEGS_BUCKETS))) + 1
    inside = panel_height(panel) - PANEL_HEAD - TIME_AXIS - COLOUR_SCALE
    if "cdr_call_legs" in panel["targets"][0]["expr"]:
        bounds = len(LEGS_BUCKETS) + 1

    assert inside / bounds >= 18


# --- Numbers as people read them ------------------------------------------------------------------


@every_panel
def test_a_count_is_written_with_all_its_digits(panel: JSON) -> None:
    assert "short" not in set(every_value(panel, "unit")), "3 K of 2,973"


@every_panel
def test_a_time_is_not_rounded_to_minutes_or_hours(panel: JSON) -> None:
    shown = [defaults(panel), *overrides(panel).values()]
    decimals = {
        unit: [each.get("decimals") for each in shown if each.get("unit") == unit]
        for unit in ("s", "dthms")
    }

    assert set(decimals["s"]) <= {None}, "3 mins of 00:02:47"
    assert set(decimals["dthms"]) <= {0}, "NaN at the axes of Grafana 10 and 11"


@every_panel
def test_a_description_promises_no_width_that_changes_with_the_time_shown(panel: JSON) -> None:
    assert not re.search(r"is (one hour|six hours)\b", panel["description"])


@every_panel
def test_a_bar_in_a_table_is_as_long_as_its_number(panel: JSON) -> None:
    for heading, own in overrides(panel).items():
        if own.get("custom.cellOptions", {}).get("type") == "gauge":
            assert (own["min"], own["fieldMinMax"]) == (0, True), heading


@every_panel
def test_a_cell_without_a_number_says_no_more_than_that(panel: JSON) -> None:
    if panel["type"] == "table":
        own = overrides(panel)
        numbers = keys_and_columns(panel)[1]

        assert "noValue" not in defaults(panel)
        assert {own[one]["noValue"] for one in numbers if one in own} <= {"-"}


@every_panel
def test_a_heading_is_a_word_and_no_name_of_a_label(panel: JSON) -> None:
    if panel["type"] == "table":
        renamed = next(each for each in every_value(panel, "renameByName"))

        assert all(re.fullmatch(r"[A-Z][\w ]+", heading) for heading in renamed.values())


@every_panel
def test_a_line_of_zeros_has_an_axis_of_its_own_size(panel: JSON) -> None:
    if panel["type"] == "timeseries":
        assert defaults(panel)["custom"]["axisSoftMax"] == 1
        below_0 = defaults(panel)["custom"].get("axisSoftMin") == -1
        assert ("min" in defaults(panel)) is not below_0
        assert defaults(panel).get("min", 0) == 0


# --- Colours and words that tell the truth, in both themes ----------------------------------------

BACKGROUNDS = {"dark": "#181B1F", "light": "#FFFFFF"}
GOOD = {"green", "dark-green", "light-green", "semi-dark-green"}


def luminance(color: str) -> float:
    """Return the relative luminance of `#RRGGBB`, as WCAG 2 has it."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


OWN_COLORS = sorted(
    {color for one in DASHBOARDS.values() for color in re.findall(r"#\w{6}\b", str(one))}
)


@pytest.mark.parametrize("theme", BACKGROUNDS)
@pytest.mark.parametrize("color", OWN_COLORS)
def test_a_color_that_is_none_of_grafanas_is_seen_in_both_themes(color: str, theme: str) -> None:
    # 3 is what WCAG 2 asks for graphics.
    assert contrast(color, BACKGROUNDS[theme]) >= 3


@every_panel
def test_series_of_the_users_own_names_get_different_colors(panel: JSON) -> None:
    if panel["type"] == "timeseries":
        assert defaults(panel)["color"] == {"mode": "palette-classic"}


@every_panel
def test_no_number_is_no_good_news(panel: JSON) -> None:
    if panel["type"] == "stat":
        (mapping,) = defaults(panel)["mappings"]
        result = mapping["options"]["result"]

        assert (mapping["type"], mapping["options"]["match"]) == ("special", "null+nan")
        assert result["color"] not in GOOD
        assert "noValue" not in defaults(panel), "it would have the colour of 0"


@every_panel
def test_a_number_is_good_or_bad_only_where_there_is_a_bound(panel: JSON) -> None:
    if panel["type"] == "stat":
        steps = [each["color"] for each in defaults(panel)["thresholds"]["steps"]]

        assert steps == ["text"] or (steps[0] in GOOD and steps[1] in {"red", "orange"})


@every_panel
def test_an_empty_panel_over_time_says_so_and_claims_nothing(panel: JSON) -> None:
    if panel["type"] in {"timeseries", "heatmap", "bargauge"}:
        assert re.search(r"in this range$|in exporter\.yml$", defaults(panel)["noValue"])


@every_panel
def test_states_have_a_legend_of_words(panel: JSON) -> None:
    if panel["type"] == "state-timeline":
        (mapping,) = defaults(panel)["mappings"]

        assert all(each["text"] for each in mapping["options"].values())
        # Both would be in the legend too: `< 1`, `1+`, and the text of a gap.
        assert not {"thresholds", "noValue"} & set(defaults(panel))
        assert defaults(panel)["color"] == {"mode": "fixed"}


@every_panel
def test_more_is_stronger_in_a_heat_map_whatever_the_theme(panel: JSON) -> None:
    assert not re.search(r"\b(darker|brighter|lighter)\b", panel["description"])
    if panel["type"] == "heatmap":
        color = panel["options"]["color"]

        assert (color["mode"], color["min"]) == ("opacity", 0)
        assert "The stronger the colour" in panel["description"]


def test_two_series_of_one_panel_have_two_colors() -> None:
    tables = [one for one in vars(styles).values() if isinstance(one, dict)]

    assert len(tables) >= 10
    for table in tables:
        if all(isinstance(each, styles.Style) for each in table.values()):
            assert len({each.color for each in table.values()}) == len(table), table


def test_whether_the_rest_is_true_is_said_on_top() -> None:
    found = {
        panel["title"]: panel["gridPos"]["y"] for panel in panels(DASHBOARDS["calls-overview.json"])
    }

    assert found["PBXs not reached"] < found["All PBXs reached"] < found["Calls by outcome"]
