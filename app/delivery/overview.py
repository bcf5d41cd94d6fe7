"""What an operator sees of delivery: each webhook with its counts, and what does not get through, try by try."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import asyncpg

from app.core.database import Connection

BLOCKED_MINUTES = 15
HEAD = """d.number = (SELECT min(f.number) FROM delivery f WHERE f.state = 'queued'
    AND f.webhook_id = d.webhook_id AND f.referral = d.referral)"""
BLOCKED = f"d.first_tried_at < now() - interval '{BLOCKED_MINUTES} minutes' AND {HEAD}"
"""Of a queued delivery: it holds up its referral, and has been tried for so long."""

STATES = f"""
SELECT w.id, w.organization, w.url, w.topics, w.status, w.error, w.failing_since, w.created_at,
       CASE WHEN w.previous_secret IS NOT NULL AND w.previous_until > clock_timestamp() THEN w.previous_until END,
       q.queued, extract(epoch FROM clock_timestamp() - e.created_at)::float8, q.blocked, d.dead, t.delivered, t.failed,
       CASE WHEN w.resting_until > clock_timestamp() THEN w.resting_until END, w.rate, w.reason_text
FROM webhook w
CROSS JOIN LATERAL (
    SELECT count(*) AS queued, min(d.id) AS oldest, count(*) FILTER (WHERE {BLOCKED}) AS blocked
    FROM delivery d WHERE d.webhook_id = w.id AND d.state = 'queued') q
CROSS JOIN LATERAL (SELECT count(*) AS dead FROM delivery d WHERE d.webhook_id = w.id AND d.state = 'dead') d
CROSS JOIN LATERAL (
    SELECT coalesce(sum(t.number) FILTER (WHERE t.outcome <> 'failed'), 0)::bigint AS delivered,
           coalesce(sum(t.number) FILTER (WHERE t.outcome = 'failed'), 0)::bigint AS failed
    FROM delivery_tally t WHERE t.webhook_id = w.id) t
LEFT JOIN delivery o ON o.id = q.oldest
LEFT JOIN event e ON e.id = o.event_id
WHERE ($1::text[] IS NULL OR w.organization = ANY($1)) AND ($2::text IS NULL OR w.id = $2)
ORDER BY w.created_at, w.id
"""  # noqa: S608 -- nothing of a caller's is in it
"""The dispatcher makes deliveries in the order of events: the one with the least id has waited longest."""

WAITING = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at))::float8, 0)
FROM event WHERE fanned_out_at IS NULL
"""

Kind = Literal["dead", "blocked"]
KINDS: dict[Kind, str] = {"dead": "d.state = 'dead'", "blocked": f"d.state = 'queued' AND {BLOCKED}"}

UNDELIVERED = """
SELECT d.id, d.webhook_id, d.number, d.referral, e.topic, e.created_at, d.due_at, d.ended_at, d.attempts - d.forgiven
FROM delivery d JOIN event e ON e.id = d.event_id JOIN webhook w ON w.id = d.webhook_id
WHERE {kind}
  AND ($1::text[] IS NULL OR w.organization = $1[1] OR (w.organization = ANY($1) AND NOT e.labelled))
  AND ($2::text IS NULL OR d.webhook_id = $2)
  AND ($3::bigint IS NULL OR d.id < $3)
ORDER BY d.id DESC LIMIT $4
"""

ATTEMPTS = """
SELECT delivery_id, number, at, milliseconds, status, reason, answer FROM attempt WHERE delivery_id = ANY($1)
ORDER BY delivery_id, number
"""


@dataclass(frozen=True, slots=True)
class WebhookState:
    """A webhook as an operator sees it; ``oldest`` is the seconds since the event that has waited longest.

    ``blocked`` are the referrals whose next event was first tried over 15 minutes ago. ``delivered`` and ``failed``
    (attempts; one that ended with its worker is in none) count from the beginning, whatever was deleted since.
    Until ``resting_until`` the circuit breaker keeps deliveries back. ``rate`` is the webhook's own, a second.
    ``reason_text`` asks a compact webhook to tell the words of a statusReason.
    """

    id: str
    organization: str
    url: str
    topics: list[str]
    status: str
    error: str | None
    failing_since: datetime | None
    created_at: datetime
    previous_until: datetime | None
    queued: int
    oldest: float | None
    blocked: int
    dead: int
    delivered: int
    failed: int
    resting_until: datetime | None
    rate: float | None
    reason_text: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try; ``status`` is the HTTP status, None where no answer came; ``answer`` is its first 2 kB.

    One without status and reason is under way, or ended with its worker.
    """

    number: int
    at: datetime
    milliseconds: int | None
    status: int | None
    reason: str | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A delivery that was given up (``ended_at``), or that is tried again at ``due_at`` and holds up its referral.

    ``count`` are the attempts since the last replay; ``attempts`` are all of them.
    """

    id: int
    webhook_id: str
    number: int
    referral: str
    topic: str
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None
    count: int
    attempts: Sequence[Attempt]


async def list_states(
    connection: Connection, organizations: Sequence[str] | None = None, webhook_id: str | None = None
) -> list[WebhookState]:
    """The webhooks of these organisations, or all of them, or one; the oldest first."""
    return [WebhookState(*row) for row in await connection.fetch(STATES, organizations, webhook_id)]


async def count_waiting(connection: Connection) -> tuple[int, float]:
    """How many events no dispatcher has fanned out yet, and for how many seconds the oldest has waited."""
    [row] = await connection.fetch(WAITING)
    return row[0], row[1]


async def list_undelivered(
    connection: Connection,
    kind: Kind,
    *,
    organizations: Sequence[str] | None,
    webhook_id: str | None,
    before: int | None,
    most: int,
) -> list[Undelivered]:
    """What was given up, or is blocked, of these organisations or of all, with ids below ``before``; newest first.

    What is labelled is told of the first one alone, which asks for the others.
    """
    rows = await connection.fetch(UNDELIVERED.format(kind=KINDS[kind]), organizations, webhook_id, before, most)
    attempts: dict[int, list[Attempt]] = defaultdict(list)
    for delivery_id, *attempt in await connection.fetch(ATTEMPTS, [row[0] for row in rows]):
        attempts[delivery_id].append(Attempt(*attempt))
    return [Undelivered(*(*row, attempts[row[0]])) for row in rows]


async def list_changed(connection: Connection | asyncpg.Pool) -> list[tuple[str, str]]:
    """(webhook, organisation) of each whose Subscription shows another status than it has."""
    rows = await connection.fetch("SELECT id, organization FROM webhook WHERE status <> shown_status ORDER BY id")
    return [(row[0], row[1]) for row in rows]
