"""The notification Bundle of a Subscription (Subscriptions R5 Backport 1.1, R4 topic-based notifications)."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from app.delivery.claim import Claim
from app.delivery.message import message_id
from app.delivery.topics import BY_NAME
from app.store.rows import Stored

Json = dict[str, Any]

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
NAMESPACE = uuid.UUID("6f0c1d0e-3c0b-5c6e-9d3f-2b8f5d5f7a11")
METHODS = {"POST": "201", "PUT": "200", "DELETE": "204"}
"""What was done to the focus, and the status that it was answered with (bdl-4 wants one)."""


def build_notification(claim: Claim, version: Stored | None, base_url: str, *, withheld: bool) -> str:
    """The event as the Subscription asks for it; the resource is the version that the event speaks of.

    ``withheld`` leaves the resource out, as for what is labelled. The ids are the same at every attempt.
    """
    focus = f"{base_url}/{claim.focus_type}/{claim.focus_id}"
    event: list[Json] = [
        {"name": "event-number", "valueString": str(claim.number)},
        {"name": "timestamp", "valueInstant": show_instant(claim.created_at)},
    ]
    entries: list[Json] = []
    if claim.content != "empty":
        event.append({"name": "focus", "valueReference": {"reference": focus}})
        whole = claim.content == "full-resource" and not withheld
        entries.append(build_focus(claim, version, focus, whole=whole))
    status = build_status(
        claim.webhook_id,
        base_url,
        key=message_id(claim),
        topic=claim.topic,
        status="active",
        kind="event-notification",
        count=claim.number,
        events=[{"name": "notification-event", "part": event}],
    )
    return build_bundle(message_id(claim), [status, *entries])


def build_handshake(webhook_id: str, topic: str, count: int, base_url: str, key: str) -> str:
    """The notification that asks an endpoint whether it is there; it counts for nothing."""
    status = build_status(
        webhook_id, base_url, key=key, topic=topic, status="requested", kind="handshake", count=count, events=()
    )
    return build_bundle(key, [status])


def build_status(
    webhook_id: str,
    base_url: str,
    *,
    key: str,
    topic: str,
    status: str,
    kind: str,
    count: int,
    events: Sequence[Json],
) -> Json:
    """The first entry: Parameters by the profile backport-subscription-status-r4."""
    subscription = f"{base_url}/Subscription/{webhook_id}"
    own = str(uuid.uuid5(NAMESPACE, f"{webhook_id} {key} status"))
    return {
        "fullUrl": f"urn:uuid:{own}",
        "resource": {
            "resourceType": "Parameters",
            "id": own,
            "meta": {"profile": [f"{BACKPORT}/backport-subscription-status-r4"]},
            "parameter": [
                {"name": "subscription", "valueReference": {"reference": subscription}},
                {"name": "topic", "valueCanonical": BY_NAME[topic].canonical},
                {"name": "status", "valueCode": status},
                {"name": "type", "valueCode": kind},
                {"name": "events-since-subscription-start", "valueString": str(count)},
                *events,
            ],
        },
        "request": {"method": "GET", "url": f"{subscription}/$status"},
        "response": {"status": "200"},
    }


def build_focus(claim: Claim, version: Stored | None, focus: str, *, whole: bool) -> Json:
    """The entry of what the event is about, with its content where ``whole``."""
    deleted = version is not None and version.deleted
    method = "DELETE" if deleted else "POST" if claim.focus_version == 1 else "PUT"
    url = claim.focus_type if method == "POST" else f"{claim.focus_type}/{claim.focus_id}"
    entry: Json = {"fullUrl": focus}
    if whole and version is not None and not deleted:
        entry["resource"] = orjson.Fragment(version.content)
    response = {"status": METHODS[method], "etag": f'W/"{claim.focus_version}"'}
    if version is not None:
        response["lastModified"] = show_instant(version.last_updated)
    return {**entry, "request": {"method": method, "url": url}, "response": response}


def build_bundle(key: str, entries: list[Json]) -> str:
    bundle = {
        "resourceType": "Bundle",
        "id": str(uuid.uuid5(NAMESPACE, f"{entries[0]['fullUrl']} {key}")),
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": show_instant(datetime.now(UTC)),
        "entry": entries,
    }
    return orjson.dumps(bundle).decode()


def show_instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
