"""Delivery in figures: what waits, what came of it, and how long it took (delivery.md, The promise)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg

from app.core.database import Connection
from app.core.errors import Unavailable
from app.delivery.claim import LATENCY_BUCKETS

WEBHOOKS = """
SELECT w.id, w.status, coalesce(q.queued, 0), coalesce(q.blocked, 0), d.dead,
       coalesce(extract(epoch FROM clock_timestamp() - e.created_at)::float8, 0)
FROM webhook w
LEFT JOIN (
    SELECT d.webhook_id, count(*) AS queued, min(d.id) AS oldest,
           count(*) FILTER (WHERE d.first_tried_at < now() - interval '15 minutes' AND d.number = (
               SELECT min(f.number) FROM delivery f WHERE f.state = 'queued'
                  AND f.webhook_id = d.webhook_id AND f.referral = d.referral)) AS blocked
    FROM delivery d WHERE d.state = 'queued' GROUP BY d.webhook_id
) q ON q.webhook_id = w.id
LEFT JOIN delivery o ON o.id = q.oldest
LEFT JOIN event e ON e.id = o.event_id
CROSS JOIN LATERAL (SELECT count(*) AS dead FROM delivery d WHERE d.webhook_id = w.id AND d.state = 'dead') d
ORDER BY w.id
"""
"""The dispatcher makes deliveries in the order of events: the one with the least id has waited longest."""

WAITING = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at))::float8, 0)
FROM event WHERE fanned_out_at IS NULL
"""

TALLY = """
SELECT webhook_id, outcome, most_seconds, sum(number)::bigint, sum(seconds)::float8
FROM delivery_tally GROUP BY webhook_id, outcome, most_seconds
"""


@dataclass
class WebhookFigures:
    """One webhook's; ``oldest`` is the seconds since the event that has waited longest, 0 where none waits.

    ``blocked`` are the referrals whose next event was first tried over 15 minutes ago. ``latencies`` counts what was
    delivered, replays apart, by the upper bounds of LATENCY_BUCKETS and infinity; ``seconds`` is their sum.
    """

    id: str
    status: str
    queued: int
    blocked: int
    dead: int
    oldest: float
    delivered: int = 0
    failed: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))
    seconds: float = 0

    def count(self, outcome: str, most_seconds: float, number: int, seconds: float) -> None:
        """Adds a row of the tally."""
        if outcome == "failed":
            self.failed += number
            return
        self.delivered += number
        if outcome == "delivered":
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
    webhooks = {row[0]: WebhookFigures(*row) for row in await connection.fetch(WEBHOOKS)}
    for webhook_id, *counted in await connection.fetch(TALLY):
        webhooks[webhook_id].count(*counted)
    [waiting] = await connection.fetch(WAITING)
    return Figures(tuple(webhooks.values()), waiting[0], waiting[1])


def accumulate(counts: Iterable[int]) -> list[tuple[float, int]]:
    """(upper bound, how many at most so long) of counts by bucket."""
    so_far, rows = 0, []
    for bound, number in zip((*LATENCY_BUCKETS, math.inf), counts, strict=True):
        so_far += number
        rows.append((bound, so_far))
    return rows
