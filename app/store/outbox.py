"""Writes event rows in the business transaction: what was rolled back is never sent (delivery.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.database import Connection


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a referral.

    ``facts`` is the compact webhook's JSON as far as it is known now; ``keys`` are what filters are compared with.
    """

    topic: str
    referral: str
    focus: tuple[str, str, int]
    audience: tuple[str, ...]
    labelled: bool
    facts: str
    keys: tuple[str, ...] = ()


INSERT_EVENTS = """
WITH written AS (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bool[], $8::text[], $9::text[])
    WITH ORDINALITY AS new(topic, referral, type, id, version, audience, labelled, facts, keys, place)
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY referral ORDER BY place) AS step,
           count(*) OVER (PARTITION BY referral) AS many FROM written
), numbered AS (
    UPDATE referral r SET sequence = r.sequence + p.many
    FROM (SELECT DISTINCT referral, many FROM placed) p WHERE r.id = p.referral
    RETURNING r.id, r.sequence - p.many AS before
)
INSERT INTO event (topic, referral, sequence, focus_type, focus_id, focus_version, audience, labelled, facts, keys)
SELECT topic, referral, before + step, type, p.id, version, string_to_array(audience, ' '), labelled, facts,
       coalesce(string_to_array(nullif(keys, ''), chr(10)), '{}')
FROM placed p JOIN numbered n ON n.id = p.referral ORDER BY place
"""


async def insert_events(connection: Connection, events: Sequence[Event]) -> None:
    """Numbers each event within its referral, whose row this transaction has locked, and writes them all."""
    if not events:
        return
    await connection.execute(
        INSERT_EVENTS,
        [each.topic for each in events],
        [each.referral for each in events],
        [each.focus[0] for each in events],
        [each.focus[1] for each in events],
        [each.focus[2] for each in events],
        # Ids hold no space (R4 datatypes, id), and an array of arrays must not be ragged.
        [" ".join(each.audience) for each in events],
        [each.labelled for each in events],
        [each.facts for each in events],
        # No code and no reference holds a line break either (index_keys sees to it).
        ["\n".join(each.keys) for each in events],
    )


LABEL_EVENTS = """
UPDATE event SET labelled = true, facts = coalesce((
    SELECT json_object_agg(key, value) FROM json_each(facts::json) WHERE key = ANY($4::text[])), '{}')::text
WHERE referral = $1 AND NOT labelled AND ($2 <> 'CarePlan' OR (focus_type = $2 AND focus_id = $3))
"""


async def label_events(connection: Connection, referral: str, key: tuple[str, str], told: Sequence[str]) -> None:
    """What a label that comes now covers: events of the past keep no facts but those ``told``.

    A label on a Task or a ServiceRequest covers its referral, one on a CarePlan that plan alone.
    """
    await connection.execute(LABEL_EVENTS, referral, *key, list(told))


async def announce_events(connection: Connection) -> None:
    """Wakes the dispatcher; sent after the commit, since a NOTIFY inside it would make commits queue."""
    await connection.execute("SELECT pg_notify('handoff_event', '')")
