"""Blanks the events about resources that are erased: a subscriber's numbers keep no gap, and say nothing any more."""

from collections.abc import Iterable

from app.core.database import Connection

FIND = """
SELECT id FROM event WHERE referral = ANY($1) OR focus_type || '/' || focus_id = ANY($2)
    OR focus_type || '/' || focus_id || '/_history/' || focus_version = ANY($2)
ORDER BY id FOR UPDATE
"""
"""The events come first: a dispatcher that is at one of them has made its deliveries when we go on."""
HOLD = "SELECT webhook_id, first_tried_at IS NOT NULL FROM delivery WHERE event_id = ANY($1) ORDER BY id FOR UPDATE"
BLANK_DELIVERIES = """
UPDATE delivery SET referral = 'erased/' || event_id, lease = NULL, leased_until = NULL,
    state = CASE WHEN state = 'delivered' THEN state ELSE 'withdrawn' END,
    ended_at = coalesce(ended_at, clock_timestamp())
WHERE event_id = ANY($1)
"""
BLANK_EVENTS = """
UPDATE event SET referral = 'erased/' || id, focus_id = 'erased', audience = '{}', facts = '{}', keys = '{}',
    fanned_out_at = coalesce(fanned_out_at, clock_timestamp())
WHERE id = ANY($1)
"""


async def erase_events(connection: Connection, referrals: Iterable[str], references: Iterable[str]) -> set[str]:
    """The organisations to whose endpoints some of it has gone, or may have.

    ``references`` name resources, or a version of one. What was answered to attempts goes, for a receiver may have
    echoed it. An attempt under way ends, and finds nothing to record.
    """
    named = sorted(references)
    streams = [*referrals, *(f"{each}/_history" for each in named)]
    events = [row[0] for row in await connection.fetch(FIND, streams, named)]
    deliveries = await connection.fetch(HOLD, events)
    await connection.execute(
        "DELETE FROM attempt a USING delivery d WHERE d.id = a.delivery_id AND d.event_id = ANY($1)", events
    )
    await connection.execute(BLANK_DELIVERIES, events)
    await connection.execute(BLANK_EVENTS, events)
    told = {row[0] for row in deliveries if row[1]}
    rows = await connection.fetch("SELECT DISTINCT organization FROM webhook WHERE id = ANY($1)", sorted(told))
    return {row[0] for row in rows}
