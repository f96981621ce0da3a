"""HTTP: what a scraper, a person and Prometheus' service discovery are answered.

Rule: an answer is made of snapshots and of files read at the start. Nothing here waits for a PBX,
a disk or another client, and nothing a client sends becomes a path, a log line or part of a page.

    listen.parse → listen.bind → Server (waitress) → App (WSGI) → routes → Answer
"""

from .app import App
from .listen import ListenAddress, ListenError, parse
from .server import Server

__all__ = ["App", "ListenAddress", "ListenError", "Server", "parse"]
