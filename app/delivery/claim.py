"""Takes due deliveries on a lease, and gives them back with what became of them."""

import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from app.core.caller import Scope
from app.core.database import Connection

SUSPECT_ATTEMPTS = 3
LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3_600.0, 86_400.0)
"""Seconds from commit to receipt: the upper bounds by which they are counted."""

CLAIM = """
WITH guarded AS MATERIALIZED (
    SELECT id, failing_since, failures, coalesce(rate, $10::float8) AS rate,
           greatest(1 / coalesce(rate, $10), 1) AS burst,
           CASE WHEN paced_until <= now() THEN paced_until END AS paced_until  -- no clock that was set back
    FROM webhook
    WHERE status = 'active' AND (failures >= $9::int OR coalesce(rate, $10) IS NOT NULL)
      AND (resting_until IS NULL OR resting_until <= now())
    FOR NO KEY UPDATE SKIP LOCKED
), open AS MATERIALIZED (
    SELECT id, failing_since, $1::int AS most FROM webhook
    WHERE status = 'active' AND failures < $9 AND coalesce(rate, $10) IS NULL
    UNION ALL
    SELECT id, failing_since, least(CASE WHEN failures >= $9 THEN 1 END, $1, floor(1e-6 + rate * extract(epoch FROM
           now() - greatest(paced_until, now() - make_interval(secs => burst)))))::int
    FROM guarded
), room AS MATERIALIZED (
    SELECT w.id, least(w.most, CASE WHEN w.failing_since IS NULL THEN $5::int ELSE greatest(1, $5::int / 4) END
                               - coalesce(b.hands, 0)) AS free
    FROM open w LEFT JOIN unnest($4::text[], $6::int[]) AS b(id, hands) ON b.id = w.id
), heads AS MATERIALIZED (
    SELECT h.* FROM room r CROSS JOIN LATERAL (
        SELECT d.id, d.due_at, d.attempts - d.forgiven AS attempts,
               d.lease IS NOT NULL AND d.attempts - d.forgiven >= $8::int AS suspect
        FROM delivery d
        WHERE d.webhook_id = r.id AND d.state = 'queued' AND d.due_at <= now()
          AND (d.leased_until IS NULL OR d.leased_until < now())
          AND ($7::bool OR d.lease IS NULL OR d.attempts - d.forgiven < $8::int)
          AND d.number = (SELECT min(e.number) FROM delivery e WHERE e.state = 'queued'
                            AND e.webhook_id = d.webhook_id AND e.referral = d.referral)
        ORDER BY d.due_at, d.id LIMIT least(r.free, $1::int)
    ) h WHERE r.free > 0
), chosen AS (
    SELECT id FROM (
        SELECT *, row_number() OVER (PARTITION BY suspect ORDER BY attempts, due_at, id) AS place FROM heads
    ) h WHERE NOT suspect OR place = 1 ORDER BY due_at, id LIMIT $1::int
), due AS (
    SELECT d.id FROM delivery d
    WHERE d.id = ANY(ARRAY(SELECT id FROM chosen))
      AND d.state = 'queued' AND (d.leased_until IS NULL OR d.leased_until < now())
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE delivery d SET attempts = d.attempts + 1, lease = $2,
        leased_until = clock_timestamp() + make_interval(secs => $3),
        first_tried_at = coalesce(d.first_tried_at, clock_timestamp())
    FROM due WHERE d.id = due.id RETURNING d.*
), tried AS (
    INSERT INTO attempt (delivery_id, number) SELECT id, attempts FROM claimed
), paced AS (
    UPDATE webhook w SET
        paced_until = greatest(g.paced_until, now() - make_interval(secs => g.burst))
                      + make_interval(secs => c.many / g.rate),
        resting_until = CASE WHEN g.failures >= $9 THEN now() + make_interval(secs => $3) END
    FROM guarded g JOIN (SELECT webhook_id, count(*) AS many FROM claimed GROUP BY webhook_id) c ON c.webhook_id = g.id
    WHERE w.id = g.id
)
SELECT c.id, c.lease, c.attempts - c.forgiven, c.number, (SELECT h.suspect FROM heads h WHERE h.id = c.id),
       extract(epoch FROM clock_timestamp() - c.first_tried_at)::float8,
       w.id, w.organization, w.url, w.secret,
       e.topic, e.sequence, e.focus_type, e.focus_id, e.facts, e.created_at,
       CASE WHEN w.previous_until > clock_timestamp() THEN w.previous_secret END,
       e.focus_version, e.labelled, w.content, w.headers, w.payload, w.timeout, clock_timestamp(), w.reason_text,
       CASE WHEN w.network THEN ARRAY(SELECT n.member FROM network_member n WHERE n.coordinator = w.organization) END
FROM claimed c JOIN webhook w ON w.id = c.webhook_id JOIN event e ON e.id = c.event_id
"""
"""Only the earliest undelivered one of a stream (webhook, referral) is due. Each webhook is looked at by itself, up to
its free hands, so that the backlog of one costs the others nothing; a failing one has fewer hands. Attempts count from
the claim on, so that a delivery that kills its worker ends as a dead letter too; one whose leases keep running out is a
suspect and is tried without other suspects, so that the innocent that were under way beside it do not die with it.

A webhook with a rate, or whose circuit breaker has opened, is ``guarded``: one worker claims for it at a time, so that
all of them together keep to the rate (a bucket of one second's deliveries, of one at least), and one alone tries
whether the endpoint is there again."""

FINISH = """
WITH ended AS (
    UPDATE delivery d SET state = g.state, lease = NULL, leased_until = NULL,
        due_at = clock_timestamp() + make_interval(secs => g.delay),
        ended_at = CASE WHEN g.state = 'queued' THEN NULL ELSE clock_timestamp() END
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::float8[], $5::int[], $6::int[], $7::text[], $8::text[],
                $9::timestamptz[])
         AS g(id, lease, state, delay, milliseconds, status, reason, answer, happened_at)
    WHERE d.id = g.id AND d.lease = g.lease
    RETURNING d.id, d.attempts, d.forgiven, d.webhook_id, d.referral, d.number, d.due_at,
        g.state, g.milliseconds, g.status, g.reason, g.answer, g.happened_at
), behind AS (
    UPDATE delivery f SET due_at = ended.due_at
    FROM ended WHERE ended.state = 'queued' AND f.state = 'queued' AND f.webhook_id = ended.webhook_id
      AND f.referral = ended.referral AND f.number > ended.number AND f.due_at < ended.due_at
), noted AS (
    UPDATE attempt a SET milliseconds = e.milliseconds, status = e.status, reason = e.reason, answer = e.answer
    FROM ended e WHERE a.delivery_id = e.id AND a.number = e.attempts
), told AS (
    SELECT webhook_id, greatest(0, extract(epoch FROM clock_timestamp() - happened_at))::float8 AS seconds,
           CASE WHEN state <> 'delivered' THEN 'failed' WHEN forgiven > 0 THEN 'again' ELSE 'delivered' END AS outcome
    FROM ended WHERE state <> 'withdrawn'
), bucketed AS (
    SELECT webhook_id, outcome, CASE WHEN outcome = 'delivered' THEN seconds ELSE 0 END AS seconds,
           CASE WHEN outcome = 'delivered' THEN (SELECT min(b) FROM unnest($10::float8[]) b WHERE b >= seconds) END
               AS most_seconds
    FROM told
), tallied AS (
    INSERT INTO delivery_tally AS t (webhook_id, outcome, slot, most_seconds, number, seconds)
    SELECT webhook_id, outcome, pg_backend_pid() % 8, coalesce(most_seconds, 'infinity'), count(*), sum(seconds)
    FROM bucketed GROUP BY webhook_id, outcome, most_seconds ORDER BY webhook_id, outcome, most_seconds
    ON CONFLICT (webhook_id, outcome, most_seconds, slot)
    DO UPDATE SET number = t.number + excluded.number, seconds = t.seconds + excluded.seconds
)
SELECT e.id, w.failing_since IS NOT NULL OR w.failures > 0 FROM ended e JOIN webhook w ON w.id = e.webhook_id
"""
"""What waits behind a failed head is due no earlier than it: a claim need not look at it. (Whoever makes a head due
earlier must do so for its followers too.)"""

HEALTH = """
UPDATE webhook SET
    failures = CASE WHEN $5::bool THEN 0 ELSE failures + $6::int END,
    resting_until = CASE WHEN NOT $5 AND failures + $6 >= $7::int THEN clock_timestamp() + make_interval(
        secs => least($8::float8, greatest(1, extract(epoch FROM clock_timestamp() - failing_since) / 4))) END,
    failing_since = CASE WHEN $2::bool THEN NULL ELSE coalesce(failing_since, clock_timestamp()) END,
    status = CASE
        WHEN $3::bool THEN 'off'
        WHEN NOT $2 AND status = 'active' AND failing_since < clock_timestamp() - interval '5 days' THEN 'error'
        ELSE status END,
    error = CASE WHEN status = 'paused' AND NOT $3 THEN error WHEN $2 AND NOT $3 THEN NULL ELSE $4::text END
WHERE id = $1
"""
"""The breaker rests for a quarter of the time that the endpoint has failed, within bounds. Why one is paused stays, for
what was under way then says nothing of that.

Apart from the acknowledgement, one webhook at a time: its row is the dispatcher's and every worker's, and who holds
several rows waits for nobody. Lost between the two, it is told by the next attempt."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery under our lease; ``age`` is the seconds since its first attempt.

    ``attempts`` and ``age`` count from the last replay. ``previous_secret`` is there while a rotation's grace lasts.
    ``content`` is empty, id-only or full-resource; None is the compact webhook. ``headers`` are sealed,
    ``payload`` is the media type that was asked for, ``timeout`` the subscriber's own, in seconds.
    ``claimed_at`` is by the database's clock. ``reason_text`` asks for the words of a statusReason. ``network`` are the
    organisations whose events it hears beside its own, None where it hears its own alone.
    """

    id: int
    lease: str
    attempts: int
    number: int
    suspect: bool
    age: float
    webhook_id: str
    organization: str
    url: str
    secret: bytes | None
    topic: str
    sequence: int
    focus_type: str
    focus_id: str
    facts: str
    created_at: datetime
    previous_secret: bytes | None = None
    focus_version: int = 1
    labelled: bool = False
    content: str | None = None
    headers: bytes | None = None
    payload: str | None = None
    timeout: int | None = None
    claimed_at: datetime | None = None
    reason_text: bool = False
    network: Sequence[str] | None = None

    @property
    def scope(self) -> Scope:
        """What its subscriber may be told of."""
        return Scope((self.organization,), network=tuple(self.network or ()))


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an attempt: ``state`` of the delivery, and for a queued one the ``delay`` in seconds.

    ``reached`` says whether the endpoint is in order; None where nothing was learnt of it.
    """

    state: str
    delay: float = 0
    milliseconds: int | None = None
    status: int | None = None
    reason: str | None = None
    answer: str | None = None
    reached: bool | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds deliveries back: failures in a row that open the breaker, the longest it rests (seconds), and the most
    deliveries a second of a webhook that has no rate of its own, None for no limit. One that has ended with its worker
    after ``suspect`` attempts is tried without other suspects.
    """

    failures: int = 10
    longest_rest: float = 300.0
    rate: float | None = None
    suspect: int = SUSPECT_ATTEMPTS


NO_LIMITS = Limits(failures=2**31 - 1)


async def claim_due(
    connection: Connection | asyncpg.Pool,
    most: int,
    *,
    lease_seconds: float,
    busy: Mapping[str, int],
    most_each: int,
    suspects: bool = True,
    limits: Limits = NO_LIMITS,
) -> list[Claim]:
    """Up to ``most`` deliveries; of one webhook so many that with the ``busy`` ones there are at most ``most_each``."""
    rows = await connection.fetch(
        CLAIM,
        most,
        secrets.token_hex(16),
        lease_seconds,
        list(busy),
        most_each,
        list(busy.values()),
        suspects,
        limits.suspect,
        limits.failures,
        limits.rate,
    )
    return [Claim(*row) for row in rows]


SHORTEN = """
UPDATE delivery SET leased_until = clock_timestamp() + make_interval(secs => $1)
WHERE state = 'queued' AND leased_until > clock_timestamp() + make_interval(secs => $1)
"""
"""Whoever holds one has held it from before now: what was to end later was written by a clock since set back."""


async def shorten_leases(pool: asyncpg.Pool, lease_seconds: float) -> None:
    """No lease ends later than one that began now."""
    await pool.execute(SHORTEN, lease_seconds)


Ended = tuple[Claim, Result]


async def finish(connection: Connection | asyncpg.Pool, ended: Sequence[Ended], limits: Limits = NO_LIMITS) -> set[int]:
    """Records the results; the ids of those whose lease had not run out, and become somebody else's, before."""
    rows = await connection.fetch(
        FINISH,
        [claim.id for claim, _ in ended],
        [claim.lease for claim, _ in ended],
        [result.state for _, result in ended],
        [float(result.delay) for _, result in ended],
        [result.milliseconds for _, result in ended],
        [result.status for _, result in ended],
        [result.reason for _, result in ended],
        [result.answer for _, result in ended],
        [claim.created_at for claim, _ in ended],
        LATENCY_BUCKETS,
    )
    recorded = {row[0]: row[1] for row in rows}
    await note_health(connection, [each for each in ended if each[0].id in recorded], recorded, limits)
    return set(recorded)


async def note_health(
    connection: Connection | asyncpg.Pool, ended: Sequence[Ended], failing: Mapping[int, bool], limits: Limits
) -> None:
    """Writes down which webhooks fail, and which do no more; nothing for those that go on being well."""
    results: dict[str, list[Result]] = defaultdict(list)
    troubled = set()
    for claim, result in ended:
        if result.state != "withdrawn":
            results[claim.webhook_id].append(result)
            if failing[claim.id] or result.state != "delivered":
                troubled.add(claim.webhook_id)
    for webhook_id in sorted(troubled):
        each = results[webhook_id]
        fine = any(result.state == "delivered" for result in each)
        gone = any(result.status == 410 for result in each)
        reason = next((result.reason for result in each if result.reason), None)
        reached = any(result.reached for result in each)
        lost = sum(result.reached is False for result in each)
        await connection.execute(
            HEALTH, webhook_id, fine, gone, reason, reached, lost, limits.failures, limits.longest_rest
        )
