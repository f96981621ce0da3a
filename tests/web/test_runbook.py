"""The runbook as a page: what its Markdown says, and where `runbook_url` leads."""

from __future__ import annotations

import re

import pytest

from cdr_exporter.bundled import rules, runbook
from cdr_exporter.web.runbook import runbook_page

from ..support.html_reader import PageReader


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        pytest.param("## CDRPBXDown", '<h2 id="cdrpbxdown">CDRPBXDown</h2>', id="heading"),
        pytest.param("a\nb\n\nc", "<p>a b</p><p>c</p>", id="paragraphs"),
        pytest.param("**Do:** it", "<p><strong>Do:</strong> it</p>", id="bold"),
        pytest.param("`a <b> **c**`", "<p><code>a &lt;b&gt; **c**</code></p>", id="code"),
        pytest.param("[X](#x)", '<p><a href="#x">X</a></p>', id="link"),
        pytest.param("- a\n- b", "<ul><li>a</li><li>b</li></ul>", id="list"),
        pytest.param(
            "| a | b |\n|---|---|\n| c | d |",
            '<table><thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead><tbody>'
            "<tr><td>c</td><td>d</td></tr></tbody></table>",
            id="table",
        ),
        pytest.param("<script>&", "<p>&lt;script&gt;&amp;</p>", id="escaped"),
        pytest.param("[X](javascript:x)", "<p>[X](javascript:x)</p>", id="no other link"),
    ],
)
def test_markdown_becomes_html(markdown: str, expected: str) -> None:
    assert f'<main class="text">{expected}</main>' in runbook_page(markdown)


def test_every_heading_of_the_runbook_is_an_anchor_and_every_link_leads_to_one() -> None:
    page = PageReader(runbook_page(runbook()))
    headings = re.findall(r"^## (.+)$", runbook(), re.MULTILINE)

    assert page.open == []
    assert [each for each in page.ids if each != "runbook"] == [each.lower() for each in headings]
    assert {href for href in page.hrefs if href and href[0] == "#"} <= {f"#{i}" for i in page.ids}


def test_no_mark_of_markdown_is_left() -> None:
    text = re.sub(r"<code>.*?</code>|<style>.*?</style>", "", runbook_page(runbook()))

    assert not re.search(r"\*\*|`|\]\(|^#|\|", text)


def test_each_alert_leads_to_its_heading() -> None:
    text = "".join(each.decode() for each in rules().values())
    wanted = set(re.findall(r"runbook_url: \S+#([\w-]+)", text))

    assert wanted
    assert wanted <= set(PageReader(runbook_page(runbook())).ids)
