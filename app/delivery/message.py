"""The signed message of one delivery (delivery.md, On the wire and The compact webhook; Standard Webhooks 1.0)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from standardwebhooks import Webhook

from app.delivery.claim import Claim

LINKED = ("task", "serviceRequest", "carePlan")


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
        "time": claim.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        **facts,
        "links": links,
    }
    return orjson.dumps(body).decode()


def message_id(claim: Claim) -> str:
    """The same at every attempt, so that a receiver knows what it has had already."""
    return f"evt_{claim.id}"


def sign(secrets: Sequence[str], claim: Claim, body: str, now: datetime | None = None) -> dict[str, str]:
    """The headers of one attempt, with a signature by each of the secrets, the first one first."""
    moment = now or datetime.now(UTC)
    return {
        "content-type": "application/json",
        "user-agent": "Warm-Handoff",
        "webhook-id": message_id(claim),
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(each).sign(message_id(claim), moment, body) for each in secrets),
    }
