"""The dispatcher's work: of each event one delivery for each webhook that wants it, numbered per webhook."""

from typing import Any

from app.core.database import Connection

DISPATCHER_LOCK = 0x68616E646F6666  # "handoff"
BATCH = 500

FAN_OUT = """
WITH batch AS MATERIALIZED (
    SELECT id, topic, referral, audience, keys, audience || CASE WHEN NOT labelled THEN ARRAY(
               SELECT n.coordinator FROM network_member n WHERE n.member = ANY(audience)) END AS hearers
    FROM event WHERE fanned_out_at IS NULL ORDER BY id LIMIT $1
), wanted AS (
    SELECT w.id AS webhook_id, b.id AS event_id, b.referral,
           row_number() OVER (PARTITION BY w.id ORDER BY b.id) AS place
    FROM batch b JOIN webhook w
      ON w.status <> 'off' AND coalesce(w.ends_at > clock_timestamp(), true)
     AND b.topic = ANY(w.topics) AND w.organization = ANY(b.hearers) AND (w.network OR w.organization = ANY(b.audience))
     AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements(w.filters) f
                     WHERE NOT b.keys && ARRAY(SELECT jsonb_array_elements_text(f))
                       AND NOT EXISTS (
                         SELECT 1 FROM jsonb_array_elements_text(f) a
                         WHERE CASE WHEN starts_with(a, '_lastUpdated=') THEN substr(a, 14)::tstzrange @> (
                             SELECT substr(k, 14)::timestamptz FROM unnest(b.keys) k
                             WHERE starts_with(k, '_lastUpdated=')) END))
), counted AS (
    UPDATE webhook w SET last_number = w.last_number + c.many
    FROM (SELECT webhook_id, count(*) AS many FROM wanted GROUP BY webhook_id) c
    WHERE w.id = c.webhook_id RETURNING w.id, w.last_number - c.many AS before
), made AS (
    INSERT INTO delivery (webhook_id, event_id, referral, number, due_at)
    SELECT w.webhook_id, w.event_id, w.referral, c.before + w.place,
           greatest(clock_timestamp(), (
               SELECT d.due_at FROM delivery d WHERE d.state = 'queued' AND d.webhook_id = w.webhook_id
                  AND d.referral = w.referral ORDER BY d.number LIMIT 1))
    FROM wanted w JOIN counted c ON c.id = w.webhook_id ORDER BY w.event_id
    RETURNING 1
), marked AS (
    UPDATE event SET fanned_out_at = clock_timestamp() WHERE id = ANY(ARRAY(SELECT id FROM batch)) RETURNING 1
)
SELECT (SELECT count(*) FROM marked), (SELECT count(*) FROM made)
"""
"""Beside its audience, the coordinators hear of an event whose network holds one of them, unless it is labelled.

Within a referral, events become visible in the order of their ids, since each takes its number under the referral's
lock; so the order of ids is the order of commits as far as order is promised."""


async def fan_out(connection: Connection, most: int = BATCH) -> tuple[int, int]:
    """(events taken, deliveries made) of one batch of at most ``most`` events; nothing while another worker is at it.

    The lock lasts as long as the transaction: a worker that hangs or dies is nobody's dispatcher for longer. The batch
    is a statement of its own, so that it sees what the dispatcher before it has committed.
    """
    async with connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", DISPATCHER_LOCK):
            return 0, 0
        row: Any = await connection.fetchrow(FAN_OUT, most)
        return int(row[0]), int(row[1])
