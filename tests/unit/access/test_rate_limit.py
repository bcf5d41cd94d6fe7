"""The token bucket of each client."""

import pytest

from app.access.rate_limit import RateLimiter
from app.core.errors import TooManyRequests


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pass_through(limiter: RateLimiter, client: str) -> int:
    """How many requests pass before one is refused."""
    for passed in range(1_000):
        try:
            limiter.take(client)
        except TooManyRequests:
            return passed
    return 1_000


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(10, 5, clock)
    assert pass_through(limiter, "a") == 5
    clock.now += 0.25
    assert pass_through(limiter, "a") == 2
    clock.now += 3_600
    assert pass_through(limiter, "a") == 5


def test_one_client_does_not_use_up_another_ones_requests() -> None:
    limiter = RateLimiter(1, 3, Clock())
    assert pass_through(limiter, "a") == 3
    assert pass_through(limiter, "b") == 3


def test_who_waits_as_told_gets_through() -> None:
    clock = Clock()
    limiter = RateLimiter(0.5, 1, clock)
    limiter.take("a")
    for _ in range(20):
        with pytest.raises(TooManyRequests) as refused:
            limiter.take("a")
    assert refused.value.headers == {"Retry-After": "2"}
    clock.now += 2
    limiter.take("a")


def test_no_rate_is_no_limit() -> None:
    assert pass_through(RateLimiter(0, 1, Clock()), "a") == 1_000
