"""Steering a simulated PBX that runs in another process: `POST /control/COMMAND`.

Rule: for loopback peers only, whatever address the server listens on; the arguments are one
JSON object, the answer is one, mistakes are HTTP 400 with an `error`. A real PBX has nothing
like it, so it is there only where it was asked for.

    calls          {"count": 100, "over_seconds": 0}  or  {"rows": [{"disposition": "BUSY"}, {}]}
    delete         {"ids": [1, 2]}  or  {"oldest": 100}
    clear          {"first_id": 1}
    expire-tokens  {"refresh_too": false}
    block          {"address": "192.0.2.1"}
    unblock        {}  or  {"address": "192.0.2.1"}
    fail           {"errcode": 10004, "times": 1, "path": "cdr/list"}: see `Fault`
    heal           {}
    state          {}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from .messages import Request, Response, encoded

if TYPE_CHECKING:
    from .pbx import SimulatedPBX

PREFIX = "/control/"

Answer = dict[str, Any]


def answer(pbx: SimulatedPBX, request: Request) -> Response:
    """Carry out the command that *request* holds on *pbx*."""
    if not is_loopback(request.client):
        return _mistake(HTTPStatus.FORBIDDEN, "control is for loopback peers")
    command = _COMMANDS.get(request.path.removeprefix(PREFIX))
    if command is None:
        return _mistake(HTTPStatus.NOT_FOUND, f"commands are {', '.join(_COMMANDS)}")
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


def _carried_out(command: Callable[..., Answer], pbx: SimulatedPBX, body: bytes) -> Response:
    try:
        arguments = json.loads(body or b"{}")
        return Response(HTTPStatus.OK, encoded(command(pbx, **arguments)))
    except (TypeError, ValueError, KeyError) as error:
        return _mistake(HTTPStatus.BAD_REQUEST, str(error))


def _mistake(status: HTTPStatus, message: str) -> Response:
    return Response(status, encoded({"error": message}))


def _calls(
    pbx: SimulatedPBX,
    count: int = 0,
    over_seconds: float = 0.0,
    rows: list[dict[str, Any]] | None = None,
) -> Answer:
    ids = pbx.calls(count, over_seconds=over_seconds) if count else []
    return {"ids": ids + [pbx.call(**fields)["id"] for fields in rows or []]}


def _delete(pbx: SimulatedPBX, ids: list[int] | None = None, oldest: int = 0) -> Answer:
    return {"deleted": pbx.delete(ids or []) + pbx.delete_oldest(oldest)}


def _clear(pbx: SimulatedPBX, first_id: int = 1) -> Answer:
    pbx.clear(first_id)
    return {}


def _expire_tokens(pbx: SimulatedPBX, refresh_too: bool = False) -> Answer:
    pbx.expire_tokens(refresh_too=refresh_too)
    return {}


def _block(pbx: SimulatedPBX, address: str) -> Answer:
    pbx.block(address)
    return {}


def _unblock(pbx: SimulatedPBX, address: str | None = None) -> Answer:
    pbx.unblock(address)
    return {}


def _fail(pbx: SimulatedPBX, **fault: Any) -> Answer:
    pbx.fail_next(**fault)
    return {}


def _heal(pbx: SimulatedPBX) -> Answer:
    pbx.heal()
    return {}


def _state(pbx: SimulatedPBX) -> Answer:
    return pbx.state()


_COMMANDS: dict[str, Callable[..., Answer]] = {
    "calls": _calls,
    "delete": _delete,
    "clear": _clear,
    "expire-tokens": _expire_tokens,
    "block": _block,
    "unblock": _unblock,
    "fail": _fail,
    "heal": _heal,
    "state": _state,
}
