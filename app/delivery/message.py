"""The signed message of one delivery (delivery.md, On the wire and The compact webhook; Standard Webhooks 1.0)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from standardwebhooks import Webhook

from app.delivery.claim import Claim
from app.fhir.moments import write_instant

FHIR_JSON = "application/fhir+json"
COMPACT = "application/json"
AGENT = "Warm-Handoff"
LINKED = ("task", "serviceRequest", "carePlan")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def build_body(claim: Claim, base_url: str) -> str:
    """The JSON: the facts of the event, its numbers and time, and links below ``base_url``."""
    facts: dict[str, Any] = orjson.loads(claim.facts)
    links = {
        name: reference if "://" in reference else f"{base_url}/{reference}"
        for name in LINKED
        if isinstance(reference := facts.get(name), str)
    }
    body = {
        "type": claim.topic,
        "id": message_id(claim),
        "sequence": claim.sequence,
        "eventNumber": claim.number,
        "time": write_instant(claim.created_at),
        **facts,
        "links": links,
    }
    return orjson.dumps(body).decode()


def build_greeting(webhook_id: str, token: str) -> str:
    """What a compact webhook is asked with whether it is there."""
    body = {"type": "webhook-handshake", "id": handshake_id(token), "subscription": f"Subscription/{webhook_id}"}
    return orjson.dumps(body).decode()


def handshake_id(token: str) -> str:
    """As ``message_id``, of a handshake."""
    return f"handshake_{token}"


def message_id(claim: Claim) -> str:
    """The same at every attempt, so that a receiver knows what it has had already.

    It holds the microsecond of its event: after a restore from a backup the database gives the numbers of what was lost
    to other deliveries, and a receiver would take those for what it has had.
    """
    return f"evt_{claim.id}_{(claim.created_at - EPOCH) // MICROSECOND:x}"


def subscriber_headers(lines: Sequence[str], content: str | None) -> dict[str, str]:
    """What goes with every message: its media type, and the subscriber's own headers (Subscription.channel.header)."""
    own = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {"user-agent": AGENT, **own, "content-type": COMPACT if content is None else FHIR_JSON}


def sign(secrets: Sequence[str], claim: Claim, body: str, now: datetime | None = None) -> dict[str, str]:
    """The headers that identify one attempt, with a signature by each of the secrets, the first one first."""
    return sign_message(secrets, message_id(claim), body, now)


def sign_message(secrets: Sequence[str], key: str, body: str, now: datetime | None = None) -> dict[str, str]:
    """The headers of the message ``key``; without a secret it goes unsigned, as FHIR's own notifications do."""
    if not secrets:
        return {"webhook-id": key}
    moment = now or datetime.now(UTC)
    return {
        "webhook-id": key,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(each).sign(key, moment, body) for each in secrets),
    }
