"""HTTP: the responses for scrapers, for people and for Prometheus' service discovery.

Rule: a response is made from snapshots and from files read at the start. Nothing here waits for a
PBX, a disk or another client, and nothing that a client sends becomes a file path, a log line or
part of a page.

    listen.parse_listen_address → listen.bind → Server → App → a handler → HTTPResponse

    listen       listen addresses, and the sockets bound to them
    server       waitress, with limits for slow and hostile clients
    app          the WSGI application: paths and their handlers
    wsgi         a request and a response
    accept       what a client asks for with its Accept headers
    landing      the page that shows the state of each PBX
    pbx_page     the page of one PBX: its calls by hour and by day
    status       the state of a PBX in words; callee_notes, what it says of callees
    advice       what to do about it, in the words of the runbook
    periods      the last hours and days in a time zone
    charts       numbers → SVG
    runbook      the runbook as a page
    text         numbers and times as people read them
    html         what all HTML pages have in common
    discovery    the PBXs as scrape targets
"""

from .app import App
from .discovery import check_external_url
from .listen import ListenAddress, ListenError, parse_listen_address
from .server import Server

__all__ = [
    "App",
    "ListenAddress",
    "ListenError",
    "Server",
    "check_external_url",
    "parse_listen_address",
]
