"""Logins by HTTP Basic authentication, against bcrypt hashes.

Rule: a wrong login costs little and tells nothing. A hash takes some 80 ms of processor time, so

- one thread alone compares, few requests may wait for it, and fewer from one address;
- a login that was right is remembered, as a hash with a key that only this process has;
- the same login that comes many times at once is compared once;
- an unknown name takes as long as a known one.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto

import bcrypt

from ..secret import Secret

_MAX_REMEMBERED = 128
_MAX_WAITING = 32
_MAX_WAITING_PER_CLIENT = 4

_MAX_PASSWORD_BYTES = 72
"""bcrypt looks at no more; a longer password is wrong, as it could not have been hashed."""

_ANY_DIGEST = "$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
"""What stands behind the cost in a hash that no password is compared with in earnest."""

Users = Mapping[str, Secret]
Call = Callable[[Callable[[], bool]], Awaitable[bool]]


class Verdict(Enum):
    """What came of a login; `BUSY`: too many are being compared."""

    RIGHT = auto()
    WRONG = auto()
    BUSY = auto()


class Logins:
    """Checks logins; *call* calls a function in the one thread that compares.

    It belongs to the event loop, so no two threads may use it.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._compared: dict[bytes, asyncio.Task[bool]] = {}
        self._waiting: Counter[str] = Counter()

    async def check(self, authorization: str, users: Users, client: str) -> Verdict:
        """Return what comes of the header *authorization*, sent by *client*, among *users*."""
        login = parse_basic(authorization)
        if login is None:
            return Verdict.WRONG
        name, password = login
        hashed = users[name].reveal() if name in users else _decoy(users)
        key = self._digest(name, hashed, password)
        if key in self._remembered:
            self._remembered.move_to_end(key)
            return Verdict.RIGHT
        task = self._compared.get(key)
        if task is None:
            if not self._has_room(client):
                return Verdict.BUSY
            task = self._start(key, hashed, password, client)
        # Several connections may wait for it, of which one may end.
        is_right = await asyncio.shield(task) and name in users
        if is_right:
            self._remember(key)
        return Verdict.RIGHT if is_right else Verdict.WRONG

    def _has_room(self, client: str) -> bool:
        return (
            len(self._compared) < _MAX_WAITING and self._waiting[client] < _MAX_WAITING_PER_CLIENT
        )

    def _start(self, key: bytes, hashed: str, password: bytes, client: str) -> asyncio.Task[bool]:
        async def compare() -> bool:
            return await self._call(lambda: _is_right(password, hashed))

        def end(_: object) -> None:
            del self._compared[key]
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

        task = self._compared[key] = asyncio.create_task(compare())
        self._waiting[client] += 1
        task.add_done_callback(end)
        return task

    def _remember(self, key: bytes) -> None:
        self._remembered[key] = None
        if len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    def _digest(self, name: str, hashed: str, password: bytes) -> bytes:
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in (name.encode(), hashed.encode(), password):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()


def parse_basic(authorization: str) -> tuple[str, bytes] | None:
    """Return name and password of the header (RFC 7617), or None where it is not of that form."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
        name, colon, password = decoded.partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _decoy(users: Users) -> str:
    """Return a hash that takes as long to compare with as that of the dearest of *users*."""
    cost = max((user.reveal()[4:6] for user in users.values()), default="10")
    return f"$2b${cost}{_ANY_DIGEST}"


def _is_right(password: bytes, hashed: str) -> bool:
    try:
        is_right = bcrypt.checkpw(password[:_MAX_PASSWORD_BYTES], hashed.encode())
    except ValueError:  # such as a NUL in it
        return False
    return is_right and len(password) <= _MAX_PASSWORD_BYTES
