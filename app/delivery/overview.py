"""What an operator sees of delivery: each webhook with its counts, and the dead letters."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from app.core.database import Connection

STATUS = """
SELECT w.id, w.organization, w.url, w.topics, w.status, w.error, w.failing_since,
       CASE WHEN w.previous_secret IS NOT NULL AND w.previous_until > clock_timestamp() THEN w.previous_until END,
       coalesce(d.queued, 0), d.oldest, coalesce(d.delivered, 0), coalesce(d.dead, 0), coalesce(a.failed, 0)
FROM webhook w
LEFT JOIN (
    SELECT d.webhook_id, count(*) FILTER (WHERE d.state = 'queued') AS queued,
           count(*) FILTER (WHERE d.state = 'delivered') AS delivered,
           count(*) FILTER (WHERE d.state = 'dead') AS dead,
           extract(epoch FROM clock_timestamp() - min(e.created_at))::float8 AS oldest
    FROM delivery d LEFT JOIN event e ON e.id = d.event_id AND d.state = 'queued' GROUP BY d.webhook_id
) d ON d.webhook_id = w.id
LEFT JOIN (
    SELECT d.webhook_id, count(*) AS failed FROM attempt a JOIN delivery d ON d.id = a.delivery_id
    WHERE coalesce(a.status NOT BETWEEN 200 AND 299, true)
      AND NOT (a.number = d.attempts
               AND (d.state = 'withdrawn' OR coalesce(d.leased_until >= clock_timestamp(), false)))
    GROUP BY d.webhook_id
) a ON a.webhook_id = w.id
ORDER BY w.created_at, w.id
"""
"""An attempt that has neither status nor reason ended with its worker, unless it is under way still."""

DEAD = """
SELECT d.id, d.webhook_id, d.number, d.referral, e.topic, e.created_at, d.ended_at, d.attempts - d.forgiven,
       a.reason, a.answer
FROM delivery d JOIN event e ON e.id = d.event_id
LEFT JOIN attempt a ON a.delivery_id = d.id AND a.number = d.attempts
WHERE d.state = 'dead' AND ($1::text IS NULL OR d.webhook_id = $1) ORDER BY d.id DESC LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class WebhookState:
    """A webhook as an operator sees it; ``oldest`` is the seconds since the event that has waited longest."""

    id: str
    organization: str
    url: str
    topics: list[str]
    status: str
    error: str | None
    failing_since: datetime | None
    previous_until: datetime | None
    queued: int
    oldest: float | None
    delivered: int
    dead: int
    failed: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up; ``reason`` and ``answer`` are those of its last attempt."""

    id: int
    webhook_id: str
    number: int
    referral: str
    topic: str
    created_at: datetime
    ended_at: datetime
    attempts: int
    reason: str | None
    answer: str | None


async def list_states(connection: Connection) -> tuple[list[WebhookState], int]:
    """Every webhook, the oldest first; and how many events no dispatcher has fanned out yet."""
    waiting = await connection.fetchval("SELECT count(*) FROM event WHERE fanned_out_at IS NULL")
    return [WebhookState(*row) for row in await connection.fetch(STATUS)], int(waiting)


async def list_dead(connection: Connection, webhook_id: str | None, most: int) -> list[DeadLetter]:
    """The dead letters, of one webhook or of all, the newest first."""
    return [DeadLetter(*row) for row in await connection.fetch(DEAD, webhook_id, most)]


async def list_changed(connection: Connection | asyncpg.Pool) -> list[tuple[str, str]]:
    """(webhook, organisation) of each whose Subscription shows another status than it has."""
    rows = await connection.fetch("SELECT id, organization FROM webhook WHERE status <> shown_status ORDER BY id")
    return [(row[0], row[1]) for row in rows]
