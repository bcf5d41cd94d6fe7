"""Asks the endpoint of a requested Subscription whether it is there: then it is active, else in error."""

import asyncio
import logging
import secrets

from app.core.errors import HandoffError
from app.delivery.channel import Requested
from app.delivery.send import Sender

logger = logging.getLogger("handoff.delivery")

AT_ONCE = 8

CLAIM = """
UPDATE webhook SET handshake = $1, handshake_until = clock_timestamp() + make_interval(secs => $2)
WHERE id = ANY(ARRAY(
    SELECT id FROM webhook WHERE status = 'requested' AND (content IS NOT NULL OR secret IS NOT NULL)
      AND (handshake_until IS NULL OR handshake_until < clock_timestamp())
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED))
RETURNING id, url, topics[1], headers, last_number, secret,
    CASE WHEN previous_until > clock_timestamp() THEN previous_secret END, content
"""
"""A compact webhook's waits for its first secret: whoever verifies signatures could not accept it before."""

FINISH = """
UPDATE webhook SET status = CASE WHEN $3::text IS NULL THEN 'active' ELSE 'error' END, error = $3,
    failing_since = NULL, handshake = NULL, handshake_until = NULL
WHERE id = $1 AND handshake = $2 AND status = 'requested'
"""
"""A Subscription that was changed meanwhile has another handshake to come."""


async def greet_requested(sender: Sender) -> int:
    """Carries out the handshakes that are due, several at a time; how many."""
    token = secrets.token_hex(16)
    rows = await sender.pool.fetch(CLAIM, token, sender.lease, AT_ONCE)
    await asyncio.gather(*(greet(sender, Requested(*row), token) for row in rows))
    return len(rows)


async def greet(sender: Sender, requested: Requested, token: str) -> None:
    """One handshake and its record: whatever is no success is an error (Backport, Channels)."""
    error = await ask(sender, requested, token)
    if error:
        logger.warning("The handshake of Subscription %s failed: %s", requested.id, error)
    await sender.pool.execute(FINISH, requested.id, token, error)


async def ask(sender: Sender, requested: Requested, token: str) -> str | None:
    """What went wrong; None where the endpoint accepted."""
    try:
        await sender.channel_to(requested.url).greet(requested, token)
    except HandoffError as error:
        return f"handshake: {error.diagnostics}"
    return None
