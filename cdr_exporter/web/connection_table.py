"""Who is connected, and who is let in when there is no room.

Rule: a connection is *busy* while it has a whole request that is not answered yet; at all other
times it *waits*: in its handshake, in a request that is not complete, between two requests. Only
one that waits is closed to make room. So clients that send nothing, however many, keep nobody out:

- One address has too many: its own oldest connection that waits goes. Others notice nothing.
- There are too many in all: of the address that has the most, the oldest that waits goes.
- All of them are busy: the new one is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field

_IPV6_NETWORK_BITS = 64
"""One customer has all addresses of such a network, so they count as one."""


@dataclass(eq=False, slots=True)
class Seat:
    """The place of one connection in the table; *close* closes that connection soon."""

    client: str
    close: Callable[[], object]


@dataclass(eq=False, slots=True)
class _Client:
    """The connections of one address: how many, and which of them wait, the oldest first."""

    count: int = 0
    waiting: dict[Seat, None] = field(default_factory=dict)


class ConnectionTable:
    """At most *limit* connections, at most *limit_per_client* of them from one address.

    It belongs to the event loop, so no two threads may use it.
    """

    def __init__(self, limit: int, limit_per_client: int) -> None:
        self._limit = limit
        self._limit_per_client = limit_per_client
        self._clients: dict[str, _Client] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def admit(self, client: str, close: Callable[[], object]) -> Seat | None:
        """Return the seat of a new connection, which waits; None where it has to be refused.

        Another one is closed where there is no room otherwise.
        """
        known = self._clients.get(client)
        if known is not None and known.count >= self._limit_per_client:
            if not self._close_oldest(known):
                return None
        elif self._count >= self._limit and not self._close_oldest(self._largest()):
            return None
        seat = Seat(client, close)
        known = self._clients.setdefault(client, _Client())
        known.count += 1
        known.waiting[seat] = None
        self._count += 1
        return seat

    def set_busy(self, seat: Seat) -> None:
        """Note that a whole request has arrived."""
        self._clients[seat.client].waiting.pop(seat, None)

    def set_waiting(self, seat: Seat) -> None:
        """Note that the response has been sent."""
        self._clients[seat.client].waiting[seat] = None

    def remove(self, seat: Seat) -> None:
        """Note that the connection is closed."""
        client = self._clients[seat.client]
        client.waiting.pop(seat, None)
        client.count -= 1
        self._count -= 1
        if not client.count:
            del self._clients[seat.client]

    def close_waiting(self) -> None:
        """Close all connections that wait."""
        for client in self._clients.values():
            for seat in client.waiting:
                seat.close()

    def _largest(self) -> _Client | None:
        """Return the client with the most connections of those with one that waits."""
        waiting = (client for client in self._clients.values() if client.waiting)
        return max(waiting, key=lambda client: client.count, default=None)

    @staticmethod
    def _close_oldest(client: _Client | None) -> bool:
        if client is None or not client.waiting:
            return False
        seat = next(iter(client.waiting))
        del client.waiting[seat]  # it is not closed at once, and must not be chosen twice
        seat.close()
        return True


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
