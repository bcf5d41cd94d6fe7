"""The events that a subscriber had, whatever became of their notifications (Backport, ``$events`` and ``$resend``)."""

from dataclasses import dataclass
from datetime import datetime

from app.core.database import Connection
from app.core.errors import Gone, Invalid
from app.delivery.standing import Standing

PAST = """
SELECT d.number, e.topic, e.focus_type, e.focus_id, e.focus_version, e.labelled, e.created_at
FROM delivery d JOIN event e ON e.id = d.event_id
WHERE d.webhook_id = $1 AND d.number BETWEEN $2 AND $3 ORDER BY d.number LIMIT $4
"""
FIRST_WHOLE = """
SELECT min(number) FROM (
    SELECT number, number + row_number() OVER (ORDER BY number DESC) AS last FROM delivery
    WHERE webhook_id = $1 AND number <= $2
) kept WHERE last = $2 + 1
"""
"""Retention deletes the oldest, save dead letters: the first from which on there is no gap."""

COUNT = """
SELECT count(*) FROM (
    SELECT 1 FROM delivery d JOIN event e ON e.id = d.event_id
    WHERE d.webhook_id = $1 AND d.number BETWEEN $2 AND $3
      AND ($4::timestamptz IS NULL OR e.created_at >= $4) AND ($5::timestamptz IS NULL OR e.created_at <= $5) LIMIT $6
) found
"""
BEGINNING = """
SELECT e.created_at FROM delivery d JOIN event e ON e.id = d.event_id WHERE d.webhook_id = $1 AND d.number = $2
"""


@dataclass(frozen=True, slots=True)
class PastEvent:
    """One event of a subscriber."""

    number: int
    topic: str
    focus_type: str
    focus_id: str
    focus_version: int
    labelled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers of events, both ends included; there is nothing in it where ``first`` is above ``last``.

    ``since`` and ``until`` are times within which they happened.
    """

    first: int
    last: int
    since: datetime | None = None
    until: datetime | None = None


def read_number(text: str | None, name: str) -> int | None:
    """An event's number. Raises Invalid."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < 1:
        raise Invalid(f"{name} is an event's number: a whole number above 0", (name,))
    return int(text)


async def find_span(connection: Connection, standing: Standing, since: int | None, until: int | None) -> Span:
    """What is meant by the bounds, each of which may be left out. Raises Invalid, and Gone for events not kept."""
    if since is not None and until is not None and since > until:
        raise Invalid("eventsSinceNumber is above eventsUntilNumber", ("eventsSinceNumber",))
    kept = await connection.fetchval(FIRST_WHOLE, standing.id, standing.count) or standing.count + 1
    last = min(until or standing.count, standing.count)
    wanted = since if since is not None else until if until is not None and until < kept else None
    if wanted is not None and wanted < kept:
        raise Gone(
            f"Events before {kept} have gone by retention: ask from {kept} on, and search for what changed before",
            ("eventsSinceNumber" if since is not None else "eventsUntilNumber",),
        )
    return Span(since or kept, last)


async def list_past_events(connection: Connection, webhook_id: str, span: Span, most: int) -> list[PastEvent]:
    """At most so many events of the span, in order."""
    return [PastEvent(*row) for row in await connection.fetch(PAST, webhook_id, span.first, span.last, most)]


async def count_past_events(connection: Connection, webhook_id: str, span: Span, most: int) -> int:
    """How many events there are in the span; no more are counted than ``most``."""
    counted: int = await connection.fetchval(COUNT, webhook_id, span.first, span.last, span.since, span.until, most)
    return counted


async def check_kept_since(connection: Connection, webhook_id: str, span: Span) -> None:
    """Raises Gone where events after ``span.since`` may be kept no more: the first one kept is later."""
    if span.since is None or span.first == 1:
        return
    begun = await connection.fetchval(BEGINNING, webhook_id, span.first)
    if begun is not None and span.since < begun:
        raise Gone(f"Events before {span.first}, of {begun:%Y-%m-%dT%H:%M:%SZ}, have gone by retention")
