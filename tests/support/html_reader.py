"""Reads a page of ours as a browser would: rows of text, links, and whether all tags are closed."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta"}


class PageReader(HTMLParser):
    """A page as rows of text, with its links, ids, and the tags that are not closed.

    *outline* are the levels of its headings, *labels* what its charts say, *text* is all of it.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.hrefs: list[str | None] = []
        self.ids: list[str | None] = []
        self.outline: list[int] = []
        self.labels: list[str | None] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.hrefs += [value for name, value in attrs if name == "href"]
        self.ids += [value for name, value in attrs if name == "id"]
        if re.fullmatch("h[1-6]", tag):
            self.outline.append(int(tag[1]))
        if tag == "svg" and dict(attrs).get("role") == "img":
            self.labels.append(dict(attrs)["aria-label"])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "tr" in self.open and "title" not in self.open:
            self.rows[-1][-1] += data + " "

    @property
    def texts(self) -> list[list[str]]:
        """The rows, with single blanks."""
        return [[" ".join(cell.split()) for cell in cells] for cells in self.rows]
