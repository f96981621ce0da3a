"""Access tokens, refresh tokens, the limit on them, blocked addresses.

Rule: the time comes from the clock that is an argument (UTC epoch seconds); there is no thread and
no timer.

Documented: an access token lives 1,800 s and a refresh token 86,400 s; at most eight access
tokens live at a time; five failed authentications in a row block the address until somebody
frees it.

Assumed, the vendor being silent:

- A refresh spends the old refresh token. The old access token is good until its own expiry
  but its slot goes to the new one, so that a refresh within the token's life never meets the
  cap. Where it has expired, its slot may be taken and the refresh then meets the cap.
- Revoking an access token ends its refresh token too.
- Only wrong client credentials count as a failed authentication; an unknown or expired access
  or refresh token is 10004 and counts as none. A success sets the address's count to zero.
- Time frees no blocked address.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .http_messages import APIRefusal
from .locking import Lock

FAILURE = -1
TOKEN_EXPIRED = 10004
MAX_LIMITATION_EXCEEDED = 60002
ACCOUNT_IP_BLOCKED = 70004

MAX_LIVE_TOKENS = 8
MAX_FAILURES = 5


@dataclass(slots=True)
class TokenPair:
    """A pair of tokens; *expires* and *refresh_expires* are UTC epoch seconds.

    *holds_slot* is whether the access token counts against the cap while it lives.
    """

    access_token: str
    refresh_token: str
    expires: float
    refresh_expires: float
    holds_slot: bool = True


class TokenIssuer:
    """The tokens of one API application; every refusal is an `APIRefusal` with its errcode."""

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        clock: Callable[[], float],
        access_seconds: int = 1800,
        refresh_seconds: int = 86400,
        *,
        lock: Lock | None = None,
    ) -> None:
        self.access_seconds = access_seconds
        self.refresh_seconds = refresh_seconds
        self._credentials = (client_id, client_secret)
        self._clock = clock
        self._lock = lock or threading.RLock()
        self._by_access: dict[str, TokenPair] = {}
        self._by_refresh: dict[str, TokenPair] = {}
        self._failures: Counter[str] = Counter()
        self._blocked: set[str] = set()

    @property
    def live(self) -> int:
        """How many access tokens count against the cap now."""
        now = self._clock()
        return sum(pair.holds_slot and now < pair.expires for pair in self._by_access.values())

    @property
    def blocked(self) -> list[str]:
        """The blocked addresses, sorted."""
        return sorted(self._blocked)

    def admit(self, address: str) -> None:
        """Refuse a blocked *address*."""
        if address in self._blocked:
            raise APIRefusal(ACCOUNT_IP_BLOCKED)

    def log_in(self, username: str, password: str, address: str) -> TokenPair:
        """Return new tokens for the client credentials, or count a failure of *address*."""
        if (username, password) != self._credentials:
            self._failures[address] += 1
            if self._failures[address] >= MAX_FAILURES:
                self._blocked.add(address)
            raise APIRefusal(FAILURE, {"username or password": "error"})
        del self._failures[address]
        return self._issue()

    def refresh(self, refresh_token: str) -> TokenPair:
        """Return a new pair for *refresh_token*, which is spent with that."""
        old = self._by_refresh.get(refresh_token)
        if old is None or self._clock() >= old.refresh_expires:
            raise APIRefusal(TOKEN_EXPIRED)
        old.holds_slot = False
        new = self._issue()
        del self._by_refresh[refresh_token]
        return new

    def check(self, access_token: str) -> None:
        """Refuse an *access_token* that is unknown, revoked or expired."""
        pair = self._by_access.get(access_token)
        if pair is None or self._clock() >= pair.expires:
            raise APIRefusal(TOKEN_EXPIRED)

    def revoke(self, access_token: str) -> None:
        """End *access_token* and its refresh token."""
        self.check(access_token)
        pair = self._by_access.pop(access_token)
        self._by_refresh.pop(pair.refresh_token, None)

    def expire(self, *, refresh_too: bool = False) -> None:
        """Let every access token expire now, and with *refresh_too* every refresh token."""
        now = self._clock()
        with self._lock:
            for pair in (*self._by_access.values(), *self._by_refresh.values()):
                pair.expires = min(pair.expires, now)
                if refresh_too:
                    pair.refresh_expires = min(pair.refresh_expires, now)

    def block(self, address: str) -> None:
        """Block *address* as five failures do."""
        with self._lock:
            self._blocked.add(address)

    def unblock(self, address: str | None = None) -> None:
        """Free *address*, or every address, and forget its failures."""
        with self._lock:
            for freed in [address] if address else [*self._blocked, *self._failures]:
                self._blocked.discard(freed)
                del self._failures[freed]

    def _issue(self) -> TokenPair:
        self._forget_dead()
        if self.live >= MAX_LIVE_TOKENS:
            raise APIRefusal(MAX_LIMITATION_EXCEEDED)
        now = self._clock()
        pair = TokenPair(
            access_token=secrets.token_hex(16),  # 32 characters, as the vendor's samples have
            refresh_token=secrets.token_hex(16),
            expires=now + self.access_seconds,
            refresh_expires=now + self.refresh_seconds,
        )
        self._by_access[pair.access_token] = self._by_refresh[pair.refresh_token] = pair
        return pair

    def _forget_dead(self) -> None:
        now = self._clock()
        self._by_access = {key: g for key, g in self._by_access.items() if now < g.expires}
        self._by_refresh = {
            key: g for key, g in self._by_refresh.items() if now < g.refresh_expires
        }
