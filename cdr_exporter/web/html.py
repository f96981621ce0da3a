"""What all HTML pages have in common: the style, and what a browser may load for them.

Rule: one inline style, allowed by its hash, and nothing else: no script, no picture, no frame, no
form. The pages work in any browser, on a phone (the table of PBXs becomes cards), in dark mode and
with a screen reader.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import quote

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "head": "#f4f6f9",
    "line": "#d8dee6",
    "ink": "#1c2430",
    "soft": "#566173",
    "link": "#0b57b0",
    "up": "#12703a",
    "down": "#b3211c",
    "busy": "#8a5200",
    "answered": "#2f855a",
    "voicemail": "#3f7cc4",
    "no_answer": "#cf5540",
    "busy_line": "#b3791a",
    "blocked": "#7a675c",
    "failed": "#8a55a8",
    "machine": "#808a2a",
    "unknown": "#7c8694",
    "rest": "#9aa7b8",
}
DARK: Mapping[str, str] = {
    "paper": "#14181f",
    "head": "#1d232d",
    "line": "#333c49",
    "ink": "#e4e9f0",
    "soft": "#a3afbf",
    "link": "#8ab8f5",
    "up": "#6cd391",
    "down": "#ff8f87",
    "busy": "#f0b45c",
    "answered": "#4fae7d",
    "voicemail": "#6fa5e6",
    "no_answer": "#ea7f69",
    "busy_line": "#d9a441",
    "blocked": "#a8948a",
    "failed": "#b98ad4",
    "machine": "#aab04c",
    "unknown": "#8f99a8",
    "rest": "#6b7788",
}
"""The colours of the light and the dark theme. Text has a contrast of 4.5 to 1 at least, shapes of
3 to 1, which a test computes."""

_LAYOUT = """
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1.5rem 1rem 3rem;background:var(--paper);
color:var(--ink);font:1rem/1.45 system-ui,sans-serif}
h1{margin:0;font-size:1.5rem;overflow-wrap:anywhere}h1 small{font-size:.875rem;font-weight:400}
h2{margin:2rem 0 .5rem;font-size:1.125rem}h3{margin:0;font-size:.875rem;color:var(--soft);
font-weight:400}
small,footer{color:var(--soft);font-size:.875rem}td small,dd small{display:block}
a{color:var(--link)}p{margin:.5rem 0 1rem}ul{margin:0;padding-left:1.25rem}li{padding:.125rem 0}
main.text{max-width:46rem}code{font-size:.9em;overflow-wrap:anywhere}
table{width:100%;border-collapse:collapse;border:1px solid var(--line)}
th,td{padding:.5rem .75rem;border-bottom:1px solid var(--line);text-align:left;
vertical-align:top}
thead th{background:var(--head);font-size:.875rem;vertical-align:bottom}
tbody th{overflow-wrap:anywhere}
th.number,.number{text-align:right;font-variant-numeric:tabular-nums}
time,time+small{white-space:nowrap}
.state{font-weight:600;white-space:nowrap}.note{margin:.25rem 0 0;font-size:.875rem}
.up .state{color:var(--up)}.down .state{color:var(--down)}
.busy .state{color:var(--busy)}.wait .state{color:var(--soft)}
.advice{margin:.5rem 0;padding:.5rem .75rem;border-left:.25rem solid var(--busy);
background:var(--head);font-size:.9375rem}
td .advice{max-width:34rem}.pbxs tbody th{min-width:9rem}td.number{white-space:nowrap}
.aside{position:absolute;width:1px;height:1px;margin:-1px;overflow:hidden;clip-path:inset(50%);
white-space:nowrap}
footer{margin-top:2rem}
svg.patterns{position:absolute}
.figures{display:flex;flex-wrap:wrap;gap:1rem;margin:1.25rem 0 0}
.figure{flex:1 1 14rem;padding:.75rem 1rem;border:1px solid var(--line);border-radius:.375rem}
.big{margin:0;font-size:1.75rem;font-variant-numeric:tabular-nums}
.figure ul{padding:0;list-style:none;font-size:.875rem}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:1.5rem 0 0;padding:0;
list-style:none;font-size:.875rem}
.key{width:.75rem;height:.75rem;margin-right:.375rem;vertical-align:-.0625rem}
.charts{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 2.5rem;
align-items:start}
.chart{border:0}.chart th,.chart td{padding:.1875rem .375rem;border:0;font-size:.875rem;
white-space:nowrap}
.chart thead th{background:none;color:var(--soft);font-weight:400;font-size:.8125rem}
.chart tbody th{font-weight:400;overflow-wrap:normal;font-variant-numeric:tabular-nums}
.chart th:first-child{padding-left:0}.chart td:last-child,.chart th:last-child{padding-right:0}
.chart tbody small{font-size:.75rem}.chart tbody th small{margin-left:.125rem}
.bars{width:99%;min-width:6rem}td.bars small{white-space:normal;line-height:1.2}
.gap{color:var(--soft)}
.bar{display:block;width:100%;height:.875rem;margin:.1875rem 0}
.bar rect{shape-rendering:crispEdges}
.progress{max-width:30rem}.progress .bar{background:var(--head)}
.spark{vertical-align:bottom}.days{white-space:nowrap}
details{margin:.75rem 0}summary{cursor:pointer;color:var(--link);font-size:.875rem}
.scroll{overflow-x:auto;margin-top:.5rem}
.numbers th,.numbers td{padding:.25rem .625rem;font-size:.8125rem;white-space:nowrap}
dl{display:flex;flex-wrap:wrap;gap:.75rem 2.5rem;margin:0}dt{color:var(--soft);font-size:.875rem}
dd{margin:0}
@media(max-width:60rem){.charts{grid-template-columns:minmax(0,1fr)}}
@media(max-width:30rem){.bars{min-width:3rem}.chart th,.chart td{padding:.1875rem .25rem}
.chart tbody th small{display:block;margin:0}}
@media(max-width:64rem){
.pbxs,.pbxs thead,.pbxs tbody,.pbxs tr,.pbxs th,.pbxs td{display:block;border:0}
.pbxs thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.pbxs tr{margin-bottom:.75rem;padding:.75rem;border:1px solid var(--line);border-radius:.375rem}
.pbxs th,.pbxs td{padding:.125rem 0}.pbxs tbody th{min-width:0;font-size:1.125rem}
.pbxs td.number{text-align:left}
.pbxs td:not(:nth-child(2))::before{content:attr(data-label) ": ";color:var(--soft);
font-size:.875rem}
.pbxs td small{display:inline}.pbxs td small::before{content:" · "}}
"""

_FILLS = {
    **{name: name for name in ("answered", "voicemail", "no_answer", "blocked", "failed")},
    **{name: name for name in ("machine", "unknown", "rest")},
    "busy": "busy_line",
    "unreached": "",
    "hatch": "soft",
    "done": "answered",
    "base": "soft",
}
"""Which colour fills a shape, by its class; a time that was not reached is hatched instead."""


def _variables(theme: Mapping[str, str]) -> str:
    return ";".join(f"--{name}:{colour}" for name, colour in theme.items())


def _fill(style: str, name: str) -> str:
    return f"rect.{style}{{fill:{f'var(--{name})' if name else 'url(#hatch)'}}}"


_STYLE = (
    f":root{{color-scheme:light dark;{_variables(LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    f"{_LAYOUT}{''.join(_fill(*each) for each in _FILLS.items())}"
)

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


def file_list_page(title: str, how: str, names: Iterable[str]) -> str:
    """Return a page of links to files, and *how* to use them; *names* are relative to the page."""
    links = "".join(f'<li><a href="{quote(name)}">{escape(name)}</a></li>' for name in names)
    return html_page(
        f"{title} - cdr-exporter",
        f'<header><nav aria-label="Up"><a href="../">cdr-exporter</a></nav><h1>{escape(title)}</h1>'
        f'</header><main class="text"><p>{escape(how)}</p><ul>{links}</ul></main>',
    )
