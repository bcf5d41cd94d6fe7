"""Registered webhooks: endpoint, topics, secret."""

import base64
import secrets
from collections.abc import Sequence

import asyncpg

from app.core.database import Connection
from app.core.errors import BusinessRule, HandoffError, NotFound, Unprocessable
from app.core.outbound_url import find_fault
from app.core.secrets import decrypt_secret, encrypt_secret
from app.core.settings import Settings
from app.delivery.terms import Terms

CRITERIA = "urn:warm-handoff:webhook"
"""What the Subscription of a compact webhook has for its criteria."""
REASON_TEXT = "&reasonText=true"
"""And at their end, where it asks for the words of a statusReason too."""
PURPOSE = "webhook secret"
PREFIX = "whsec_"
SECRET_BYTES = 32
WHERE = "Subscription.channel.endpoint"

PUT_SUBSCRIPTION = """
INSERT INTO webhook (id, organization, url, topics, content, filters, headers, status, shown_status, payload,
    client_id, heartbeat_period, timeout, ends_at, reason_text, network)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $14, $9, $10, $11, $12, $13, $15, $16)
ON CONFLICT (id) DO UPDATE SET url = excluded.url, topics = excluded.topics, content = excluded.content,
    filters = excluded.filters, headers = excluded.headers, status = excluded.status,
    shown_status = excluded.shown_status, payload = excluded.payload, error = NULL, failing_since = NULL,
    failures = 0, resting_until = NULL,
    client_id = excluded.client_id, handshake = NULL, handshake_until = NULL, handshakes = 0,
    heartbeat_period = excluded.heartbeat_period, heartbeat_due = NULL, timeout = excluded.timeout,
    ends_at = excluded.ends_at, reason_text = excluded.reason_text,
    network = excluded.network
"""

TAKE_BACK = """
UPDATE delivery d SET lease = NULL, leased_until = NULL FROM webhook w
WHERE w.id = $1 AND w.url <> $2 AND d.webhook_id = w.id AND d.state = 'queued' AND d.lease IS NOT NULL
"""


def write_criteria(topics: Sequence[str], *, reason_text: bool) -> str:
    """The criteria of a compact webhook's Subscription: ``urn:warm-handoff:webhook?events=a,b[&reasonText=true]``."""
    return f"{CRITERIA}?events={','.join(topics)}{REASON_TEXT if reason_text else ''}"


def check_endpoint(url: str, settings: Settings, where: str = WHERE) -> None:
    """Raises Unprocessable, with the FHIRPath ``where``, where webhooks may not go to this address."""
    if fault := find_fault(url, settings, "The endpoint"):
        raise Unprocessable(fault, (where,))


async def add_webhook(
    connection: Connection,
    *,
    webhook_id: str,
    organization: str,
    url: str,
    topics: Sequence[str],
    client_id: str,
    secret_key: bytes,
    reason_text: bool = False,
    network: bool = False,
) -> str:
    """Stores an active webhook and gives its secret (``whsec_``), which is kept sealed. It hears of later events."""
    secret = secrets.token_bytes(SECRET_BYTES)
    await connection.execute(
        "INSERT INTO webhook (id, organization, url, topics, client_id, secret, reason_text, network) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        webhook_id,
        organization,
        url,
        list(topics),
        client_id,
        encrypt_secret(secret_key, secret, PURPOSE),
        reason_text,
        network,
    )
    return show_secret(secret)


async def put_subscription(
    connection: Connection,
    webhook_id: str,
    *,
    organization: str,
    url: str,
    topics: Sequence[str],
    content: str | None,
    filters: str,
    headers: bytes | None,
    status: str,
    shown: str,
    payload: str,
    client_id: str,
    terms: Terms,
    reason_text: bool,
    network: bool,
) -> None:
    """Stores the endpoint of a Subscription, or what has become of it; secret and count of events stay.

    ``shown`` is the status that the Subscription tells, ``filters`` are JSON, ``headers`` are sealed. A handshake under
    way is void: it asked for what was wanted before. So are attempts under way to another endpoint: what that one
    answers counts no more.
    """
    values = (webhook_id, organization, url, list(topics), content, filters, headers, status, payload, client_id)
    await connection.execute(TAKE_BACK, webhook_id, url)
    await connection.execute(
        PUT_SUBSCRIPTION, *values, terms.heartbeat, terms.timeout, terms.end, shown, reason_text, network
    )


async def check_room(connection: Connection, organization: str, most: int) -> None:
    """Raises BusinessRule where an organisation has ``most`` Subscriptions already; one creates at a time."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('webhooks of ' || $1, 0))", organization)
    if await connection.fetchval("SELECT count(*) FROM webhook WHERE organization = $1", organization) >= most:
        raise BusinessRule(
            f"The organization has {most} Subscriptions, the most there may be (HANDOFF_MAX_SUBSCRIPTIONS): delete one"
        )


async def end_due(pool: asyncpg.Pool) -> None:
    """Turns off what was to end by now (Subscription.end)."""
    await pool.execute("UPDATE webhook SET status = 'off' WHERE ends_at <= clock_timestamp() AND status <> 'off'")


async def set_rate(connection: Connection, webhook_id: str, rate: float | None) -> None:
    """The most deliveries a second, of all workers together; None for that of the settings."""
    await connection.execute("UPDATE webhook SET rate = $2, paced_until = NULL WHERE id = $1", webhook_id, rate)


async def find_kept(connection: Connection, webhook_id: str) -> tuple[bytes | None, str | None]:
    """(sealed headers, status) of a Subscription, as far as there is one."""
    row = await connection.fetchrow("SELECT headers, status FROM webhook WHERE id = $1", webhook_id)
    return (row[0], row[1]) if row else (None, None)


async def rotate_secret(connection: Connection, webhook_id: str, grace: float, secret_key: bytes) -> str:
    """A new secret; for ``grace`` seconds messages are signed with the one before it too. Raises NotFound.

    The first secret of a Subscription is made this way. An old one that cannot be opened any more, since the server's
    key is another, signs nothing.
    """
    row = await connection.fetchrow("SELECT secret FROM webhook WHERE id = $1 FOR UPDATE", webhook_id)
    if row is None:
        raise NotFound(f"There is no webhook {webhook_id}")
    old = row[0]
    try:
        if old is not None:
            open_secret(secret_key, old)
    except HandoffError:
        old = None
    secret = secrets.token_bytes(SECRET_BYTES)
    await connection.execute(
        "UPDATE webhook SET secret = $2, previous_secret = $3, "
        "previous_until = clock_timestamp() + make_interval(secs => $4) WHERE id = $1",
        webhook_id,
        encrypt_secret(secret_key, secret, PURPOSE),
        old if grace > 0 else None,
        float(grace),
    )
    return show_secret(secret)


async def delete_webhook(connection: Connection, webhook_id: str) -> int:
    """Deletes it with its deliveries and their attempts; how many deliveries were queued."""
    await connection.execute("SELECT 1 FROM webhook WHERE id = $1 FOR UPDATE", webhook_id)
    queued: int = await connection.fetchval(
        "SELECT count(*) FROM delivery WHERE webhook_id = $1 AND state = 'queued'", webhook_id
    )
    await connection.execute("DELETE FROM webhook WHERE id = $1", webhook_id)
    return queued


def show_secret(secret: bytes) -> str:
    """As Standard Webhooks writes it."""
    return PREFIX + base64.b64encode(secret).decode()


def open_secret(secret_key: bytes, sealed: bytes) -> str:
    """The secret of a stored webhook. Raises HandoffError where the key is another."""
    return show_secret(decrypt_secret(secret_key, sealed, PURPOSE))
