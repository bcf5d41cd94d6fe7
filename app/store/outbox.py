"""Writes event rows in the business transaction: what was rolled back is never sent (delivery.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.database import Connection


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a referral; ``facts`` is the compact webhook's JSON as far as it is known now."""

    topic: str
    referral: str
    focus: tuple[str, str, int]
    audience: tuple[str, ...]
    labelled: bool
    facts: str


INSERT_EVENT = """
WITH numbered AS (
    UPDATE referral SET sequence = sequence + 1 WHERE id = $2 RETURNING sequence
)
INSERT INTO event (topic, referral, sequence, focus_type, focus_id, focus_version, audience, labelled, facts)
SELECT $1, $2, sequence, $3, $4, $5, $6, $7, $8 FROM numbered
"""


async def insert_events(connection: Connection, events: Sequence[Event]) -> None:
    """Numbers each event within its referral, whose row this transaction has locked, and writes it."""
    for event in events:
        await connection.execute(
            INSERT_EVENT,
            event.topic,
            event.referral,
            *event.focus,
            list(event.audience),
            event.labelled,
            event.facts,
        )


async def announce_events(connection: Connection) -> None:
    """Wakes the dispatcher; sent after the commit, since a NOTIFY inside it would make commits queue."""
    await connection.execute("SELECT pg_notify('handoff_event', '')")
