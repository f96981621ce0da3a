"""The WSGI application: a table of exact paths, and what each answers.

Rule: a path is in the table or it is 404; nothing is cut off, decoded or joined. A handler that
fails costs its client a 500 without details and nobody else anything.

    /                   a page for people                /sd                Prometheus HTTP SD
    /metrics            every PBX; ?pbx=NAME: one        /dashboards/[NAME.json]
    /-/healthy          the process and its pollers      /rules/[NAME.yml]
    /-/ready            every PBX was tried once
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

from ..clock import Now
from ..exposition import OPENMETRICS_TYPE, TEXT_TYPE, Body, Exposition
from ..metrics.snapshot import Snapshot
from . import discovery, landing
from .accept import accepts_gzip, wants_openmetrics
from .html import CONTENT_SECURITY_POLICY, document, index
from .wsgi import HTML, JSON, TEXT, HTTPRequest, HTTPResponse, text

_log = logging.getLogger(__name__)

_METHODS = ("GET", "HEAD")
_VARY = ("Vary", "Accept, Accept-Encoding")
_CSP = ("Content-Security-Policy", CONTENT_SECURITY_POLICY)

_NOT_ALLOWED = HTTPResponse(
    b"GET and HEAD only\n",
    status=HTTPStatus.METHOD_NOT_ALLOWED,
    headers=(("Allow", ", ".join(_METHODS)),),
)

Handler = Callable[[HTTPRequest], HTTPResponse]


class App:
    """Answers requests out of what it is handed; any number of threads may call it.

    *snapshots* come in configured order. *alive* says whether every poller still runs.
    """

    def __init__(
        self,
        *,
        snapshots: Callable[[], Sequence[Snapshot]],
        exposition: Exposition,
        now: Callable[[], Now],
        alive: Callable[[], bool],
        version: str,
        dashboards: Mapping[str, bytes],
        rules: Mapping[str, bytes],
        external_url: str | None = None,
    ) -> None:
        self._snapshots = snapshots
        self._exposition = exposition
        self._now = now
        self._alive = alive
        self._version = version
        self._base = None if external_url is None else discovery.base_of_url(external_url)
        self._failures = _Failures()
        self._routes: dict[str, Handler] = {
            "/": self._landing,
            "/metrics": self._metrics,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
            "/sd": self._discovery,
            **_files("/dashboards/", "Dashboards", dashboards, JSON),
            # As text, so that a browser shows them.
            **_files("/rules/", "Rules", rules, TEXT),
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        return self._answer(HTTPRequest.read(environ)).send(environ, start_response)

    def _answer(self, request: HTTPRequest) -> HTTPResponse:
        handler = self._routes.get(request.path)
        if handler is None:
            return text("not found", HTTPStatus.NOT_FOUND)
        if request.method not in _METHODS:
            return _NOT_ALLOWED
        try:
            answer = handler(request)
        except Exception as error:  # noqa: BLE001 - the one net under all handlers
            self._failures.failed(request.path, error)
            return text("internal error, see the log", HTTPStatus.INTERNAL_SERVER_ERROR)
        self._failures.worked(request.path)
        return answer

    def _landing(self, request: HTTPRequest) -> HTTPResponse:
        content = landing.content(self._snapshots(), self._now(), self._version)
        return _html(document("cdr-exporter", content))

    def _metrics(self, request: HTTPRequest) -> HTTPResponse:
        names = request.values("pbx")
        openmetrics = wants_openmetrics(request.accept)
        if not names:
            body = self._exposition.all_pbxs(
                self._snapshots(), self._now(), openmetrics=openmetrics
            )
            return _exposed(request, body, openmetrics)
        if len(names) > 1 or not names[0]:
            return text("pbx: one name, please", HTTPStatus.BAD_REQUEST)
        for snapshot in self._snapshots():
            if snapshot.pbx == names[0]:
                body = self._exposition.one_pbx(snapshot, self._now(), openmetrics=openmetrics)
                return _exposed(request, body, openmetrics)
        return text("no such pbx", HTTPStatus.NOT_FOUND)

    def _healthy(self, request: HTTPRequest) -> HTTPResponse:
        if self._alive():
            return text("ok")
        return text("a poller has ended", HTTPStatus.SERVICE_UNAVAILABLE)

    def _ready(self, request: HTTPRequest) -> HTTPResponse:
        snapshots = self._snapshots()
        missing = [snapshot.pbx for snapshot in snapshots if not snapshot.attempted]
        if snapshots and not missing:
            return text("ready")
        waiting = f"not yet polled: {', '.join(missing)}"
        return text(waiting, HTTPStatus.SERVICE_UNAVAILABLE)

    def _discovery(self, request: HTTPRequest) -> HTTPResponse:
        base = self._base or discovery.base_of_host(request.host)
        if base is None:
            return text("Host: not of the form host[:port]", HTTPStatus.BAD_REQUEST)
        names = [snapshot.pbx for snapshot in self._snapshots()]
        return HTTPResponse(discovery.targets(names, base), JSON)


class _Failures:
    """Logs a path that fails once, and once more when it works again."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def failed(self, path: str, error: Exception) -> None:
        with self._lock:
            self._counts[path] = count = self._counts.get(path, 0) + 1
        if count == 1:
            # Neither message nor traceback: they hold values of others.
            kind = type(error).__name__
            _log.error("request failed path=%s error=%s at=%s", path, kind, _place(error))

    def worked(self, path: str) -> None:
        if path not in self._counts:
            return
        with self._lock:
            count = self._counts.pop(path, 0)
        if count:
            _log.info("requests work again path=%s failures=%d", path, count)


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def _exposed(request: HTTPRequest, body: Body, openmetrics: bool) -> HTTPResponse:
    content_type = OPENMETRICS_TYPE if openmetrics else TEXT_TYPE
    if accepts_gzip(request.accept_encoding):
        return HTTPResponse(
            body.gzipped, content_type, headers=(_VARY, ("Content-Encoding", "gzip"))
        )
    return HTTPResponse(body.plain, content_type, headers=(_VARY,))


def _html(page: str) -> HTTPResponse:
    return HTTPResponse(page.encode(), HTML, headers=(_CSP,))


def _files(
    folder: str, title: str, files: Mapping[str, bytes], content_type: str
) -> dict[str, Handler]:
    """Return a route per file, and one for the list of them."""
    listing = _html(index(title, files))
    routes: dict[str, Handler] = {folder: partial(_same, listing)}
    for name, content in files.items():
        routes[folder + name] = partial(_same, HTTPResponse(content, content_type))
    return routes


def _same(answer: HTTPResponse, request: HTTPRequest) -> HTTPResponse:
    return answer
