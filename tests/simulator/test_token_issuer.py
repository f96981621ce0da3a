"""TokenIssuer, their cap, and blocked addresses, by a clock that tests set."""

from __future__ import annotations

import pytest

from pbx_simulator.http_messages import APIRefusal
from pbx_simulator.token_issuer import TokenIssuer, TokenPair

from .support import SettableClock

HERE = "192.0.2.50"
ELSEWHERE = "192.0.2.51"


@pytest.fixture
def tokens(clock: SettableClock) -> TokenIssuer:
    return TokenIssuer("id", "secret", clock)


def log_in(tokens: TokenIssuer) -> TokenPair:
    return tokens.log_in("id", "secret", HERE)


def fail(tokens: TokenIssuer, times: int, address: str = HERE) -> None:
    for _ in range(times):
        with pytest.raises(APIRefusal):
            tokens.log_in("id", "wrong", address)


def errcode(refused: pytest.ExceptionInfo[APIRefusal]) -> int:
    return refused.value.errcode


def test_a_new_token_is_good_and_has_32_characters(tokens: TokenIssuer) -> None:
    pair = log_in(tokens)
    tokens.check(pair.access_token)

    assert len(pair.access_token) == len(pair.refresh_token) == 32


@pytest.mark.parametrize(("username", "password"), [("id", "wrong"), ("wrong", "secret"), ("", "")])
def test_wrong_credentials_are_a_failure_that_names_them(
    tokens: TokenIssuer, username: str, password: str
) -> None:
    with pytest.raises(APIRefusal) as refused:
        tokens.log_in(username, password, HERE)

    assert errcode(refused) == -1
    assert refused.value.invalid == {"username or password": "error"}


def test_a_token_lives_half_an_hour_to_the_second(
    tokens: TokenIssuer, clock: SettableClock
) -> None:
    pair = log_in(tokens)
    clock.now += 1799.9
    tokens.check(pair.access_token)
    clock.now += 0.1

    with pytest.raises(APIRefusal) as refused:
        tokens.check(pair.access_token)
    assert errcode(refused) == 10004


def test_an_unknown_token_is_refused_like_an_expired_one(tokens: TokenIssuer) -> None:
    with pytest.raises(APIRefusal) as refused:
        tokens.check("0" * 32)

    assert errcode(refused) == 10004


def test_a_refresh_token_outlives_the_access_token_by_a_day(
    tokens: TokenIssuer, clock: SettableClock
) -> None:
    pair = log_in(tokens)
    clock.now += 86_399
    tokens.check(tokens.refresh(pair.refresh_token).access_token)
    late = log_in(tokens)
    clock.now += 86_400

    with pytest.raises(APIRefusal) as refused:
        tokens.refresh(late.refresh_token)
    assert errcode(refused) == 10004


def test_a_refresh_spends_the_refresh_token_and_not_the_access_token(tokens: TokenIssuer) -> None:
    old = log_in(tokens)
    new = tokens.refresh(old.refresh_token)

    tokens.check(old.access_token)
    tokens.check(new.access_token)
    with pytest.raises(APIRefusal):
        tokens.refresh(old.refresh_token)


def test_a_refreshed_token_still_dies_at_its_own_time(
    tokens: TokenIssuer, clock: SettableClock
) -> None:
    old = log_in(tokens)
    clock.now += 1440
    new = tokens.refresh(old.refresh_token)
    clock.now += 360

    tokens.check(new.access_token)
    with pytest.raises(APIRefusal):
        tokens.check(old.access_token)


def test_the_ninth_live_token_is_refused(tokens: TokenIssuer) -> None:
    for _ in range(8):
        log_in(tokens)

    with pytest.raises(APIRefusal) as refused:
        log_in(tokens)
    assert errcode(refused) == 60002
    assert tokens.live == 8


def test_revoking_frees_a_slot(tokens: TokenIssuer) -> None:
    pairs = [log_in(tokens) for _ in range(8)]
    tokens.revoke(pairs[3].access_token)
    log_in(tokens)

    assert tokens.live == 8


def test_expiry_frees_the_slots(tokens: TokenIssuer, clock: SettableClock) -> None:
    for _ in range(8):
        log_in(tokens)
    clock.now += 1800

    assert tokens.live == 0
    log_in(tokens)


def test_a_refresh_takes_the_slot_of_the_token_it_replaces(tokens: TokenIssuer) -> None:
    pairs = [log_in(tokens) for _ in range(8)]
    for pair in pairs:
        tokens.refresh(pair.refresh_token)

    assert tokens.live == 8


def test_a_refresh_refused_at_the_cap_spends_nothing(
    tokens: TokenIssuer, clock: SettableClock
) -> None:
    expired = log_in(tokens)
    clock.now += 1800
    others = [log_in(tokens) for _ in range(8)]

    with pytest.raises(APIRefusal) as refused:
        tokens.refresh(expired.refresh_token)
    assert errcode(refused) == 60002
    tokens.revoke(others[0].access_token)
    tokens.refresh(expired.refresh_token)


def test_revoking_ends_the_refresh_token_too(tokens: TokenIssuer) -> None:
    pair = log_in(tokens)
    tokens.revoke(pair.access_token)

    with pytest.raises(APIRefusal):
        tokens.check(pair.access_token)
    with pytest.raises(APIRefusal):
        tokens.refresh(pair.refresh_token)


def test_five_failures_in_a_row_block_the_address_and_no_other(tokens: TokenIssuer) -> None:
    fail(tokens, 4)
    tokens.admit(HERE)
    fail(tokens, 1)
    tokens.admit(ELSEWHERE)

    with pytest.raises(APIRefusal) as refused:
        tokens.admit(HERE)
    assert errcode(refused) == 70004
    assert tokens.blocked == [HERE]


def test_a_success_sets_the_failures_to_zero(tokens: TokenIssuer) -> None:
    fail(tokens, 4)
    log_in(tokens)
    fail(tokens, 4)

    tokens.admit(HERE)


def test_failures_of_two_addresses_do_not_add_up(tokens: TokenIssuer) -> None:
    fail(tokens, 4, HERE)
    fail(tokens, 4, ELSEWHERE)

    assert tokens.blocked == []


def test_time_frees_no_address_but_an_administrator_does(
    tokens: TokenIssuer, clock: SettableClock
) -> None:
    fail(tokens, 5)
    clock.now += 30 * 86_400
    with pytest.raises(APIRefusal):
        tokens.admit(HERE)

    tokens.unblock(HERE)

    tokens.admit(HERE)
    fail(tokens, 4)
    tokens.admit(HERE)


def test_unblocking_without_an_address_frees_all(tokens: TokenIssuer) -> None:
    tokens.block(HERE)
    tokens.block(ELSEWHERE)
    tokens.unblock()

    assert tokens.blocked == []


def test_tokens_expire_on_command_and_can_be_refreshed(tokens: TokenIssuer) -> None:
    pair = log_in(tokens)
    tokens.expire()

    with pytest.raises(APIRefusal):
        tokens.check(pair.access_token)
    tokens.check(tokens.refresh(pair.refresh_token).access_token)


def test_refresh_tokens_expire_on_command_too(tokens: TokenIssuer) -> None:
    pair = log_in(tokens)
    tokens.expire(refresh_too=True)

    with pytest.raises(APIRefusal):
        tokens.refresh(pair.refresh_token)
