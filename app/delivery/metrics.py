"""Delivery in figures: what waits, what came of it, and how long it took (delivery.md, The promise)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg

from app.core.database import Connection
from app.core.errors import Unavailable
from app.delivery.claim import LATENCY_BUCKETS
from app.delivery.overview import WebhookState, count_waiting, list_states

LATENCIES = """
SELECT webhook_id, most_seconds, sum(number)::bigint, sum(seconds)::float8
FROM delivery_tally WHERE outcome = 'delivered' GROUP BY webhook_id, most_seconds
"""


@dataclass
class WebhookFigures:
    """One webhook's. ``latencies`` counts what was delivered, replays apart, by the upper bounds of LATENCY_BUCKETS
    and infinity; ``seconds`` is their sum.
    """

    state: WebhookState
    latencies: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))
    seconds: float = 0

    def count(self, most_seconds: float, number: int, seconds: float) -> None:
        """Adds a row of the tally."""
        place = next((n for n, bound in enumerate(LATENCY_BUCKETS) if bound >= most_seconds), -1)
        self.latencies[place] += number
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it; ``waiting`` events have not been fanned out yet, the oldest for ``waiting_oldest`` seconds."""

    webhooks: Sequence[WebhookFigures]
    waiting: int
    waiting_oldest: float


async def read_figures(pool: asyncpg.Pool) -> Figures:
    """The figures as they are now. Raises Unavailable where the database does not answer."""
    try:
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            return await read_snapshot(connection)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable("The database cannot be asked for the figures; try again") from error


async def read_snapshot(connection: Connection) -> Figures:
    """The figures of one snapshot."""
    webhooks = {each.id: WebhookFigures(each) for each in await list_states(connection)}
    for webhook_id, *counted in await connection.fetch(LATENCIES):
        webhooks[webhook_id].count(*counted)
    return Figures(tuple(webhooks.values()), *await count_waiting(connection))


def accumulate(counts: Iterable[int]) -> list[tuple[float, int]]:
    """(upper bound, how many at most so long) of counts by bucket."""
    so_far, rows = 0, []
    for bound, number in zip((*LATENCY_BUCKETS, math.inf), counts, strict=True):
        so_far += number
        rows.append((bound, so_far))
    return rows
