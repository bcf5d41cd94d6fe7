"""The notification Bundle of a Subscription (Subscriptions R5 Backport 1.2, R4 topic-based notifications)."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from app.delivery.claim import Claim
from app.delivery.message import message_id
from app.delivery.standing import Standing
from app.delivery.telling import ToldEvent
from app.delivery.topics import BY_NAME
from app.fhir.moments import write_instant

Json = dict[str, Any]

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
NAMESPACE = uuid.UUID("6f0c1d0e-3c0b-5c6e-9d3f-2b8f5d5f7a11")
METHODS = {"POST": "201", "PUT": "200", "DELETE": "204", "GET": "200"}
"""What was done to the focus, and the status that it was answered with (bdl-4 wants one)."""


def build_notification(claim: Claim, event: ToldEvent, base_url: str) -> str:
    """The event as the Subscription asks for it: the same at every attempt, down to the Bundle's timestamp."""
    key = message_id(claim)
    parameters = build_parameters(
        claim.webhook_id,
        base_url,
        key=key,
        # The topic should not be there with an empty payload (backport-subscription-status-r4).
        topic=None if claim.content == "empty" else claim.topic,
        status="active",
        kind="event-notification",
        count=claim.number,
        more=[build_event(event, base_url)],
    )
    entries = [status_entry(claim.webhook_id, parameters, base_url), *build_foci([event], base_url)]
    return build_bundle(key, entries, moment=claim.created_at)


def build_handshake(webhook_id: str, topic: str, count: int, base_url: str, key: str) -> str:
    """The notification that asks an endpoint whether it is there; it counts for nothing."""
    parameters = build_parameters(
        webhook_id, base_url, key=key, topic=topic, status="requested", kind="handshake", count=count
    )
    return build_bundle(key, [status_entry(webhook_id, parameters, base_url)])


def build_heartbeat(webhook_id: str, topic: str | None, count: int, base_url: str, key: str) -> str:
    """The notification that nothing has happened; it counts for nothing."""
    parameters = build_parameters(
        webhook_id, base_url, key=key, topic=topic, status="active", kind="heartbeat", count=count
    )
    return build_bundle(key, [status_entry(webhook_id, parameters, base_url)])


def build_query_events(
    standing: Standing, events: Sequence[ToldEvent], links: Iterable[tuple[str, str]], base_url: str
) -> str:
    """The answer of ``$events``; ``links`` are (relation, address)."""
    key = uuid.uuid4().hex
    more = [build_event(each, base_url) for each in events]
    parameters = build_standing(standing, base_url, key=key, kind="query-event", more=more)
    entries = [status_entry(standing.id, parameters, base_url), *build_foci(events, base_url)]
    return build_bundle(key, entries, links)


def build_standing(standing: Standing, base_url: str, *, key: str, kind: str, more: Sequence[Json] = ()) -> Json:
    """How a Subscription stands, as it is asked for; the topic of one that has several is left out."""
    errors = [{"name": "error", "valueCodeableConcept": {"text": standing.error}}] if standing.error else []
    return build_parameters(
        standing.id,
        base_url,
        key=key,
        topic=standing.topics[0] if len(standing.topics) == 1 else None,
        status=standing.status,
        kind=kind,
        count=standing.count,
        more=[*more, *errors],
    )


def build_parameters(
    webhook_id: str,
    base_url: str,
    *,
    key: str,
    topic: str | None,
    status: str,
    kind: str,
    count: int,
    more: Sequence[Json] = (),
) -> Json:
    """The status, as Parameters by the profile backport-subscription-status-r4; ``more`` are events and errors."""
    parameter: list[Json] = [
        {"name": "subscription", "valueReference": {"reference": f"{base_url}/Subscription/{webhook_id}"}},
        {"name": "status", "valueCode": status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(count)},
        *more,
    ]
    if topic in BY_NAME:
        parameter.insert(1, {"name": "topic", "valueCanonical": BY_NAME[topic].canonical})
    return {
        "resourceType": "Parameters",
        "id": str(uuid.uuid5(NAMESPACE, f"{webhook_id} {key} status")),
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-status-r4"]},
        "parameter": parameter,
    }


def status_entry(webhook_id: str, parameters: Json, base_url: str) -> Json:
    """The first entry of a notification: as if ``$status`` had been asked for."""
    return {
        "fullUrl": f"urn:uuid:{parameters['id']}",
        "resource": parameters,
        "request": {"method": "GET", "url": f"{base_url}/Subscription/{webhook_id}/$status"},
        "response": {"status": "200"},
    }


def build_event(event: ToldEvent, base_url: str) -> Json:
    """One event within the status."""
    part: list[Json] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": show_instant(event.created_at)},
    ]
    if event.focus:
        part.append({"name": "focus", "valueReference": {"reference": f"{base_url}/{'/'.join(event.focus)}"}})
    return {"name": "notification-event", "part": part}


def build_foci(events: Iterable[ToldEvent], base_url: str) -> list[Json]:
    """The entries of what events are about, as in a history."""
    return [build_focus(each, "/".join(each.focus), base_url) for each in events if each.focus]


def build_focus(event: ToldEvent, focus: str, base_url: str) -> Json:
    """One of them, with its content where that is told."""
    method = "DELETE" if event.deleted else "POST" if event.version == 1 else "PUT"
    if event.topic in BY_NAME and not BY_NAME[event.topic].written:
        method = "GET"  # nobody wrote it: it only grew late
    entry: Json = {"fullUrl": f"{base_url}/{focus}"}
    if event.text is not None:
        entry["resource"] = orjson.Fragment(event.text)
    response = {"status": METHODS[method], "etag": f'W/"{event.version}"'}
    if event.last_updated:
        response["lastModified"] = show_instant(event.last_updated)
    url = focus.partition("/")[0] if method == "POST" else focus
    return {**entry, "request": {"method": method, "url": url}, "response": response}


def build_bundle(
    key: str, entries: list[Json], links: Iterable[tuple[str, str]] = (), *, moment: datetime | None = None
) -> str:
    """The whole; ``moment`` is now where none is given."""
    bundle: Json = {
        "resourceType": "Bundle",
        "id": str(uuid.uuid5(NAMESPACE, f"{entries[0]['fullUrl']} {key}")),
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": show_instant(moment or datetime.now(UTC)),
        "entry": entries,
    }
    shown = [{"relation": relation, "url": url} for relation, url in links]
    if shown:
        bundle["link"] = shown
    return orjson.dumps(bundle).decode()


def show_instant(moment: datetime) -> str:
    return write_instant(moment.astimezone(UTC))
