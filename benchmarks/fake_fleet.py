"""Many PBXs in one process that costs next to nothing: what `benchmarks.fleet` lets be polled.

Each has an address of its own on loopback and all one port, so that each is a PBX of its own to the
exporter, its record of logins too. They answer token requests and the CDR list as the contract
says. Their history is the same, prepared as bytes, but for the names of the trunks; rows of calls
that end now are added at random PBXs. Nothing else is made up for an answer.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import count
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.support.many_clients import many_addresses

TRUNKS, OUTBOUND_TRUNKS = 10, 3
"""Of each PBX; by so many of them calls also leave."""

TRUNK = "~"
"""Stands for the name of the PBX in the prepared rows: no two PBXs have a trunk of one name."""

TOKEN_SECONDS = 1_800

_GROWTH_SECONDS = 0.25

_HEAD = b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Length: %d\r\n\r\n"


class Kind(NamedTuple):
    """A kind of row: all rows of one have the same labels."""

    call_type: str
    disposition: str
    trunk: int | None


KINDS = (
    *(Kind("Inbound", end, trunk) for trunk in range(TRUNKS) for end in ("ANSWERED", "NO ANSWER")),
    *(Kind("Outbound", "ANSWERED", trunk) for trunk in range(OUTBOUND_TRUNKS)),
    Kind("Internal", "ANSWERED", None),
)
"""With them a PBX has all the series that ten trunks have in an office."""


class Orders(NamedTuple):
    """What the PBXs have: *days* of *rows_a_day* each up to *until*, and *rows_a_second* from now.

    At least one row of each kind is there. *until* is in epoch seconds, *rows_a_second* is over
    all PBXs.
    """

    days: int
    rows_a_day: int
    until: float
    rows_a_second: float
    seed: int = 1


class Told(NamedTuple):
    """What the fleet says at the end.

    *rows* are those of each PBX, *live_tokens* how many tokens were not given back, *gaps* the
    seconds between two polls of one PBX.
    """

    rows: Sequence[int]
    live_tokens: int
    gaps: Sequence[float]


def made_up_row(kind: Kind, number: int, started: int, chance: random.Random) -> bytes:
    """Return the row with the id *number* of a call that began at *started* (epoch seconds)."""
    ring = chance.randint(1, 30)
    talk = chance.randint(5, 240) if kind.disposition == "ANSWERED" else 0
    person = f"Kristin Hale<{2000 + number % 50}>"
    row: dict[str, object] = {
        "id": number,
        "time": "06/14/2026 11:19:28",
        "timestamp": started,
        "uid": f"20260614111928{number:06X}",
        "call_from": "5550100" if kind.call_type == "Inbound" else person,
        "call_to": "5550100" if kind.call_type == "Outbound" else person,
        "src_addr": "192.0.2.25",
        "duration": ring + talk,
        "ring_duration": ring,
        "disposition": kind.disposition,
        "call_type": kind.call_type,
        "reason": "src hangup    ",
    }
    if talk:
        row["talk_duration"] = talk
    if kind.trunk is not None:
        side = "src_trunk" if kind.call_type == "Inbound" else "dst_trunk"
        row[side] = f"{TRUNK} {kind.trunk}"
    return json.dumps(row).encode()


def history(orders: Orders) -> list[bytes]:
    """Return the rows that each PBX has from the beginning, oldest first, and by their start."""
    chance = random.Random(orders.seed)
    rows = max(len(KINDS), orders.days * orders.rows_a_day)
    first = orders.until - 86_400 * max(orders.days, 1)
    apart = (orders.until - first) / rows
    kinds = [*KINDS, *chance.choices(KINDS, k=rows - len(KINDS))]
    return [
        made_up_row(kind, number, int(first + number * apart), chance)
        for number, kind in enumerate(kinds, start=1)
    ]


@dataclass
class FakePBX:
    """One PBX: its table is the *shared* rows, with its *name* in them, and rows of its own.

    Rows that come later begin later, so that they stand in the same order by id and by time.
    """

    name: bytes
    shared: Sequence[bytes]
    own: list[bytes] = field(default_factory=list)
    newest_start: int = 0
    tokens: set[str] = field(default_factory=set)
    polled_at: float = 0.0
    _answers: dict[tuple[str, ...], bytes] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.shared) + len(self.own)

    def grow(self, chance: random.Random, now: float) -> None:
        """Add the row of a call that ends now."""
        kind, number = chance.choice(KINDS), self.rows + 1
        self.newest_start = max(self.newest_start, int(now) - 30)
        self.own.append(made_up_row(kind, number, self.newest_start, chance))
        self._answers.clear()

    def answer(self, asked: dict[str, list[str]]) -> bytes:
        """Return the answer to a query of the CDR list."""
        key = tuple(asked.get(name, ["1"])[0] for name in ("page", "page_size", "order_by"))
        if key not in self._answers:
            self._answers[key] = self._new_answer(int(key[0]), int(key[1]), key[2] == "desc")
        return self._answers[key]

    def _new_answer(self, page: int, size: int, is_newest_first: bool) -> bytes:
        first, last = (page - 1) * size, min(page * size, self.rows)
        positions = range(first, max(first, last))
        if is_newest_first:
            positions = range(self.rows - 1 - first, self.rows - 1 - max(first, last), -1)
        rows = b",".join(self._row(each) for each in positions)
        head = b'{"errcode":0,"errmsg":"SUCCESS","total_number":%d,"data":[' % self.rows
        return head + rows.replace(TRUNK.encode(), self.name) + b"]}"

    def _row(self, position: int) -> bytes:
        known = len(self.shared)
        return self.shared[position] if position < known else self.own[position - known]


class Fleet:
    """All PBXs, by their address."""

    def __init__(self, orders: Orders, names: Sequence[str]) -> None:
        rows = history(orders)
        self.gaps: list[float] = []
        self._by_address = {
            address: FakePBX(name.encode(), rows)
            for name, address in zip(names, many_addresses(len(names)), strict=True)
        }
        self._all = list(self._by_address.values())
        self._chance = random.Random(orders.seed)
        self._serial = count(1)

    def grow(self) -> None:
        """Add a row at some PBX."""
        self._chance.choice(self._all).grow(self._chance, time.time())

    def told(self) -> Told:
        """Say how it stands."""
        tokens = sum(len(each.tokens) for each in self._all)
        return Told([each.rows for each in self._all], tokens, self.gaps)

    def respond(self, address: str, head: bytes) -> bytes:
        """Return the answer to a request to the PBX at *address*."""
        pbx = self._by_address[address]
        target = urlsplit(head.split(b" ", 2)[1].decode())
        endpoint, asked = target.path.rpartition("/")[2], parse_qs(target.query)
        if endpoint in ("get_token", "refresh_token"):
            return self._new_tokens(pbx)
        token = asked["access_token"][0]
        if token not in pbx.tokens:
            return b'{"errcode":10004,"errmsg":"TOKEN EXPIRED"}'
        if endpoint == "del_token":
            pbx.tokens.remove(token)
            return b'{"errcode":0,"errmsg":"SUCCESS"}'
        self._note_poll(pbx, asked)
        return pbx.answer(asked)

    def _new_tokens(self, pbx: FakePBX) -> bytes:
        token = f"access-token-{next(self._serial):06}"
        pbx.tokens.add(token)
        answer = {
            "errcode": 0,
            "errmsg": "SUCCESS",
            "access_token": token,
            "access_token_expire_time": TOKEN_SECONDS,
            "refresh_token": f"refresh-{token}",
            "refresh_token_expire_time": 86_400,
        }
        return json.dumps(answer).encode()

    def _note_poll(self, pbx: FakePBX, asked: dict[str, list[str]]) -> None:
        now = time.monotonic()
        gap, is_first_page = now - pbx.polled_at, asked["page"] == ["1"]
        # Requests of one poll follow each other at once.
        if pbx.polled_at and is_first_page and gap > 1:
            self.gaps.append(gap)
        pbx.polled_at = now


class _Request(asyncio.Protocol):
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        # Those with a body are logins, of which nothing is looked at.
        if end and (body or head.startswith(b"GET ")):
            address = self._transport.get_extra_info("sockname")[0]
            answer = self._fleet.respond(address, head)
            self._transport.write(_HEAD % (formatdate(usegmt=True).encode(), len(answer)) + answer)
            self._transport.close()


def serve(orders: Orders, names: Sequence[str], orders_from: Connection[Any, Any]) -> None:
    """Serve the PBXs *names*, and say the port; `quiet` ends their growth, `tell` is answered."""
    asyncio.run(_serve(orders, Fleet(orders, names), orders_from))


async def _serve(orders: Orders, fleet: Fleet, orders_from: Connection[Any, Any]) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    server = await loop.create_server(lambda: _Request(fleet), "0.0.0.0", backlog=2_048)  # noqa: S104
    growth = asyncio.create_task(_grow(fleet, orders.rows_a_second))

    def listen() -> None:
        match orders_from.recv():
            case "quiet":
                growth.cancel()
            case "tell":
                orders_from.send(fleet.told())
            case "end":
                ended.set()

    orders_from.send(server.sockets[0].getsockname()[1])
    loop.add_reader(orders_from.fileno(), listen)
    await ended.wait()


async def _grow(fleet: Fleet, rows_a_second: float) -> None:
    began, added = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began) * rows_a_second)
        for _ in range(due - added):
            fleet.grow()
        added = due
        await asyncio.sleep(_GROWTH_SECONDS)
