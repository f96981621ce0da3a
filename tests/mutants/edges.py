"""Bugs in what stands around the counting: what is shown and when, logins, requests, pages."""

from __future__ import annotations

from .mutant import Mutant

_SHOWING = "cdr_exporter/ingest/visibility.py"
_SNAPSHOT = "cdr_exporter/metrics/snapshot.py"
_BACKOFF = "cdr_exporter/poller/backoff.py"
_TALLY = "cdr_exporter/metrics/totals.py"
_READER = "cdr_exporter/tail/page_reader.py"
_LABELS = "cdr_exporter/cdr/labels.py"
_TOKENS = "cdr_exporter/pbx/token_rules.py"
_LOGIN = "cdr_exporter/pbx/login.py"
_TRANSPORT = "cdr_exporter/pbx/transport.py"
_PAGE = "cdr_exporter/exposition/page.py"
_PBX_TEXT = "cdr_exporter/exposition/pbx_text.py"
_OFFSET = "cdr_exporter/exposition/utc_offset.py"
_LINES = "cdr_exporter/exposition/lines.py"
_BODY = "cdr_exporter/exposition/body.py"
_APP = "cdr_exporter/web/app.py"
_CODING = "cdr_exporter/web/coding.py"
_DISCOVERY = "cdr_exporter/web/discovery.py"
_SERVER = "cdr_exporter/web/server.py"
_MESSAGES = "cdr_exporter/web/wsgi.py"

_VIEW = (
    Mutant(
        "a UTC offset changes with the next poll only",
        _PBX_TEXT,
        "min(change, stays_for(self._zone, now.wall))",
        "change",
        ("tests/exposition/test_utc_offset.py",),
    ),
    Mutant(
        "a silence is put off until the UTC offset is looked at",
        _PBX_TEXT,
        "min(change, stays_for(self._zone, now.wall))",
        "stays_for(self._zone, now.wall)",
        ("tests/exposition/test_utc_offset.py",),
    ),
    Mutant(
        "a UTC offset changes a second late",
        _OFFSET,
        "first = floor(wall) + 1",
        "first = floor(wall) + 2",
        ("tests/exposition/test_utc_offset.py",),
    ),
    Mutant(
        "a label set that comes to be while hidden stands at its value at once",
        _SHOWING,
        "return now.wall if self.shown else NOT_SHOWN_YET",
        "return now.wall if self.shown else SHOWN_FROM_START",
        ("tests/ingest/test_visibility.py",),
    ),
    Mutant(
        "a silence is forgiven without catching up",
        _SHOWING,
        "if now.steady >= self.fresh_until:",
        "if now.steady > self.fresh_until + self._stale_after:",
        ("tests/ingest/test_visibility.py",),
    ),
    Mutant(
        "a clock that is set back prolongs a hold in the state file",
        _SHOWING,
        "not 0 <= now.wall - born < self._birth_hold",
        "not now.wall - born < self._birth_hold",
        ("tests/ingest/test_visibility.py",),
    ),
    Mutant(
        "the calls of a silent PBX stay",
        _SNAPSHOT,
        "return self.shown and now.steady < self.fresh_until",
        "return self.shown",
        ("tests/metrics/test_snapshot.py",),
    ),
    Mutant(
        "silence is told by the wall clock",
        _SNAPSHOT,
        "return self.shown and now.steady < self.fresh_until",
        "return self.shown and now.wall < self.fresh_until",
        ("tests/metrics/test_snapshot.py",),
    ),
    Mutant(
        "a page is kept beyond the moment at which calls go silent",
        _SNAPSHOT,
        "waits.append(self.fresh_until - now.steady)",
        "pass",
        ("tests/metrics/test_snapshot.py",),
    ),
)

_ARITHMETIC = (
    Mutant(
        "all exporters ask a PBX that comes back at the same instant",
        _BACKOFF,
        "chance * min(MOST, FIRST * 2.0**doublings)",
        "min(MOST, FIRST * 2.0**doublings)",
        ("tests/poller/test_backoff.py",),
    ),
    Mutant(
        "Retry-After is not heeded",
        _BACKOFF,
        "return max(asked, ",
        "return max(0.0, ",
        ("tests/poller/test_backoff.py",),
    ),
    Mutant(
        "what a person has to mend waits for every failure before it",
        _BACKOFF,
        "times = self.times if isinstance(error, WaitLong) else self.polls",
        "times = self.polls",
        ("tests/poller/test_backoff.py",),
    ),
    Mutant(
        "a page that is not committed changes the totals",
        _TALLY,
        "series = dict(self.series)",
        "series = self.series",
        ("tests/metrics/test_totals.py",),
    ),
    Mutant(
        "a series is born again with each new one",
        _TALLY,
        "(key for key in series if key not in self.series)",
        "(key for key in counted)",
        ("tests/metrics/test_totals.py",),
    ),
    Mutant(
        "a new trunk begins without zeros",
        _TALLY,
        "counted = {**trunk_zeros(trunks - self.trunks), **counted}",
        "counted = {**counted}",
        ("tests/metrics/test_totals.py",),
    ),
    Mutant(
        "a trunk may have the name of the rest",
        _LABELS,
        "and name not in _RESERVED",
        "and name is not None",
        ("tests/cdr/test_labels.py",),
    ),
    Mutant(
        "a slow PBX is asked again without a rest",
        _READER,
        "self._clock.wait(self.took)",
        "self._clock.wait(0)",
        ("tests/tail/test_page_reader.py",),
    ),
    Mutant(
        "a void page is taken for trouble of the web server",
        _READER,
        'nothing of the answer was used", reason="garbled")',
        'nothing of the answer was used", reason="http")',
        ("tests/tail/test_page_reader.py",),
    ),
)

_PBX = (
    Mutant(
        "refused credentials are tried for ever",
        _TOKENS,
        "waits = (*REFUSED_WAITS, math.inf)",
        "waits = (*REFUSED_WAITS, 2 * 3600.0)",
        ("tests/pbx/test_token_rules.py",),
    ),
    Mutant(
        "a token is used up to its last second",
        _TOKENS,
        "REFRESH_AT = 0.8",
        "REFRESH_AT = 1.0",
        ("tests/pbx/test_token_rules.py",),
    ),
    Mutant(
        "a clock that was ahead holds logins back for years",
        _TOKENS,
        "refused=tuple(min(at, now) for at in held.refused)",
        "refused=held.refused",
        ("tests/pbx/test_token_rules.py",),
    ),
    Mutant(
        "a corrected secret inherits the refusals of the wrong one",
        _TOKENS,
        "held = replace(held, refused=(), unanswered=())",
        "held = replace(held, unanswered=())",
        ("tests/pbx/test_token_rules.py",),
    ),
    Mutant(
        "a login is sent before it is written down",
        _LOGIN,
        "        self._keep(held)\n        reply = self._send_login(held, secret)",
        "        reply = self._send_login(held, secret)\n        self._keep(held)",
        ("tests/pbx/test_client.py::test_a_login_is_written_down_before_it_is_sent",),
    ),
    Mutant(
        "a login without an answer costs nothing",
        _LOGIN,
        "if not self._transport.reached or failure.reason in _TURNED_AWAY:",
        "if failure is not None:",
        ("tests/pbx/test_client.py::test_a_login_without_an_answer_is_not_repeated_at_once",),
    ),
    Mutant(
        "a token that another process renewed is thrown away",
        _LOGIN,
        "if token is not None and token != rejected:",
        "if token is not None and rejected is None:",
        ("tests/pbx/test_client.py::test_a_token_that_another_process_renewed_is_used",),
    ),
    Mutant(
        "a restart ends a wait that the PBX asked for",
        _LOGIN,
        "            self._mind_hold(held)\n",
        "",
        (
            "tests/pbx/test_client.py::"
            "test_what_only_an_administrator_can_mend_is_probed_seldom_even_by_restarts",
        ),
    ),
    Mutant(
        "an error keeps the request and its token within reach",
        _TRANSPORT,
        "        failure.__context__ = None\n        raise failure.with_traceback(None)",
        "        raise failure",
        ("tests/pbx/test_transport.py::test_no_fault_shows_a_token_or_a_secret",),
    ),
    Mutant(
        "the token stands in the URL that libraries log",
        _TRANSPORT,
        'fields = {"access_token": PLACEHOLDER, **fields}',
        'fields = {"access_token": request.token.reveal(), **fields}',
        ("tests/pbx/test_transport.py::test_debug_logs_show_a_placeholder",),
    ),
    Mutant(
        "a request under way is not cut short at the end",
        _TRANSPORT,
        "            line.hang_up()",
        "            pass",
        ("tests/pbx/test_transport.py::test_cancel_ends_a_request_at_once_and_refuses_later_ones",),
    ),
    Mutant(
        "an answer of just the limit is refused",
        _TRANSPORT,
        "if size > MAX_BODY:",
        "if size >= MAX_BODY:",
        ("tests/pbx/test_transport.py::test_an_answer_of_just_the_limit_is_taken",),
    ),
)

_EXPOSITION = (
    Mutant(
        "a clock that is set back takes a count back to 0",
        _PBX_TEXT,
        "births - self._grown_up if",
        "births if",
        (
            "tests/exposition/test_exposition.py::"
            "test_a_count_that_was_seen_is_not_taken_back_when_the_clock_is_set_back",
        ),
    ),
    Mutant(
        "who was held up gets an older page than others had before him",
        _PBX_TEXT,
        "if snapshot.number < self.newest.number:",
        "if snapshot.number < 0:",
        (
            "tests/exposition/test_exposition.py::"
            "test_who_was_held_up_gets_what_was_shown_meanwhile_and_not_less",
        ),
    ),
    Mutant(
        "calls are shown while unread of the start are read",
        _PBX_TEXT,
        "hidden = frozenset() if snapshot.shows_calls(now) else _TRAFFIC",
        "hidden = frozenset()",
        ("tests/exposition/test_exposition.py::test_calls_that_are_not_yet_shown_are_hidden",),
    ),
    Mutant(
        "a series that is gone stays on the page",
        _PBX_TEXT,
        "for series in sorted(values)]",
        "for series in sorted(self._lines)]",
        ("tests/exposition/test_exposition.py::test_series_that_are_gone_vanish",),
    ),
    Mutant(
        "a line break in a label breaks the line",
        _LINES,
        r'"\n": r"\n", ',
        "",
        ("tests/exposition/test_exposition.py::test_the_parsers_read_hostile_labels_back",),
    ),
    Mutant(
        "buckets are not cumulated",
        _LINES,
        "cumulated = list(accumulate(counts))",
        "cumulated = list(counts)",
        (
            "tests/exposition/test_exposition.py::test_one_pbx_is_written_as_prometheus_client_would",
        ),
    ),
    Mutant(
        "a page is kept though a PBX has news",
        _PAGE,
        "return one is other",
        "return one.pbx == other.pbx",
        ("tests/exposition/test_exposition.py::test_calls_come_back_with_the_next_valid_page",),
    ),
    Mutant(
        "the checksum of the compressed page is that of its tail",
        _BODY,
        "checksum = zlib.crc32(self._tail, checksum)",
        "checksum = zlib.crc32(self._tail)",
        (
            "tests/exposition/test_exposition.py::test_the_compressed_body_is_one_gzip_member_of_the_same_text",
        ),
    ),
)

_WEB = (
    Mutant(
        "a path that is almost right is answered",
        _APP,
        "handler = self._routes.get(request.path)",
        'handler = self._routes.get(request.path.rstrip("/") or "/")',
        ("tests/web/test_app.py::test_a_path_that_is_almost_right_is_not_found",),
    ),
    Mutant(
        "a target is judged as it was decoded",
        _MESSAGES,
        'path, _, query = environ["REQUEST_URI"].partition("?")',
        'path, query = environ["PATH_INFO"], environ["QUERY_STRING"]',
        ("tests/web/test_server.py::test_the_target_is_judged_as_it_was_sent",),
    ),
    Mutant(
        "ready before anything was tried",
        _APP,
        "if snapshots and not missing:",
        "if not missing:",
        ("tests/web/test_app.py::test_nothing_is_ready_without_a_pbx",),
    ),
    Mutant(
        "healthy though a poller has ended",
        _APP,
        "if self._alive():",
        "if self._alive() is not None:",
        ("tests/web/test_app.py::test_healthy_while_every_poller_lives",),
    ),
    Mutant(
        "a 500 tells what went wrong inside",
        _APP,
        'return text("internal error, see the log", HTTPStatus',
        "return text(str(error), HTTPStatus",
        ("tests/web/test_app.py::test_a_failing_handler_costs_a_500_without_details",),
    ),
    Mutant(
        "the first of two names is taken",
        _APP,
        "if len(names) > 1 or not names[0]:",
        "if not names[0]:",
        ("tests/web/test_app.py::test_the_pbx_parameter_names_exactly_one_pbx",),
    ),
    Mutant(
        "a forged Host becomes a target",
        _DISCOVERY,
        "match = _HOST.fullmatch(text)",
        "match = _HOST.match(text)",
        ("tests/web/test_app.py::test_a_forged_host_is_no_target",),
    ),
    Mutant(
        "gzip is sent to those who forbid it",
        _CODING,
        "return gzip > 0 and gzip >= ",
        "return gzip >= ",
        ("tests/web/test_accept_encoding.py::test_gzip_is_sent_to_those_who_like_it",),
    ),
    Mutant(
        "a client that asks too slowly keeps its place",
        _SERVER,
        "            self._sweep(time.monotonic())\n",
        "",
        ("tests/web/test_server.py::test_a_client_that_asks_too_slowly_is_closed",),
    ),
    Mutant(
        "HEAD has a body",
        _MESSAGES,
        'if environ["REQUEST_METHOD"] == "HEAD":',
        'if environ["REQUEST_METHOD"] == "OPTIONS":',
        ("tests/web/test_app.py::test_head_has_the_headers_of_get_and_no_body",),
    ),
)

MUTANTS: tuple[Mutant, ...] = (*_VIEW, *_ARITHMETIC, *_PBX, *_EXPOSITION, *_WEB)
