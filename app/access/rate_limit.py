"""Lets each client make so many requests a second, with a reserve for bursts (access.md, Input)."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from app.core.errors import TooManyRequests
from app.core.settings import Settings

BURST_SECONDS = 5.0
TOKEN_BURST_SECONDS = 10.0
MOST = 10_000


class RateLimiter:
    """A token bucket for each client, in one process.

    ``rate`` is requests a second (0 lets everything pass), ``burst`` how many may come at once after a pause. Of
    buckets there are ``MOST`` at the most: the one that was not asked for longest goes first.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client_id: str, own_rate: float | None = None) -> None:
        """Counts one request, by ``own_rate`` where a client has one, whose burst is then what it may do in 5 s.

        Raises TooManyRequests, which says after how many seconds the next one passes.
        """
        rate, burst = (self._rate, self._burst) if own_rate is None else (own_rate, max(1.0, own_rate * BURST_SECONDS))
        if not rate:
            return
        now = self._clock()
        left, since = self._buckets.pop(client_id, (burst, now))
        left = min(burst, left + (now - since) * rate)
        if len(self._buckets) >= MOST:
            self._buckets.popitem(last=False)
        if left < 1:
            # A refused request costs nothing: who waits as told gets through.
            self._buckets[client_id] = (left, now)
            wait = math.ceil((1 - left) / rate)
            raise TooManyRequests(
                f"This client sends more than {rate:g} requests a second; wait {wait} s",
                headers={"Retry-After": str(wait)},
            )
        self._buckets[client_id] = (left - 1, now)


class TokenLimits:
    """What the token endpoint of one process takes: of an address whatever it sends, of a client what it has signed.

    A client's count begins when it has shown who it is: strangers who name it use up nothing of it.
    """

    def __init__(self, settings: Settings) -> None:
        by_address, by_client = settings.token_address_rate_limit, settings.token_rate_limit
        self._addresses = RateLimiter(by_address, max(1, int(by_address * TOKEN_BURST_SECONDS)))
        self._clients = RateLimiter(by_client, max(1, int(by_client * TOKEN_BURST_SECONDS)))

    def take_address(self, address: str | None) -> None:
        """Counts a request from an address. Raises TooManyRequests."""
        self._addresses.take(name_network(address))

    def take_client(self, client_id: str) -> None:
        """Counts an assertion that holds. Raises TooManyRequests."""
        self._clients.take(client_id)


def name_network(address: str | None) -> str:
    """What counts as one address: of IPv6 the /64 that one customer has."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    return str(ipaddress.IPv6Network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
