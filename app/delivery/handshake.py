"""Asks the endpoint of a requested Subscription whether it is there: then it is active, else in error."""

import asyncio
import logging
import secrets

from app.core.errors import HandoffError
from app.core.outbound import OutboundFailure
from app.core.smtp import SmtpFailure
from app.delivery.channel import COLUMNS, NotAccepted, Subscriber
from app.delivery.outcome import PATIENT_CLIENT_ERRORS
from app.delivery.send import Sender

logger = logging.getLogger("handoff.delivery")

AT_ONCE = 8
PAUSES = (1.0, 5.0, 15.0, 30.0)
"""Seconds before each further try, where the endpoint may yet come: a minute or so, then it is an error."""

CLAIM = f"""
UPDATE webhook SET handshake = $1, handshake_until = clock_timestamp() + make_interval(secs => $2)
WHERE id = ANY(ARRAY(
    SELECT id FROM webhook WHERE status = 'requested' AND (content IS NOT NULL OR secret IS NOT NULL)
      AND (handshake_until IS NULL OR handshake_until < clock_timestamp())
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED))
RETURNING handshakes, {COLUMNS}
"""  # noqa: S608 -- nothing of a caller's is in it
"""A compact webhook's waits for its first secret: whoever verifies signatures could not accept it before."""

FINISH = """
UPDATE webhook SET status = CASE WHEN $3::text IS NULL THEN 'active' ELSE 'error' END, error = $3,
    failing_since = NULL, failures = 0, resting_until = NULL, handshake = NULL, handshake_until = NULL, handshakes = 0,
    heartbeat_due = clock_timestamp() + make_interval(secs => heartbeat_period)
WHERE id = $1 AND handshake = $2 AND status = 'requested'
"""
"""A Subscription that was changed meanwhile has another handshake to come."""

TRY_AGAIN = """
UPDATE webhook SET handshake = NULL, handshakes = handshakes + 1,
    handshake_until = clock_timestamp() + make_interval(secs => $3)
WHERE id = $1 AND handshake = $2 AND status = 'requested'
"""


async def greet_requested(sender: Sender) -> int:
    """Carries out the handshakes that are due, several at a time; how many."""
    token = secrets.token_hex(16)
    rows = await sender.pool.fetch(CLAIM, token, sender.lease, AT_ONCE)
    await asyncio.gather(*(greet(sender, Subscriber(*row[1:]), token, row[0]) for row in rows))
    return len(rows)


async def greet(sender: Sender, subscriber: Subscriber, token: str, tried: int) -> None:
    """One handshake and its record, after ``tried`` that failed: whatever is no success is an error (Backport)."""
    error = None
    try:
        await sender.channel_to(subscriber.url).greet(subscriber, token)
    except HandoffError as failure:
        error = f"handshake: {failure.diagnostics}"
        if may_pass(failure) and tried < len(PAUSES):
            await sender.pool.execute(TRY_AGAIN, subscriber.id, token, PAUSES[tried])
            return
        logger.warning("The handshake of Subscription %s failed: %s", subscriber.id, error)
    await sender.pool.execute(FINISH, subscriber.id, token, error)


def may_pass(failure: HandoffError) -> bool:
    """Whether another try may help."""
    match failure:
        case NotAccepted():
            return failure.answered >= 500 or failure.answered in PATIENT_CLIENT_ERRORS
        case SmtpFailure():
            return failure.reply is None or failure.reply < 500
    return isinstance(failure, OutboundFailure)
