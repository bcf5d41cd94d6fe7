"""Writes event rows in the business transaction: what was rolled back is never sent (delivery.md)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.database import Connection
from app.store.steps import Step


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


EVENTS = Step(
    """
numbered@ AS (
    INSERT INTO referral AS r (id, sequence) SELECT * FROM unnest($1::text[], $2::bigint[]) AS new(id, many) ORDER BY id
    ON CONFLICT (id) DO UPDATE SET sequence = r.sequence + excluded.sequence RETURNING r.id, r.sequence
), told@ AS (
    INSERT INTO event (topic, referral, sequence, focus_type, focus_id, focus_version, audience, labelled, facts, keys)
    SELECT topic, referral, n.sequence - later, type, e.id, version, string_to_array(audience, ' '), labelled, facts,
           coalesce(string_to_array(nullif(keys, ''), chr(10)), '{}')
    FROM unnest($3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::bool[],
                $11::text[], $12::text[]) WITH ORDINALITY
        AS e(topic, referral, later, type, id, version, audience, labelled, facts, keys, place)
    JOIN numbered@ n ON n.id = e.referral ORDER BY place
)""",
    12,
)
"""Begins referrals that are new, numbers each event within its referral, whose row this transaction holds, and writes
them all."""


def list_event_values(begun: Iterable[str], events: Sequence[Event]) -> list[list[Any]]:
    """The values of ``EVENTS``; ``begun`` are referrals that may have no row yet."""
    many = Counter(dict.fromkeys(begun, 0))
    later = []
    for each in reversed(events):
        later.append(many[each.referral])
        many[each.referral] += 1
    return [
        list(many),
        list(many.values()),
        [each.topic for each in events],
        [each.referral for each in events],
        later[::-1],
        [each.focus[0] for each in events],
        [each.focus[1] for each in events],
        [each.focus[2] for each in events],
        # Ids hold no space (R4 datatypes, id), and an array of arrays must not be ragged.
        [" ".join(each.audience) for each in events],
        [each.labelled for each in events],
        [each.facts for each in events],
        # No code and no reference holds a line break either (index_keys sees to it).
        ["\n".join(each.keys) for each in events],
    ]


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
