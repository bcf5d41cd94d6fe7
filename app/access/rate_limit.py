"""Lets each client make so many requests a second, with a reserve for bursts (access.md, Input)."""

import math
import time
from collections.abc import Callable

from app.core.errors import TooManyRequests


class RateLimiter:
    """A token bucket for each client, in one process.

    ``rate`` is requests a second (0 lets everything pass), ``burst`` how many may come at once after a pause. Only
    clients that have been authenticated get a bucket, so there are no more of them than are registered.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, client_id: str) -> None:
        """Counts one request. Raises TooManyRequests, which says after how many seconds the next one passes."""
        if not self._rate:
            return
        now = self._clock()
        left, since = self._buckets.get(client_id, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        if left < 1:
            # A refused request costs nothing: who waits as told gets through.
            self._buckets[client_id] = (left, now)
            wait = math.ceil((1 - left) / self._rate)
            raise TooManyRequests(
                f"This client sends more than {self._rate:g} requests a second; wait {wait} s",
                headers={"Retry-After": str(wait)},
            )
        self._buckets[client_id] = (left - 1, now)
