"""Who is connected, and who is let in when there is no room.

Rule: a connection is *busy* while it has a whole request that is not answered yet; at all other
times it *waits*: in its handshake, in a request that is not complete, between two requests. To make
room one goes that has waited for a second, else one that has been busy for so long that its client
does not seem to take the response, else the one that has waited longest. So clients that send or
take nothing, however many, keep nobody out:

- One address has too many: one of its own goes. Others notice nothing.
- There are too many in all: one goes of the address that has the most of that kind.
- All are busy, and none of them for long: the new one is refused.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

NEW_SECONDS = 1.0
"""How long a connection may wait before it has to go for one of another address: a scraper sends
its request at once, and several of one address must not drive out each other."""

STUCK_SECONDS = 5.0
"""How long a connection may be busy before it has to go for another; a scrape takes less."""

_IPV6_NETWORK_BITS = 64
"""One customer has all addresses of such a network, so they count as one."""


@dataclass(eq=False, slots=True)
class Seat:
    """The place of one connection in the table; *close* closes that connection soon."""

    client: str
    close: Callable[[], object]


@dataclass(eq=False, slots=True)
class _Client:
    """The connections of one address, by when they began to wait or to be busy, oldest first."""

    count: int = 0
    waiting: dict[Seat, float] = field(default_factory=dict)
    busy: dict[Seat, float] = field(default_factory=dict)

    def forget(self, seat: Seat) -> None:
        self.waiting.pop(seat, None)
        self.busy.pop(seat, None)


class ConnectionTable:
    """At most *limit* connections, at most *limit_per_client* of them from one address.

    *now* is a steady clock, in seconds. It belongs to the event loop, so no two threads may use it.
    """

    def __init__(
        self, limit: int, limit_per_client: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._limit_per_client = limit_per_client
        self._now = now
        self._clients: dict[str, _Client] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def admit(self, client: str, close: Callable[[], object]) -> Seat | None:
        """Return the seat of a new connection, which waits; None where it has to be refused.

        Another one is closed where there is no room otherwise.
        """
        if not self._make_room(self._clients.get(client)):
            return None
        seat = Seat(client, close)
        known = self._clients.setdefault(client, _Client())
        known.count += 1
        known.waiting[seat] = self._now()
        self._count += 1
        return seat

    def set_busy(self, seat: Seat) -> None:
        """Note that a whole request has arrived."""
        client = self._clients[seat.client]
        client.forget(seat)
        client.busy[seat] = self._now()

    def set_waiting(self, seat: Seat) -> None:
        """Note that the response has been sent."""
        client = self._clients[seat.client]
        client.forget(seat)
        client.waiting[seat] = self._now()

    def remove(self, seat: Seat) -> None:
        """Note that the connection is closed."""
        client = self._clients[seat.client]
        client.forget(seat)
        client.count -= 1
        self._count -= 1
        if not client.count:
            del self._clients[seat.client]

    def close_waiting(self) -> None:
        """Close all connections that wait."""
        for client in self._clients.values():
            for seat in client.waiting:
                seat.close()

    def _make_room(self, known: _Client | None) -> bool:
        """Return whether there is room for one more of *known*; close another if need be."""
        if known is not None and known.count >= self._limit_per_client:
            return self._close_one_of([known])
        return self._count < self._limit or self._close_one_of(self._clients.values())

    def _close_one_of(self, clients: Collection[_Client]) -> bool:
        """Close the connection among *clients* that goes first; return whether there was one."""
        now = self._now()
        largest_first = sorted(clients, key=lambda client: client.count, reverse=True)
        seat = (
            _first((client.waiting for client in largest_first), now - NEW_SECONDS)
            or _first((client.busy for client in largest_first), now - STUCK_SECONDS)
            or _longest(client.waiting for client in clients)
        )
        if seat is None:
            return False
        self._clients[seat.client].forget(seat)  # it is not closed at once, nor to be chosen twice
        seat.close()
        return True


def _first(of_clients: Iterable[dict[Seat, float]], before: float) -> Seat | None:
    """Return the oldest of the first client that has one from *before*."""
    oldest = (next(iter(seats.items())) for seats in of_clients if seats)
    return next((seat for seat, since in oldest if since <= before), None)


def _longest(of_clients: Iterable[dict[Seat, float]]) -> Seat | None:
    """Return the oldest of all."""
    oldest = [next(iter(seats.items())) for seats in of_clients if seats]
    return min(oldest, key=lambda item: item[1])[0] if oldest else None


def client_of(address: str) -> str:
    """Return what stands for the client at the IP *address*: IPv6 by its network."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
