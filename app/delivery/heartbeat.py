"""Tells subscribers that asked for it that they would hear, when nothing happens (Backport, heartbeat)."""

import asyncio
import logging
import secrets

from app.core.errors import HandoffError
from app.delivery.channel import COLUMNS, NotAccepted, Subscriber
from app.delivery.send import Sender

logger = logging.getLogger("handoff.delivery")

AT_ONCE = 16

CLAIM = f"""
WITH due AS (
    SELECT id FROM webhook WHERE status = 'active' AND heartbeat_due <= clock_timestamp()
    ORDER BY heartbeat_due LIMIT $1 FOR UPDATE SKIP LOCKED
), heard AS (
    SELECT w.id, make_interval(secs => w.heartbeat_period) AS period, coalesce((
        SELECT max(d.ended_at) FROM delivery d
        WHERE d.webhook_id = w.id AND d.state = 'delivered' AND d.number > w.last_number - 200), '-infinity') AS at
    FROM webhook w WHERE w.id = ANY(ARRAY(SELECT id FROM due))
), moved AS (
    UPDATE webhook w SET heartbeat_due =
        CASE WHEN h.at > clock_timestamp() - h.period THEN h.at ELSE clock_timestamp() END + h.period
    FROM heard h WHERE w.id = h.id RETURNING w.*, h.at <= clock_timestamp() - h.period AS silent
)
SELECT {COLUMNS} FROM moved WHERE silent
"""  # noqa: S608 -- nothing of a caller's is in it
"""Who heard of an event meanwhile is due a period after that: deliveries need not note it in the webhook's row."""

FAILED = """
UPDATE webhook SET failing_since = coalesce(failing_since, clock_timestamp()), error = $2,
    status = CASE WHEN $3::int = 410 THEN 'off'
        WHEN failing_since < clock_timestamp() - interval '5 days' THEN 'error' ELSE status END
WHERE id = $1 AND status = 'active' AND url = $4
"""
"""As a delivery that fails: nothing but failure for days ends it."""

HEALTHY = """
UPDATE webhook SET failing_since = NULL, error = NULL, failures = 0, resting_until = NULL
WHERE id = $1 AND status = 'active' AND url = $2 AND (failing_since IS NOT NULL OR failures > 0)
"""


async def beat_silent(sender: Sender) -> int:
    """Sends the heartbeats that are due, several at a time; how many."""
    rows = await sender.pool.fetch(CLAIM, AT_ONCE)
    await asyncio.gather(*(beat(sender, Subscriber(*row)) for row in rows))
    return len(rows)


async def beat(sender: Sender, subscriber: Subscriber) -> None:
    """One heartbeat and its record; there is no second try, as the next one comes."""
    try:
        await sender.channel_to(subscriber.url).beat(subscriber, secrets.token_hex(16))
    except HandoffError as failure:
        answered = failure.answered if isinstance(failure, NotAccepted) else None
        await sender.pool.execute(FAILED, subscriber.id, f"heartbeat: {failure.diagnostics}", answered, subscriber.url)
    else:
        await sender.pool.execute(HEALTHY, subscriber.id, subscriber.url)
