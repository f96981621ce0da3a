"""The runbook as a page: the Markdown that it is written in, and no more, as HTML.

Rule: the anchor of a heading is its text in small letters, without what is neither letter nor
digit, as `runbook_url` of the rules expects it. All text is escaped before anything else is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby

from .html import html_page

_INLINE: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\[([^\]]+)\]\((#[\w-]+)\)"), r'<a href="\2">\1</a>'),
)
_CODE = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"(#{1,3}) (.+)")


def runbook_page(markdown: str) -> str:
    """Return the page that *markdown* says."""
    parts = re.split(r"\n{2,}", markdown.strip())
    nav = '<nav aria-label="Up"><a href="./">cdr-exporter</a></nav>'
    body = "".join(_block(part.splitlines()) for part in parts)
    return html_page("Runbook - cdr-exporter", f'{nav}<main class="text">{body}</main>')


def anchor_of(heading: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^a-z0-9-]", "", heading.lower().replace(" ", "-"))


def _block(lines: Sequence[str]) -> str:
    """Return a paragraph, heading, list or table; lines of several kinds are several blocks."""
    return "".join(_KINDS[kind](list(each)) for kind, each in groupby(lines, key=_kind))


def _kind(line: str) -> str:
    if _HEADING.fullmatch(line):
        return "heading"
    return {"|": "table", "-": "list"}.get(line[:1], "paragraph")


def _headings(lines: Sequence[str]) -> str:
    found = [match for line in lines if (match := _HEADING.fullmatch(line))]
    return "".join(
        f'<h{len(match[1])} id="{anchor_of(match[2])}">{_inline(match[2])}</h{len(match[1])}>'
        for match in found
    )


def _paragraph(lines: Sequence[str]) -> str:
    return f"<p>{_inline(' '.join(lines))}</p>"


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_inline(line[1:].strip())}</li>' for line in lines)}</ul>"


def _table(lines: Sequence[str]) -> str:
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    heads = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{_inline(cell)}</td>' for cell in cells)}</tr>" for cells in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


_KINDS: dict[str, Callable[[Sequence[str]], str]] = {
    "heading": _headings,
    "paragraph": _paragraph,
    "list": _list,
    "table": _table,
}


def _inline(text: str) -> str:
    """Return *text* with what is bold, a link or code in it; in code nothing else is."""
    pieces = _CODE.split(text)
    return "".join(
        f"<code>{escape(piece)}</code>" if number % 2 else _marked(piece)
        for number, piece in enumerate(pieces)
    )


def _marked(text: str) -> str:
    text = escape(text)
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text
