"""Sends again, pauses and resumes: what an operator does about delivery."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.database import Connection
from app.core.errors import Conflict, NotFound

REPLAY = """
WITH chosen AS MATERIALIZED (
    SELECT d.id, d.webhook_id, d.referral, d.state
    FROM delivery d JOIN event e ON e.id = d.event_id JOIN webhook w ON w.id = d.webhook_id
    WHERE ($8::text[] IS NULL OR w.organization = ANY($8))
      AND ($1::bigint IS NULL OR d.id = $1) AND ($2::text IS NULL OR d.webhook_id = $2)
      AND ($3::bigint IS NULL OR d.number >= $3) AND ($4::timestamptz IS NULL OR e.created_at >= $4)
      AND ($5::bool OR d.state <> 'delivered')
      AND ($6::bigint IS NULL OR d.number <= $6) AND ($7::timestamptz IS NULL OR e.created_at <= $7)
    ORDER BY d.id FOR UPDATE OF d
), streams AS MATERIALIZED (
    SELECT c.webhook_id, c.referral,
           (SELECT max(d.leased_until) FROM delivery d
            WHERE d.state = 'queued' AND d.webhook_id = c.webhook_id AND d.referral = c.referral) AS free
    FROM chosen c GROUP BY c.webhook_id, c.referral
), again AS (
    UPDATE delivery d SET state = 'queued', forgiven = d.attempts, first_tried_at = NULL, ended_at = NULL,
        due_at = greatest(clock_timestamp(), s.free)
    FROM chosen c JOIN streams s USING (webhook_id, referral)
    WHERE d.id = c.id AND d.state <> 'queued' RETURNING d.id
), hurried AS (
    UPDATE delivery d SET due_at = clock_timestamp()
    FROM streams s WHERE d.state = 'queued' AND d.webhook_id = s.webhook_id AND d.referral = s.referral
      AND d.due_at > clock_timestamp() RETURNING d.id
)
SELECT (SELECT count(*) FROM again), (SELECT count(*) FROM hurried)
"""
"""What is sent again goes before what waits behind it, and what waits in its stream becomes due with it. While a later
one of its stream is under way it waits for that lease to end: two of one stream are never under way at once."""

STATE = """
SELECT d.state FROM delivery d JOIN webhook w ON w.id = d.webhook_id
WHERE d.id = $1 AND ($2::text[] IS NULL OR w.organization = ANY($2))
"""

RESUME = """
WITH resumed AS (
    UPDATE webhook SET failing_since = NULL, error = NULL, failures = 0, resting_until = NULL,
        status = CASE WHEN status = 'requested' OR error LIKE 'handshake:%' THEN 'requested' ELSE 'active' END
    WHERE id = $1 RETURNING id
)
UPDATE delivery d SET due_at = clock_timestamp()
FROM resumed r WHERE d.webhook_id = r.id AND d.state = 'queued' AND d.due_at > clock_timestamp()
"""
"""The days of failure count anew: else its first failure would end it again. A handshake that failed is done again."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Which deliveries to send again: one, or those of a webhook from a number or a time on, up to another.

    Those that were delivered are meant only with ``delivered``.
    """

    delivery_id: int | None = None
    webhook_id: str | None = None
    from_number: int | None = None
    since: datetime | None = None
    delivered: bool = False
    until_number: int | None = None
    until: datetime | None = None


async def replay(connection: Connection, wanted: Replay, organizations: Sequence[str] | None = None) -> tuple[int, int]:
    """(sent again, due at once instead of later), of these organisations' or of all.

    Raises NotFound, and Conflict for one that was delivered.
    """
    if wanted.delivery_id is not None:
        state = await connection.fetchval(STATE, wanted.delivery_id, organizations)
        if state is None:
            raise NotFound(f"There is no delivery {wanted.delivery_id}")
        if state == "delivered" and not wanted.delivered:
            raise Conflict(f"Delivery {wanted.delivery_id} was delivered: ask for delivered ones too")
    else:
        await check_webhook(connection, wanted.webhook_id, organizations)
    row = await connection.fetchrow(
        REPLAY,
        wanted.delivery_id,
        wanted.webhook_id,
        wanted.from_number,
        wanted.since,
        wanted.delivered,
        wanted.until_number,
        wanted.until,
        organizations,
    )
    return (int(row[0]), int(row[1])) if row else (0, 0)


async def check_webhook(connection: Connection, webhook_id: str | None, organizations: Sequence[str] | None) -> None:
    """Raises NotFound where there is no such webhook, or none of these organisations."""
    owner = await connection.fetchval("SELECT organization FROM webhook WHERE id = $1", webhook_id)
    if owner is None or (organizations is not None and owner not in organizations):
        raise NotFound(f"There is no webhook {webhook_id}")


async def pause_webhook(connection: Connection, webhook_id: str, organizations: Sequence[str] | None = None) -> None:
    """Nothing is claimed for it any more, and everything goes on being queued. Raises NotFound, Conflict."""
    await check_webhook(connection, webhook_id, organizations)
    paused = await connection.fetchval(
        "UPDATE webhook SET status = 'paused', error = NULL "
        "WHERE id = $1 AND status IN ('active', 'paused') RETURNING id",
        webhook_id,
    )
    if not paused:
        raise Conflict(f"Webhook {webhook_id} is in error or off: nothing is sent to it as it is")


async def resume_webhook(connection: Connection, webhook_id: str, organizations: Sequence[str] | None = None) -> None:
    """Active again, after its handshake if that had failed; what is queued is due at once. Raises NotFound."""
    await check_webhook(connection, webhook_id, organizations)
    await connection.execute(RESUME, webhook_id)


async def find_stopped(connection: Connection, wanted: Replay) -> tuple[str, str] | None:
    """(webhook, status) where the replayed will not go before it is resumed."""
    row = await connection.fetchrow(
        "SELECT id, status FROM webhook WHERE status <> 'active' "
        "AND id = coalesce($1, (SELECT webhook_id FROM delivery WHERE id = $2))",
        wanted.webhook_id,
        wanted.delivery_id,
    )
    return (row[0], row[1]) if row else None


async def announce_deliveries(connection: Connection) -> None:
    """Wakes the senders."""
    await connection.execute("SELECT pg_notify('handoff_delivery', '')")
