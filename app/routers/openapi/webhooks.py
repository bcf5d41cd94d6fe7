"""The compact webhooks in the OpenAPI document (delivery.md, The compact webhook; Standard Webhooks 1.0)."""

from typing import Any

from app.fhir.openapi_schemas import refer
from app.referral.events import CARE_PLAN_CHANGED, OVERDUE, STATUS_CHANGED, TASK_ASSIGNED, TOPICS

Json = dict[str, Any]

MEANINGS = {
    STATUS_CHANGED: "A referral's Task has another status, or is new, or is gone (entered-in-error).",
    TASK_ASSIGNED: "A Task has its owner.",
    CARE_PLAN_CHANGED: "A CarePlan says something else than before.",
    OVERDUE: "A referral's Task has passed its deadline; told once for each deadline.",
}
_TEXT: Json = {"type": "string"}
_STATUS: Json = {"type": "string", "description": "The Task's or CarePlan's status"}
_OLD: Json = {"type": ["string", "null"], "description": "The status before; null for what was never heard of"}
_BY: Json = {"type": "string", "description": "Whose client changed it: Organization/id"}
_TASK = {
    "task": {"type": "string", "description": "Task/id"},
    "serviceRequest": {"type": ["string", "null"], "description": "ServiceRequest/id, or an address elsewhere"},
    "contactProhibited": {"const": True, "description": "There where the patient must not be contacted"},
}
_FACTS: dict[str, Json] = {
    STATUS_CHANGED: {
        **_TASK,
        "identifier": {"type": "array", "items": refer("webhook.identifier")},
        "oldStatus": _OLD,
        "status": _STATUS,
        "businessStatus": {"type": "string", "description": "The first code of Task.businessStatus"},
        "statusReason": {
            "type": "object",
            "minProperties": 1,
            "properties": {
                "code": {"type": "string", "description": "The first code of Task.statusReason"},
                "text": {
                    "type": "string",
                    "description": "Its words: only where they were asked for (reasonText), and no label forbids them",
                },
            },
            "additionalProperties": False,
        },
        "by": _BY,
    },
    TASK_ASSIGNED: {**_TASK, "owner": {"type": ["string", "null"]}, "status": _STATUS, "by": _BY},
    CARE_PLAN_CHANGED: {
        "carePlan": {"type": "string", "description": "CarePlan/id"},
        "oldStatus": _OLD,
        "status": _STATUS,
        "by": _BY,
    },
    OVERDUE: {
        **_TASK,
        "identifier": {"type": "array", "items": refer("webhook.identifier")},
        "status": _STATUS,
        "priority": {"type": "string", "description": "Task.priority; routine where it has none"},
        "owner": {"type": "string", "description": "The reference in Task.owner"},
        "deadline": {"type": "string", "format": "date-time"},
    },
}
_NAMED = ("task", "serviceRequest", "carePlan")
_EXAMPLE_FACTS: dict[str, Json] = {
    STATUS_CHANGED: {
        "identifier": [{"system": "urn:example:warm-handoff", "value": "REF-1"}],
        "oldStatus": "requested",
        "status": "accepted",
        "by": "Organization/example-partner",
    },
    TASK_ASSIGNED: {"owner": "Organization/example-partner", "status": "requested", "by": "Organization/example"},
    CARE_PLAN_CHANGED: {"oldStatus": "active", "status": "completed", "by": "Organization/example"},
    OVERDUE: {
        "identifier": [{"system": "urn:example:warm-handoff", "value": "REF-1"}],
        "status": "requested",
        "priority": "urgent",
        "owner": "Organization/example-partner",
        "deadline": "2026-01-05T02:00:00.000Z",
    },
}


def build_webhooks(base: str) -> Json:
    """An operation for each topic, as the receiver has to offer it."""
    return {topic: {"post": _build_operation(topic, base)} for topic in TOPICS}


def _build_operation(topic: str, base: str) -> Json:
    example = build_example(topic, base)
    return {
        "tags": ["Webhooks"],
        "operationId": "receive" + "".join(part.capitalize() for part in topic.split("-")),
        "summary": MEANINGS[topic],
        "description": (
            "Sent in order within a referral, at least once, always under the same id. For a labelled resource it "
            "holds ids only."
        ),
        "parameters": _build_headers(),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": refer(f"webhook.{topic}"), "example": example}},
        },
        "responses": {
            "2XX": {"description": "It was received; anything else is tried again, for days"},
            "410": {"description": "The webhook is not wanted any more: it is turned off"},
        },
    }


def _build_headers() -> list[Json]:
    told = {
        "webhook-id": ("The event's id, the same at every attempt.", "evt_42_64464a8e9d2c0"),
        "webhook-timestamp": ("When it was sent, in seconds since 1970; refuse what is old.", "1767578400"),
        "webhook-signature": (
            "v1, and the base64 of HMAC-SHA256 over `id.timestamp.body` by the bytes of the secret behind whsec_; "
            "several, with spaces between, while the secret is being changed: one that fits is enough.",
            "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        ),
    }
    return [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": meaning,
            "schema": {"type": "string"},
            "example": example,
        }
        for name, (meaning, example) in told.items()
    ]


def build_example(topic: str, base: str) -> Json:
    """A message of a topic, as ``app.delivery.message`` writes it."""
    names = ("carePlan",) if topic == CARE_PLAN_CHANGED else ("task", "serviceRequest")
    named = {name: f"{name[0].upper()}{name[1:]}/example" for name in names}
    return {
        "type": topic,
        "id": "evt_42_64464a8e9d2c0",
        "sequence": 3,
        "eventNumber": 3,
        "time": "2026-01-05T02:00:00.000Z",
        **named,
        "version": "2",
        **_EXAMPLE_FACTS[topic],
        "links": {name: f"{base}/{reference}" for name, reference in named.items()},
    }


def build_webhook_schemas() -> dict[str, Json]:
    """The schema of each topic's message."""
    built: dict[str, Json] = {
        "webhook.identifier": {
            "type": "object",
            "properties": {"system": _TEXT, "value": _TEXT},
            "additionalProperties": False,
        }
    }
    for topic in TOPICS:
        facts = _FACTS[topic]
        properties: Json = {
            "type": {"const": topic},
            "id": {"type": "string", "description": "The same at every attempt"},
            "sequence": {"type": "integer", "description": "Counts the events of the referral"},
            "eventNumber": {"type": "integer", "description": "Counts what this webhook was sent"},
            "time": {"type": "string", "format": "date-time"},
            **facts,
            "version": {"type": "string", "description": "The version that this event tells of"},
            "links": {
                "type": "object",
                "properties": {name: {"type": "string", "format": "uri"} for name in _NAMED if name in facts},
                "additionalProperties": False,
            },
        }
        always = ["type", "id", "sequence", "eventNumber", "time", "version", "links"]
        built[f"webhook.{topic}"] = {
            "type": "object",
            "required": [*always, next(name for name in _NAMED if name in facts)],
            "properties": properties,
            "additionalProperties": False,
        }
    return built
