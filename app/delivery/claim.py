"""Takes due deliveries on a lease, and gives them back with what became of them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from app.core.database import Connection

LOOKED_AT = 1_000
"""Due deliveries that one claim weighs against each other."""

CLAIM = """
WITH heads AS (
    SELECT d.id, d.webhook_id, d.due_at FROM delivery d JOIN webhook w ON w.id = d.webhook_id
    WHERE d.state = 'queued' AND d.due_at <= clock_timestamp()
      AND (d.leased_until IS NULL OR d.leased_until < clock_timestamp())
      AND w.status = 'active' AND w.id <> ALL($4::text[])
      AND NOT EXISTS (
          SELECT 1 FROM delivery e WHERE e.state = 'queued' AND e.webhook_id = d.webhook_id
             AND e.referral = d.referral AND e.number < d.number)
    ORDER BY d.due_at, d.id LIMIT $6
), fair AS (
    SELECT id, row_number() OVER (PARTITION BY webhook_id ORDER BY due_at, id) AS place FROM heads
), due AS (
    SELECT d.id FROM delivery d
    WHERE d.id IN (SELECT id FROM fair WHERE place <= $5)
      AND d.state = 'queued' AND (d.leased_until IS NULL OR d.leased_until < clock_timestamp())
    ORDER BY d.due_at, d.id LIMIT $1 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE delivery d SET attempts = d.attempts + 1, lease = $2,
        leased_until = clock_timestamp() + make_interval(secs => $3),
        first_tried_at = coalesce(d.first_tried_at, clock_timestamp())
    FROM due WHERE d.id = due.id RETURNING d.*
), tried AS (
    INSERT INTO attempt (delivery_id, number) SELECT id, attempts FROM claimed
)
SELECT c.id, c.lease, c.attempts, c.number, extract(epoch FROM clock_timestamp() - c.first_tried_at)::float8,
       w.id, w.organization, w.url, w.secret,
       e.topic, e.sequence, e.focus_type, e.focus_id, e.facts, e.created_at
FROM claimed c JOIN webhook w ON w.id = c.webhook_id JOIN event e ON e.id = c.event_id
"""
"""Only the earliest undelivered one of a stream (webhook, referral) is due; attempts count from the claim on, so that
a delivery that kills its worker ends as a dead letter too."""

FINISH = """
WITH ended AS (
    UPDATE delivery SET state = $3, lease = NULL, leased_until = NULL,
        due_at = clock_timestamp() + make_interval(secs => $4),
        ended_at = CASE WHEN $3 = 'queued' THEN NULL ELSE clock_timestamp() END
    WHERE id = $1 AND lease = $2 RETURNING id, attempts, webhook_id
), noted AS (
    UPDATE attempt a SET milliseconds = $5, status = $6, reason = $7, answer = $8
    FROM ended WHERE a.delivery_id = ended.id AND a.number = ended.attempts
), healthy AS (
    UPDATE webhook w SET failing_since = NULL
    FROM ended WHERE $3 = 'delivered' AND w.id = ended.webhook_id AND w.failing_since IS NOT NULL
), failing AS (
    UPDATE webhook w SET failing_since = coalesce(w.failing_since, clock_timestamp()),
        status = CASE
            WHEN $6 = 410 THEN 'off'
            WHEN w.failing_since < clock_timestamp() - interval '5 days' THEN 'error'
            ELSE w.status END,
        error = $7
    FROM ended WHERE $3 IN ('queued', 'dead') AND w.id = ended.webhook_id
      AND (w.failing_since IS NULL OR $6 = 410 OR w.failing_since < clock_timestamp() - interval '5 days')
)
SELECT count(*) FROM ended
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery under our lease; ``age`` is the seconds since its first attempt."""

    id: int
    lease: str
    attempts: int
    number: int
    age: float
    webhook_id: str
    organization: str
    url: str
    secret: bytes
    topic: str
    sequence: int
    focus_type: str
    focus_id: str
    facts: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an attempt: ``state`` of the delivery, and for a queued one the ``delay`` in seconds."""

    state: str
    delay: float = 0
    milliseconds: int | None = None
    status: int | None = None
    reason: str | None = None
    answer: str | None = None


async def claim_due(
    connection: Connection, most: int, *, lease_seconds: float, busy: Sequence[str], most_each: int
) -> list[Claim]:
    """Up to ``most`` deliveries, ``most_each`` of one webhook, none of the ``busy`` ones."""
    rows = await connection.fetch(CLAIM, most, secrets.token_hex(16), lease_seconds, list(busy), most_each, LOOKED_AT)
    return [Claim(*row) for row in rows]


async def finish(connection: Connection | asyncpg.Pool, claim: Claim, result: Result) -> bool:
    """Records the result; False where the lease had run out and is somebody else's now."""
    ended = await connection.fetchval(
        FINISH,
        claim.id,
        claim.lease,
        result.state,
        float(result.delay),
        result.milliseconds,
        result.status,
        result.reason,
        result.answer,
    )
    return bool(ended)
