from __future__ import annotations

from cdr_exporter.web.rate_limiter import RateLimiter


def test_a_burst_is_let_through_and_then_one_each_interval() -> None:
    limiter = RateLimiter(interval=2.0, burst=3, now=100.0)

    assert [limiter.allows(100.0) for _ in range(4)] == [True, True, True, False]
    assert [limiter.allows(101.9), limiter.allows(102.0), limiter.allows(103.0)] == [
        False,
        True,
        False,
    ]


def test_no_more_than_a_burst_is_saved() -> None:
    limiter = RateLimiter(interval=1.0, burst=2, now=0.0)

    assert [limiter.allows(1_000.0) for _ in range(3)] == [True, True, False]


def test_without_an_interval_there_is_no_limit() -> None:
    limiter = RateLimiter(interval=0.0, burst=0, now=0.0)

    assert all(limiter.allows(0.0) for _ in range(1_000))
