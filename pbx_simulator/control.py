"""Steering a simulated PBX that runs in another process: `POST /control/COMMAND`.

Rule: only programs on this machine may use it, whatever address the server listens on. The
arguments are one JSON object, and so is the answer; a mistake is HTTP 400 with `error`. A real
PBX has nothing like it, so it is served only on request.

Calls and rows (`row`, `ids` and `keys` are ids, or the new_id of a row without id):

    calls          {"count": 100, "over_seconds": 0}  or  {"rows": [{"disposition": "BUSY"}, {}]}
    whole-calls    {"count": 5, "scenario": "queue-abandoned", "over_seconds": 0}: see `SCENARIOS`
    begin-call     {"scenario": "queue-abandoned"}: its legs appear as time passes
    hold-back      {"count": 2}: keys now, rows later; with fields of a row, or with a scenario
    release        {}  or  {"keys": [5]}  or  {"oldest": 1}

The table:

    change         {"row": 5, "fields": {"disposition": "BUSY", "did_number": null}}
    delete         {"ids": [1, 2], "oldest": 100, "middle": 0, "newest": 3, "reuse_ids": true}
    limit          {"rows": 1000}  or  {"rows": null}: the automatic clean-up
    clear          {"first_id": 1}
    factory-reset  {}
    snapshot       {"name": "monday"}: a backup
    restore        {"name": "monday"}
    upgrade        {"order": "first", "mixed": 0.0, "count_listed": false, "shows": "legacy",
                   "count_both": true}: newer firmware with two tables, see `Upgrade`
    set-clock      {"ahead": -3600}

Wrong answers to cdr/list (`times` null: for ever; `after`: so many correct answers first):

    shift          {"calls": 3, "oldest": 2, "times": 10, "after": 0}: see `TableShift`
    empty          {"times": 3, "errcode": 0}  or  {"errcode": 60001}
    foreign        {"times": 1, "rows": 100, "first_id": 1}: another PBX answers
    stale          {"times": 3, "same_query": false}: an earlier answer is sent again
    spoil-pages    {"kind": "total-offset", "n": -5, "times": 1}: see `malformed_pages`
    poison         {"kind": "id-null", "row": 5}: see `malformed_rows`; without row the newest
    cure           {}: no row is malformed any more
    slow           {"rows_per_second": 400}  or  {"rows_per_second": null}

Everything else:

    expire-tokens  {"refresh_too": false}
    block          {"address": "192.0.2.1"}
    unblock        {}  or  {"address": "192.0.2.1"}
    fail           {"errcode": 10004, "times": 1, "path": "cdr/list"}: see `RequestFault`
    heal           {}: faults that wait for requests are forgotten
    state          {}: see `expected_counts.state`
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from operator import attrgetter
from typing import Any

from .http_messages import HTTPReply, HTTPRequest, json_bytes
from .pbx import SimulatedPBX
from .rows import key_of
from .table import Key

PREFIX = "/control/"

JSONObject = dict[str, Any]
Command = Callable[..., JSONObject]


def is_control(request: HTTPRequest) -> bool:
    """Return whether *request* is one to the control path."""
    return request.path.startswith(PREFIX)


def answer(pbx: SimulatedPBX, request: HTTPRequest) -> HTTPReply:
    """Carry out the command that *request* holds on *pbx*."""
    if not is_loopback(request.client):
        return _mistake(HTTPStatus.FORBIDDEN, "control is for loopback peers")
    command = COMMANDS.get(request.path.removeprefix(PREFIX))
    if command is None:
        return _mistake(HTTPStatus.NOT_FOUND, f"commands are {', '.join(COMMANDS)}")
    if request.method != "POST":
        return _mistake(HTTPStatus.METHOD_NOT_ALLOWED, "commands are sent by POST")
    return _carried_out(command, pbx, request.body)


def is_loopback(address: str) -> bool:
    """Return whether *address* is a loopback one, IPv4 mapped to IPv6 included."""
    try:
        peer = ip_address(address)
    except ValueError:
        return False
    mapped = peer.ipv4_mapped if isinstance(peer, IPv6Address) else None
    return (mapped or peer).is_loopback


def _carried_out(command: Command, pbx: SimulatedPBX, body: bytes) -> HTTPReply:
    try:
        arguments = json.loads(body or b"{}")
        return HTTPReply(HTTPStatus.OK, json_bytes(command(pbx, **arguments)))
    except (TypeError, ValueError, KeyError) as error:
        return _mistake(HTTPStatus.BAD_REQUEST, str(error))


def _mistake(status: HTTPStatus, message: str) -> HTTPReply:
    return HTTPReply(status, json_bytes({"error": message}))


def _calls(
    pbx: SimulatedPBX,
    count: int = 0,
    over_seconds: float = 0.0,
    rows: list[dict[str, Any]] | None = None,
) -> JSONObject:
    keys = pbx.office.calls(count, over_seconds=over_seconds) if count else []
    return {"ids": keys + [key_of(pbx.office.call(**fields)) for fields in rows or []]}


def _change(pbx: SimulatedPBX, row: Key, fields: dict[str, Any]) -> JSONObject:
    return {"row": pbx.maintenance.change(row, **fields)}


def _delete(
    pbx: SimulatedPBX,
    ids: list[Key] | None = None,
    oldest: int = 0,
    middle: int = 0,
    newest: int = 0,
    reuse_ids: bool = False,
) -> JSONObject:
    maintenance = pbx.maintenance
    deleted = maintenance.delete(ids or [])
    deleted += maintenance.delete_oldest(oldest)
    deleted += maintenance.delete_middle(middle)
    return {"deleted": deleted + maintenance.delete_newest(newest, reuse_ids=reuse_ids)}


def _snapshot(pbx: SimulatedPBX, name: str) -> JSONObject:
    return {"rows": len(pbx.maintenance.snapshot(name))}


def _restore(pbx: SimulatedPBX, name: str) -> JSONObject:
    pbx.maintenance.restore(name)
    return {}


def _method(path: str, result: str | None = None) -> Command:
    """Return the command that calls the method at *path*, such as `office.whole_calls`.

    What the method returns is answered under the name *result*, or not at all.
    """
    method_of = attrgetter(path)

    def command(pbx: SimulatedPBX, **arguments: Any) -> JSONObject:
        returned = method_of(pbx)(**arguments)
        return {} if result is None else {result: returned}

    return command


COMMANDS: dict[str, Command] = {
    "calls": _calls,
    "whole-calls": _method("office.whole_calls", "ids"),
    "begin-call": _method("office.begin_call", "appear"),
    "hold-back": _method("office.hold_back", "ids"),
    "release": _method("office.release", "ids"),
    "change": _change,
    "delete": _delete,
    "limit": _method("maintenance.limit", "deleted"),
    "clear": _method("maintenance.clear"),
    "factory-reset": _method("maintenance.factory_reset"),
    "snapshot": _snapshot,
    "restore": _restore,
    "upgrade": _method("maintenance.upgrade"),
    "set-clock": _method("maintenance.set_clock"),
    "shift": _method("faults.shift_before_each"),
    "empty": _method("faults.empty"),
    "foreign": _method("faults.foreign"),
    "stale": _method("faults.stale"),
    "spoil-pages": _method("faults.malform_pages"),
    "poison": _method("faults.malform_row", "row"),
    "cure": _method("faults.mend_rows"),
    "slow": _method("faults.slow"),
    "expire-tokens": _method("tokens.expire"),
    "block": _method("tokens.block"),
    "unblock": _method("tokens.unblock"),
    "fail": _method("faults.fail_next"),
    "heal": _method("faults.heal"),
    "state": lambda pbx: pbx.state(),
}
