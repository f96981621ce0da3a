"""The application: a table of paths and their handlers.

Rule: a path is in the table exactly as the client sent it, or the response is 404; nothing is cut
off, decoded or joined. A folder without its slash is led to it. If a handler fails, its client gets
a 500 without details, and no other client notices.

    /               the state of each PBX, for people    /sd                Prometheus HTTP SD
    /pbx/NAME       one PBX and its calls, for people    /dashboards/[NAME.json]
    /metrics        every PBX; ?pbx=NAME: one            /rules/[NAME.yml]
    /-/healthy      do all pollers run, can the page     /runbook
                    of metrics be made?
    /-/ready        was every PBX polled once?

Where replicas share the PBXs, `/metrics` and the charts have those that this one holds; `/`,
`/pbx/NAME` and `/sd` know all, and only these ask the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import partial
from http import HTTPStatus
from pathlib import Path

from ..clock import Now
from ..exposition import OPENMETRICS_TYPE, TEXT_TYPE, Body, Exposition
from ..metrics.snapshot import Snapshot
from . import discovery, elsewhere, landing, pbx_page
from .accept import accepts_gzip, wants_openmetrics
from .elsewhere import Others
from .html import CONTENT_SECURITY_POLICY, file_list_page, html_page
from .messages import HTML, JSON, TEXT, HTTPRequest, HTTPResponse, Parts, text_response
from .replicas import HoldersUnknown, Replicas
from .runbook import runbook_page

_log = logging.getLogger(__name__)

_METHODS = ("GET", "HEAD")
_VARY_HEADER = ("Vary", "Accept, Accept-Encoding")
_CSP_HEADER = ("Content-Security-Policy", CONTENT_SECURITY_POLICY)

_PBX_FOLDER = "/pbx/"
_PBX_PAGES = "/pbx/NAME"
"""The route of all pages of single PBXs, as it is named in the log."""

_IMPORT_DASHBOARDS = (
    "In Grafana: Dashboards > New > Import, upload a file or paste it, and choose Prometheus as "
    "the data source. All of them at once: cdr-exporter dashboards --output DIR, for provisioning."
)
_IMPORT_RULES = (
    "Save them beside prometheus.yml, name them all under rule_files, and reload Prometheus. "
    "cdr-thresholds.yml has the numbers that alerts go by, and has to be among them."
)

_NOT_ALLOWED = text_response(
    "GET and HEAD only", HTTPStatus.METHOD_NOT_ALLOWED, (("Allow", ", ".join(_METHODS)),)
)

_RELOAD = "/-/reload"
_RELOAD_METHODS = ("POST", "PUT")
_RELOAD_NOT_ALLOWED = text_response(
    "POST or PUT only", HTTPStatus.METHOD_NOT_ALLOWED, (("Allow", ", ".join(_RELOAD_METHODS)),)
)

_PAGE_PATIENCE = 1.0
"""Seconds for which a page waits for the database."""

_REST = 0.001
"""Seconds between two PBXs that are rendered ahead: a scrape that waits for the lock gets it."""

Handler = Callable[[HTTPRequest], HTTPResponse]


class App:
    """Responds to requests; any number of threads may call it.

    *snapshots* returns the newest snapshot of each PBX, in the order of the configuration. *alive*
    says whether every poller still runs, *waits_for* what has to come before all is ready, empty
    where nothing has to. *dashboards* and *rules* are files by name.
    *runbook* is its text in Markdown. *zones* are the time zones by the name of the PBX, UTC where
    there is none. *external_url* is `--web.external-url`; raises `ConfigError` if it is not
    valid. *ask_to_reload* reads the configuration again and returns whether it could be used;
    without it there is no path for that. *has_tls* says whether requests come through TLS.
    *replicas* are this one and the others that share the PBXs, None where it is alone.
    """

    def __init__(
        self,
        *,
        snapshots: Callable[[], Sequence[Snapshot]],
        exposition: Exposition,
        now: Callable[[], Now],
        alive: Callable[[], bool],
        waits_for: Callable[[], str] = lambda: "",
        version: str,
        dashboards: Mapping[str, bytes],
        rules: Mapping[str, bytes],
        runbook: str = "",
        zones: Mapping[str, tzinfo] | None = None,
        external_url: str | None = None,
        ask_to_reload: Callable[[], bool] | None = None,
        has_tls: Callable[[], bool] = lambda: False,
        replicas: Replicas | None = None,
    ) -> None:
        self._published = snapshots
        self._names: Sequence[str] = ()
        self._exposition = exposition
        self._now = now
        self._alive = alive
        self._waits_for = waits_for
        self._version = version
        self._zones = zones or {}
        self._landing_cells = landing.KnownCells()
        self._scrape_address = (
            None if external_url is None else discovery.address_from_url(external_url)
        )
        self._has_tls = has_tls
        self._replicas = replicas
        self._reloading = threading.Lock()
        self._failure_log = _FailureLog()
        self._routes: dict[str, Handler] = {
            "/": self._landing,
            _PBX_PAGES: self._pbx,
            "/metrics": self._metrics,
            # What people type, and what some scrapers are told.
            "/metrics/": _to_metrics,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
            **({_RELOAD: partial(self._reload, ask_to_reload)} if ask_to_reload else {}),
            "/sd": self._discovery,
            **_file_routes("/dashboards/", "Dashboards", _IMPORT_DASHBOARDS, dashboards, JSON),
            # As text, so that a browser shows the file instead of saving it.
            **_file_routes("/rules/", "Rules", _IMPORT_RULES, rules, TEXT),
            "/runbook": partial(_static, _html_response(runbook_page(runbook))),
        }

    def __call__(self, request: HTTPRequest) -> HTTPResponse:
        """Respond to one request; the response to HEAD is that to GET, whose body is not sent."""
        route = _PBX_PAGES if request.path.startswith(_PBX_FOLDER) else request.path
        handler = self._routes.get(route)
        if handler is None:
            return text_response("not found", HTTPStatus.NOT_FOUND)
        if request.method not in (_RELOAD_METHODS if route == _RELOAD else _METHODS):
            return _RELOAD_NOT_ALLOWED if route == _RELOAD else _NOT_ALLOWED
        try:
            response = handler(request)
        except HoldersUnknown as error:
            return text_response(str(error), HTTPStatus.SERVICE_UNAVAILABLE)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a 500
            self._failure_log.record_failure(route, error)
            return text_response("internal error, see the log", HTTPStatus.INTERNAL_SERVER_ERROR)
        self._failure_log.record_success(route)
        return response

    def _snapshots(self) -> Sequence[Snapshot]:
        """Return what is shown now; forget what was made of PBXs that are shown no longer.

        Another replica may have them by now, and for good.
        """
        snapshots = self._published()
        names = [each.pbx for each in snapshots]
        if names != self._names:
            self._names = names
            self._exposition.keep_only(names)
            self._landing_cells.keep_only(names)
        return snapshots

    def render_ahead(self, seconds: float) -> None:
        """Render what was published, so that the next scrape is quick, for so many *seconds*."""
        now = self._now()
        end = now.steady + seconds
        for snapshot in self._exposition.behind(self._snapshots(), now):
            self._exposition.render_ahead(snapshot, now)
            time.sleep(_REST)
            now = self._now()
            if now.steady >= end:
                return

    def _pbx(self, request: HTTPRequest) -> HTTPResponse:
        name = request.path.removeprefix(_PBX_FOLDER)
        for snapshot in self._snapshots():
            if snapshot.pbx == name:
                body = pbx_page.page_body(snapshot, self._now(), self._zones.get(name, UTC))
                return _html_response(html_page(f"{name} - cdr-exporter", body))
        if self._replicas is None or name not in self._replicas.names:
            return text_response("not found", HTTPStatus.NOT_FOUND)
        body = elsewhere.page_body(self._others(self._replicas), name)
        return _html_response(html_page(f"{name} - cdr-exporter", body))

    def _landing(self, request: HTTPRequest) -> HTTPResponse:
        body = landing.page_body(
            self._snapshots(),
            self._now(),
            self._version,
            self._zones,
            self._landing_cells,
            self._others(self._replicas) if self._replicas else None,
        )
        return _html_response(html_page("cdr-exporter", body))

    def _others(self, replicas: Replicas) -> Others:
        try:
            holders = replicas.holders(_PAGE_PATIENCE)
        except HoldersUnknown:
            holders = None
        scheme = "https" if self._has_tls() else "http"
        return Others(replicas.names, holders, replicas.address, scheme)

    def _metrics(self, request: HTTPRequest) -> HTTPResponse:
        names = request.values("pbx")
        openmetrics = wants_openmetrics(request.accept)
        if not names:
            body = self._exposition.all_pbxs(
                self._snapshots(), self._now(), openmetrics=openmetrics
            )
            return _metrics_response(request, body, openmetrics)
        if len(names) > 1 or not names[0]:
            return text_response(
                "the parameter pbx must be given once, with the name of a PBX",
                HTTPStatus.BAD_REQUEST,
            )
        for snapshot in self._snapshots():
            if snapshot.pbx == names[0]:
                body = self._exposition.one_pbx(snapshot, self._now(), openmetrics=openmetrics)
                return _metrics_response(request, body, openmetrics)
        if self._replicas and names[0] in self._replicas.names:
            return text_response(
                "this replica does not show that pbx now; /sd says which one to ask",
                HTTPStatus.NOT_FOUND,
            )
        return text_response("no such pbx", HTTPStatus.NOT_FOUND)

    def _healthy(self, request: HTTPRequest) -> HTTPResponse:
        if not self._alive():
            return text_response(
                "the poller of a PBX has stopped, see the log", HTTPStatus.SERVICE_UNAVAILABLE
            )
        try:
            self._exposition.all_pbxs(self._snapshots(), self._now(), openmetrics=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, that is the answer
            return text_response(
                f"the page of metrics cannot be made: {type(error).__name__}",
                HTTPStatus.SERVICE_UNAVAILABLE,
            )
        return text_response("ok")

    def _ready(self, request: HTTPRequest) -> HTTPResponse:
        if waiting := self._waits_for():
            return text_response(waiting, HTTPStatus.SERVICE_UNAVAILABLE)
        return text_response("ready")

    def _reload(self, ask: Callable[[], bool], request: HTTPRequest) -> HTTPResponse:
        if not discovery.is_same_site(request.origin, request.host):
            return text_response("not from another site", HTTPStatus.FORBIDDEN)
        # One thread at most waits for it, so that scrapes have theirs.
        if not self._reloading.acquire(blocking=False):
            return text_response("a reload is under way", HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            successful = ask()
        finally:
            self._reloading.release()
        if successful:
            return text_response("the configuration was read again")
        return text_response(
            "the configuration stays as it was, see the log", HTTPStatus.INTERNAL_SERVER_ERROR
        )

    def _discovery(self, request: HTTPRequest) -> HTTPResponse:
        if self._replicas:
            targets = discovery.addresses_of_holders(
                self._replicas.holders(), self._replicas.address, has_tls=self._has_tls()
            )
            return HTTPResponse(discovery.targets_json(targets), JSON)
        address = self._scrape_address or discovery.address_from_host(
            request.host, has_tls=self._has_tls()
        )
        if address is None:
            return text_response(
                "the Host header is not of the form host[:port]", HTTPStatus.BAD_REQUEST
            )
        targets = ((snapshot.pbx, address) for snapshot in self._snapshots())
        return HTTPResponse(discovery.targets_json(targets), JSON)


class _FailureLog:
    """Logs when a path begins to fail, and when it works again; not each failure."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def record_failure(self, path: str, error: Exception) -> None:
        with self._lock:
            self._counts[path] = count = self._counts.get(path, 0) + 1
        if count == 1:
            # Neither the message nor the traceback, which may contain secrets or personal data.
            kind = type(error).__name__
            _log.error("request failed path=%s error=%s at=%s", path, kind, _raised_at(error))

    def record_success(self, path: str) -> None:
        if path not in self._counts:
            return
        with self._lock:
            count = self._counts.pop(path, 0)
        if count:
            _log.info("requests work again path=%s failures=%d", path, count)


def _raised_at(error: Exception) -> str:
    """Return the file name and line where *error* was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def _metrics_response(request: HTTPRequest, body: Body, openmetrics: bool) -> HTTPResponse:
    content_type = OPENMETRICS_TYPE if openmetrics else TEXT_TYPE
    if accepts_gzip(request.accept_encoding):
        return HTTPResponse(
            Parts(body.gzip_length, body.gzip_parts()),
            content_type,
            headers=(_VARY_HEADER, ("Content-Encoding", "gzip")),
        )
    text = Parts(body.length, body.plain_parts())
    return HTTPResponse(text, content_type, headers=(_VARY_HEADER,))


def _html_response(page: str) -> HTTPResponse:
    return HTTPResponse(page.encode(), HTML, headers=(_CSP_HEADER,))


def _file_routes(
    folder: str, title: str, how: str, files: Mapping[str, bytes], content_type: str
) -> dict[str, Handler]:
    """Return a route for each file, and one for the page that lists them and says *how* to use."""
    list_page = _html_response(file_list_page(title, how, files))
    routes: dict[str, Handler] = {
        folder: partial(_static, list_page),
        folder.removesuffix("/"): partial(_static, _redirect_to(f".{folder}")),
    }
    for name, content in files.items():
        routes[folder + name] = partial(_static, HTTPResponse(content, content_type))
    return routes


def _to_metrics(request: HTTPRequest) -> HTTPResponse:
    return _redirect_to("../metrics" + (f"?{request.query}" if request.query else ""))


def _redirect_to(path: str) -> HTTPResponse:
    """Return a redirect to *path*, which is relative so that a proxy may add a prefix."""
    return text_response("moved", HTTPStatus.PERMANENT_REDIRECT, (("Location", path),))


def _static(response: HTTPResponse, request: HTTPRequest) -> HTTPResponse:
    return response
