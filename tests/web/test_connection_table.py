from __future__ import annotations

import pytest

from cdr_exporter.web.connection_table import (
    NEW_SECONDS,
    STUCK_SECONDS,
    ConnectionTable,
    Seat,
    client_of,
)


class Crowd:
    """Clients with their connections: *closed* are the names of those that had to go, in order."""

    def __init__(self, limit: int = 6, limit_per_client: int = 3) -> None:
        self.now = 100.0
        self.table = ConnectionTable(limit, limit_per_client, lambda: self.now)
        self.closed: list[str] = []
        self.seats: dict[str, Seat] = {}

    def connect(self, name: str, *, busy: bool = False) -> bool:
        """Connect as `client/number`; return whether that was admitted."""
        seat = self.table.admit(name.partition("/")[0], lambda: self.closed.append(name))
        if seat is None:
            return False
        self.seats[name] = seat
        if busy:
            self.table.set_busy(seat)
        return True


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


def test_there_is_room_at_first(crowd: Crowd) -> None:
    assert all(crowd.connect(name) for name in ("a/1", "a/2", "b/1"))
    assert (len(crowd.table), crowd.closed) == (3, [])


def test_an_address_that_has_enough_loses_its_own_oldest_that_waits(crowd: Crowd) -> None:
    for name in ("b/1", "a/1", "a/2", "a/3"):
        crowd.connect(name)

    assert crowd.connect("a/4")
    assert crowd.connect("a/5")
    assert crowd.closed == ["a/1", "a/2"]


def test_an_address_whose_connections_are_all_busy_gets_no_other(crowd: Crowd) -> None:
    for number in range(3):
        crowd.connect(f"a/{number}", busy=True)

    assert not crowd.connect("a/4")
    assert crowd.connect("b/1")
    assert crowd.closed == []


def test_a_full_table_has_room_for_another_address_by_closing_of_the_largest(crowd: Crowd) -> None:
    for name in ("b/1", "b/2", "a/1", "a/2", "a/3", "c/1"):
        crowd.connect(name)
    crowd.now += NEW_SECONDS

    assert crowd.connect("d/1")
    assert crowd.closed == ["a/1"]


def test_a_full_table_of_many_addresses_loses_the_oldest(crowd: Crowd) -> None:
    for client in "abcdef":
        crowd.connect(f"{client}/1")

    assert crowd.connect("g/1")
    assert crowd.closed == ["a/1"]


@pytest.mark.fault("F11")
def test_new_connections_of_one_address_do_not_drive_out_each_other(crowd: Crowd) -> None:
    for client in "abcdef":
        crowd.connect(f"{client}/1")
    crowd.now += NEW_SECONDS

    for number in range(3):
        assert crowd.connect(f"scraper/{number}")
    assert crowd.closed == ["a/1", "b/1", "c/1"]


def test_of_new_connections_alone_the_oldest_goes_whosever_it_is(crowd: Crowd) -> None:
    for name in ("b/1", "a/1", "a/2", "a/3", "b/2", "c/1"):
        crowd.connect(name)
        crowd.now += NEW_SECONDS / 10

    assert crowd.connect("d/1")
    assert crowd.closed == ["b/1"]


def test_a_busy_connection_is_not_closed_for_another(crowd: Crowd) -> None:
    for name in ("a/1", "a/2", "a/3", "b/1", "b/2"):
        crowd.connect(name, busy=True)
    crowd.connect("b/3")

    assert crowd.connect("c/1", busy=True)
    assert crowd.closed == ["b/3"]
    crowd.table.remove(crowd.seats["b/3"])
    assert not crowd.connect("d/1")


@pytest.mark.fault("F11")
def test_clients_that_take_nothing_keep_nobody_out_for_longer_than_five_seconds(
    crowd: Crowd,
) -> None:
    for name in ("b/1", "a/1", "a/2", "a/3", "b/2", "c/1"):
        crowd.connect(name, busy=True)
    crowd.now += STUCK_SECONDS - 0.1
    assert not crowd.connect("d/1")

    crowd.now += 0.1
    assert crowd.connect("d/1", busy=True)
    assert crowd.connect("a/4", busy=True)
    assert crowd.closed == ["a/1", "a/2"]


def test_what_waits_goes_before_what_is_busy_for_long(crowd: Crowd) -> None:
    for name in ("a/1", "a/2", "a/3", "b/1", "b/2"):
        crowd.connect(name, busy=True)
    crowd.connect("c/1")
    crowd.now += 60

    assert crowd.connect("d/1")
    assert crowd.closed == ["c/1"]


def test_a_connection_that_is_answered_in_time_is_never_stuck(crowd: Crowd) -> None:
    for number in range(3):
        crowd.connect(f"a/{number}", busy=True)
    for _ in range(3):
        crowd.now += STUCK_SECONDS - 1
        for number in range(3):
            crowd.table.set_waiting(crowd.seats[f"a/{number}"])
            crowd.table.set_busy(crowd.seats[f"a/{number}"])

    assert not crowd.connect("a/4")


def test_one_that_was_answered_waits_again_as_the_newest(crowd: Crowd) -> None:
    crowd.connect("a/1", busy=True)
    crowd.connect("a/2")
    crowd.connect("a/3")
    crowd.table.set_waiting(crowd.seats["a/1"])

    crowd.connect("a/4")

    assert crowd.closed == ["a/2"]


def test_one_that_is_gone_makes_room(crowd: Crowd) -> None:
    for number in range(3):
        crowd.connect(f"a/{number}", busy=True)
    crowd.table.remove(crowd.seats["a/0"])

    assert len(crowd.table) == 2
    assert crowd.connect("a/4")
    assert crowd.closed == []


def test_at_the_end_those_that_wait_are_closed(crowd: Crowd) -> None:
    crowd.connect("a/1")
    crowd.connect("b/1", busy=True)

    crowd.table.close_waiting()

    assert crowd.closed == ["a/1"]


@pytest.mark.parametrize(
    ("address", "client"),
    [
        pytest.param("192.0.2.7", "192.0.2.7", id="IPv4"),
        pytest.param("::ffff:192.0.2.7", "192.0.2.7", id="IPv4 in IPv6"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="IPv6"),
        pytest.param("fe80::1%eth0", "fe80::/64", id="link-local"),
        pytest.param("", "", id="none"),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_network(address: str, client: str) -> None:
    assert client_of(address) == client
