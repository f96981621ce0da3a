"""Steering a simulated PBX that runs in another process: `POST /control/COMMAND`.

Rule: for loopback peers only, whatever address the server listens on; the arguments are one
JSON object, the answer is one, mistakes are HTTP 400 with an `error`. A real PBX has nothing
like it, so it is there only where it was asked for.

Rows come and go (`row`, `rows` of keys: an id, or a new_id where there is none):

    calls          {"count": 100, "over_seconds": 0}  or  {"rows": [{"disposition": "BUSY"}, {}]}
    whole-calls    {"count": 5, "scenario": "queue-abandoned", "over_seconds": 0}: see `SCENARIOS`
    begin-call     {"scenario": "queue-abandoned"}: its legs appear as time passes
    hold-back      {"count": 2}: keys now, rows later; fields of an example beside it, or a scenario
    release        {}  or  {"keys": [5]}  or  {"oldest": 1}
    change         {"row": 5, "fields": {"disposition": "BUSY", "did_number": null}}
    delete         {"ids": [1, 2], "oldest": 100, "middle": 0, "newest": 3, "reuse_ids": true}
    limit          {"rows": 1000}  or  {"rows": null}: the clean-up
    clear          {"first_id": 1}
    factory-reset  {}
    snapshot       {"name": "monday"}: a backup
    restore        {"name": "monday"}
    upgrade        {"order": "first", "mixed": 0.0, "count_listed": false}: see `Upgrade`
    set-clock      {"ahead": -3600}

Answers to cdr/list go wrong (`times` null is for ever, `after` lets so many answers pass first):

    shift          {"calls": 3, "oldest": 2, "times": 10, "after": 0}: before each, see `Shift`
    empty          {"times": 3, "errcode": 0}  or  {"errcode": 60001}
    foreign        {"times": 1, "rows": 100, "first_id": 1}: another PBX answers
    stale          {"times": 3, "same_query": false}: an answer given before is given again
    spoil-pages    {"kind": "total-offset", "n": -5, "times": 1}: see `pages`
    poison         {"kind": "id-null", "row": 5}: see `poison`; without row the newest
    cure           {}: no row is poisoned any more
    slow           {"rows_per_second": 400}  or  {"rows_per_second": null}

Everything else:

    expire-tokens  {"refresh_too": false}
    block          {"address": "192.0.2.1"}
    unblock        {}  or  {"address": "192.0.2.1"}
    fail           {"errcode": 10004, "times": 1, "path": "cdr/list"}: see `Fault`
    heal           {}: what waits for requests is forgotten
    state          {}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from .http_messages import HTTPReply, HTTPRequest, json_bytes
from .rows import key_of
from .table import Key

if TYPE_CHECKING:
    from .pbx import SimulatedPBX

PREFIX = "/control/"

Answer = dict[str, Any]


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
    """Return whether *address* is of this machine, an IPv4 one dressed as IPv6 included."""
    try:
        peer = ip_address(address)
    except ValueError:
        return False
    mapped = peer.ipv4_mapped if isinstance(peer, IPv6Address) else None
    return (mapped or peer).is_loopback


def _carried_out(command: Callable[..., Answer], pbx: SimulatedPBX, body: bytes) -> HTTPReply:
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
) -> Answer:
    ids = pbx.calls(count, over_seconds=over_seconds) if count else []
    return {"ids": ids + [key_of(pbx.call(**fields)) for fields in rows or []]}


def _release(pbx: SimulatedPBX, keys: list[Key] | None = None, oldest: int | None = None) -> Answer:
    return {"ids": pbx.release(keys, oldest=oldest)}


def _change(pbx: SimulatedPBX, row: Key, fields: dict[str, Any]) -> Answer:
    return {"row": pbx.change(row, **fields)}


def _delete(
    pbx: SimulatedPBX,
    ids: list[Key] | None = None,
    oldest: int = 0,
    middle: int = 0,
    newest: int = 0,
    reuse_ids: bool = False,
) -> Answer:
    named = pbx.delete(ids or []) + pbx.delete_oldest(oldest) + pbx.delete_middle(middle)
    return {"deleted": named + pbx.delete_newest(newest, reuse_ids=reuse_ids)}


def _snapshot(pbx: SimulatedPBX, name: str) -> Answer:
    return {"rows": len(pbx.snapshot(name))}


def _restore(pbx: SimulatedPBX, name: str) -> Answer:
    pbx.restore(name)
    return {}


def _method(name: str, result: str | None = None) -> Callable[..., Answer]:
    """Return the command that is the method *name*, answering its *result* under that name."""

    def command(pbx: SimulatedPBX, **arguments: Any) -> Answer:
        returned = getattr(pbx, name)(**arguments)
        return {} if result is None else {result: returned}

    return command


COMMANDS: dict[str, Callable[..., Answer]] = {
    "calls": _calls,
    "whole-calls": _method("whole_calls", "ids"),
    "begin-call": _method("begin_call", "appear"),
    "hold-back": _method("hold_back", "ids"),
    "release": _release,
    "change": _change,
    "delete": _delete,
    "limit": _method("limit", "deleted"),
    "clear": _method("clear"),
    "factory-reset": _method("factory_reset"),
    "snapshot": _snapshot,
    "restore": _restore,
    "upgrade": _method("upgrade"),
    "set-clock": _method("set_clock"),
    "shift": _method("shift_before_each"),
    "empty": _method("empty"),
    "foreign": _method("foreign"),
    "stale": _method("stale"),
    "spoil-pages": _method("spoil_pages"),
    "poison": _method("poison", "row"),
    "cure": _method("cure"),
    "slow": _method("slow"),
    "expire-tokens": _method("expire_tokens"),
    "block": _method("block"),
    "unblock": _method("unblock"),
    "fail": _method("fail_next"),
    "heal": _method("heal"),
    "state": lambda pbx: pbx.state(),
}
