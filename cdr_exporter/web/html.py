"""What all HTML pages have in common: the style, and what a browser may load for them.

Rule: one inline style, allowed by its hash, and nothing else: no script, no picture, no frame, no
form. The pages work in any browser, on a phone (the table becomes cards), in dark mode and with a
screen reader.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from urllib.parse import quote

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#566173;--paper:#fff;--line:#d8dee6;
--head:#f3f5f8;--link:#0b57b0;--up:#12703a;--down:#b3211c;--busy:#8a5200;--wait:#566173}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--soft:#a3afbf;--paper:#14181f;
--line:#333c49;--head:#1d232d;--link:#8ab8f5;--up:#6cd391;--down:#ff8f87;--busy:#f0b45c;
--wait:#a3afbf}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1.5rem 1rem;background:var(--paper);color:var(--ink);
font:1rem/1.45 system-ui,sans-serif}
h1{margin:0;font-size:1.5rem}h1 small{font-size:.875rem;font-weight:400}
h2{margin:2rem 0 .5rem;font-size:1.125rem}
small,footer{color:var(--soft);font-size:.875rem}td small{display:block}
a{color:var(--link)}p{margin:.5rem 0 1rem}ul{margin:0;padding-left:1.25rem}li{padding:.125rem 0}
table{width:100%;border-collapse:collapse;border:1px solid var(--line)}
th,td{padding:.5rem .75rem;border-bottom:1px solid var(--line);text-align:left;
vertical-align:top}
thead th{background:var(--head);font-size:.875rem;vertical-align:bottom}
tbody th{min-width:9rem;overflow-wrap:anywhere}
th.number,.number{text-align:right;font-variant-numeric:tabular-nums}time,time+small{white-space:nowrap}
.state{font-weight:600;white-space:nowrap}.note{margin:.25rem 0 0;font-size:.875rem}
.up .state{color:var(--up)}.down .state{color:var(--down)}
.busy .state{color:var(--busy)}.wait .state{color:var(--wait)}
footer{margin-top:2rem}
@media(max-width:64rem){table,thead,tbody,tr,th,td{display:block;border:0}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
tr{margin-bottom:.75rem;padding:.75rem;border:1px solid var(--line);border-radius:.375rem}
th,td{padding:.125rem 0}tbody th{min-width:0;font-size:1.125rem}.number{text-align:left}
td:not(:nth-child(2))::before{content:attr(data-label) ": ";color:var(--soft);font-size:.875rem}
td small{display:inline}td time+small::before{content:" · "}}
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def html_page(title: str, body: str) -> str:
    """Return a whole page; *title* is escaped here, *body* is HTML and is not."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def file_list_page(title: str, names: Iterable[str]) -> str:
    """Return a page of links to files; *names* are relative to the page."""
    links = "".join(f'<li><a href="{quote(name)}">{escape(name)}</a></li>' for name in names)
    heading = f'<h1>{escape(title)}</h1><p><a href="../">cdr-exporter</a></p>'
    return html_page(f"{title} - cdr-exporter", f"{heading}<ul>{links}</ul>")
