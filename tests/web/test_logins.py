from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable

import bcrypt
import pytest

from cdr_exporter.secret import Secret
from cdr_exporter.web.logins import Logins, Users, Verdict, parse_basic

RIGHT, WRONG, BUSY = Verdict.RIGHT, Verdict.WRONG, Verdict.BUSY
LONG = "x" * 73


def hashed(password: str, cost: int = 4) -> Secret:
    return Secret(bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(cost)).decode())


USERS: Users = {"alice": hashed("wonder"), "zoë": hashed("größe"), "long": hashed(LONG)}


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class Worker:
    """The thread that compares: it counts, and waits until it is *free*."""

    def __init__(self, *, free: bool = True) -> None:
        self.compared = 0
        self.free = asyncio.Event()
        if free:
            self.free.set()

    async def call(self, act: Callable[[], bool]) -> bool:
        await self.free.wait()
        self.compared += 1
        return act()


def check(*attempts: tuple[str, str], users: Users = USERS) -> tuple[list[Verdict], int]:
    """Return what comes of the logins, one after the other, and how many were compared."""

    async def run() -> tuple[list[Verdict], int]:
        worker = Worker()
        logins = Logins(worker.call)
        verdicts = [await logins.check(basic(*each), users, "a") for each in attempts]
        return verdicts, worker.compared

    return asyncio.run(run())


@pytest.mark.fault("F6")
@pytest.mark.parametrize(
    ("name", "password", "expected"),
    [
        pytest.param("alice", "wonder", RIGHT, id="right"),
        pytest.param("zoë", "größe", RIGHT, id="not ASCII"),
        pytest.param("alice", "Wonder", WRONG, id="wrong password"),
        pytest.param("alice", "", WRONG, id="no password"),
        pytest.param("bob", "wonder", WRONG, id="unknown name"),
        pytest.param("Alice", "wonder", WRONG, id="other case"),
        pytest.param("", "wonder", WRONG, id="no name"),
        pytest.param("alice", "wonder\0", WRONG, id="NUL"),
        pytest.param("long", LONG, WRONG, id="longer than bcrypt looks"),
        pytest.param("long", LONG[:72], RIGHT, id="as long as bcrypt looks"),
    ],
)
def test_a_login_is_right_or_wrong(name: str, password: str, expected: Verdict) -> None:
    assert check((name, password))[0] == [expected]


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic ?", "Bearer YTpi", "Basic YWI=", "Basic /zp4"]
)
def test_what_is_no_login_is_not_compared(header: str) -> None:
    async def run() -> tuple[Verdict, int]:
        worker = Worker()
        return await Logins(worker.call).check(header, USERS, "a"), worker.compared

    assert asyncio.run(run()) == (WRONG, 0)


def test_the_scheme_may_be_in_any_case_and_the_password_may_have_colons() -> None:
    assert parse_basic("bASIC " + basic("a", "b:c").split()[1]) == ("a", b"b:c")


def test_a_right_login_is_compared_once_and_a_wrong_one_each_time() -> None:
    assert check(*[("alice", "wonder")] * 5) == ([RIGHT] * 5, 1)
    assert check(*[("alice", "blunder")] * 3) == ([WRONG] * 3, 3)


def test_a_login_that_is_remembered_lets_no_other_password_or_name_in() -> None:
    attempts = [("alice", "wonder"), ("alic", "ewonder"), ("alice", "wonder2"), ("bob", "wonder")]

    assert check(*attempts)[0] == [RIGHT, WRONG, WRONG, WRONG]


def test_a_changed_hash_or_a_user_who_is_gone_ends_a_remembered_login() -> None:
    async def run() -> list[Verdict]:
        logins = Logins(Worker().call)
        header = basic("alice", "wonder")
        return [
            await logins.check(header, users, "a")
            for users in (USERS, {"alice": hashed("other")}, {"bob": USERS["alice"]}, USERS)
        ]

    assert asyncio.run(run()) == [RIGHT, WRONG, WRONG, RIGHT]


def test_no_more_than_128_logins_are_remembered() -> None:
    users = {f"user{number}": USERS["alice"] for number in range(129)}
    attempts = [(name, "wonder") for name in users]

    assert check(*attempts, attempts[128], users=users)[1] == 129
    assert check(*attempts, attempts[0], users=users)[1] == 130


async def at_once(logins: Logins, worker: Worker, *attempts: tuple[str, str]) -> list[Verdict]:
    """Return what comes of attempts, each a client and a password, that wait together."""
    tasks = [
        asyncio.ensure_future(logins.check(basic("alice", password), USERS, client))
        for client, password in attempts
    ]
    await asyncio.sleep(0)
    worker.free.set()
    return await asyncio.gather(*tasks)


def test_one_login_that_comes_a_hundred_times_at_once_is_compared_once() -> None:
    async def run() -> tuple[list[Verdict], int]:
        worker = Worker(free=False)
        logins = Logins(worker.call)
        return await at_once(logins, worker, *[("a", "wonder")] * 100), worker.compared

    assert asyncio.run(run()) == ([RIGHT] * 100, 1)


@pytest.mark.fault("F6")
def test_few_logins_of_one_address_wait_and_others_still_get_in() -> None:
    async def run() -> list[Verdict]:
        worker = Worker(free=False)
        guesses = [("a", f"guess{number}") for number in range(10)]
        return await at_once(Logins(worker.call), worker, *guesses, ("b", "wonder"))

    assert asyncio.run(run()) == [WRONG] * 4 + [BUSY] * 6 + [RIGHT]


@pytest.mark.fault("F6")
def test_few_logins_wait_in_all() -> None:
    async def run() -> tuple[list[Verdict], list[Verdict]]:
        worker = Worker(free=False)
        logins = Logins(worker.call)
        guesses = [(f"client{number}", f"guess{number}") for number in range(40)]
        return await at_once(logins, worker, *guesses), await at_once(
            logins, worker, ("z", "wonder")
        )

    assert asyncio.run(run()) == ([WRONG] * 32 + [BUSY] * 8, [RIGHT])


def test_a_client_that_ends_while_it_waits_spoils_it_for_no_other() -> None:
    async def run() -> Verdict:
        worker = Worker(free=False)
        logins = Logins(worker.call)
        first, other = (
            asyncio.ensure_future(logins.check(basic("alice", "wonder"), USERS, "a"))
            for _ in range(2)
        )
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        worker.free.set()
        return await other

    assert asyncio.run(run()) is RIGHT


@pytest.mark.fault("F6")
def test_an_unknown_name_takes_as_long_as_a_known_one() -> None:
    users = {"alice": hashed("wonder", cost=9)}

    def seconds(name: str) -> float:
        def once() -> float:
            began = time.perf_counter()
            assert check((name, "wrong"), users=users)[0] == [WRONG]
            return time.perf_counter() - began

        return min(once() for _ in range(3))

    assert seconds("bob") > seconds("alice") / 2
