"""Operators' REST in the OpenAPI document: webhooks and their deliveries."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic.json_schema import models_json_schema

from app.fhir.openapi_schemas import refer
from app.routers import admin_bodies as bodies
from app.routers.openapi.parts import fail, secure, take

Json = dict[str, Any]

JSON = "application/json"
AT = "2026-01-05T02:00:00Z"
WEBHOOK: Json = {
    "id": "example",
    "organization": "Organization/example",
    "url": "https://ehr.example.org/hook",
    "events": ["referral-status-changed"],
    "reasonText": False,
    "status": "active",
    "error": None,
    "failingSince": None,
    "createdAt": AT,
    "previousSecretUntil": None,
    "restingUntil": None,
    "ratePerSecond": None,
    "queued": 0,
    "oldestSeconds": None,
    "blocked": 0,
    "dead": 1,
    "delivered": 41,
    "failedAttempts": 10,
}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="  # noqa: S105 -- Standard Webhooks' own example
UNDELIVERED: Json = {
    "id": "42",
    "webhookId": "example",
    "eventNumber": 42,
    "event": "referral-status-changed",
    "referral": "ServiceRequest/example",
    "createdAt": AT,
    "dueAt": None,
    "endedAt": "2026-01-08T02:00:00Z",
    "attemptsSinceReplay": 1,
    "attempts": [
        {"number": 1, "at": AT, "milliseconds": 12, "status": 500, "reason": "answered 500", "answer": "Out of order"}
    ],
}
PAGE: Json = {"deliveries": [UNDELIVERED], "next": None}


@dataclass(frozen=True)
class Operation:
    """One operation: what it does, what it takes and answers with which example.

    ``letter`` is the right on Subscription that it takes; without one it takes the role admin. An ``answer`` of nothing
    has no body.
    """

    method: str
    path: str
    name: str
    summary: str
    letter: str
    answer: str
    example: Json
    body: str | None = None
    sent: Json | None = None
    parameters: tuple[str, ...] = ()
    status: str = "200"
    errors: tuple[int, ...] = ()
    tag: str = "Delivery"

    def build(self) -> Json:
        """The operation as the document has it."""
        told: Json = {"description": self.summary}
        if self.answer:
            told["content"] = {JSON: {"schema": refer(self.answer), "example": self.example}}
        built: Json = {
            "tags": [self.tag],
            "operationId": self.name,
            "summary": self.summary,
            "security": secure(f"system/Subscription.{self.letter}")
            if self.letter
            else [{"oauth2": []}, {"bearer": []}],
            "responses": {self.status: told, **fail((400, 401, 403, 503, *self.errors))},
        }
        if self.body:
            content = {JSON: {"schema": refer(self.body), "example": self.sent}}
            built["requestBody"] = {"required": self.body != "NewSecret", "content": content}
        names = [*(["id"] if "{id}" in self.path else ()), *self.parameters]
        return {**built, "parameters": take(*names)} if names else built


LISTING = ("webhook", "limit", "before")
OPERATIONS = (
    Operation(
        "get",
        "/admin/webhooks",
        "listWebhooks",
        "The webhooks, each with what is queued, delivered, failed and dead: for the operator all, else one's own",
        "s",
        "Webhooks",
        {"webhooks": [WEBHOOK], "eventsWaiting": 0},
    ),
    Operation(
        "post",
        "/admin/webhooks",
        "addWebhook",
        "Registers an endpoint for an organisation's events; its secret is in this answer alone",
        "c",
        "SecretWebhook",
        {**WEBHOOK, "dead": 0, "delivered": 0, "failedAttempts": 0, "secret": SECRET},
        body="NewWebhook",
        sent={name: WEBHOOK[name] for name in ("url", "organization", "events", "reasonText")},
        status="201",
        errors=(404, 413, 415, 422),
    ),
    Operation("get", "/admin/webhooks/{id}", "readWebhook", "One webhook", "r", "Webhook", WEBHOOK, errors=(404,)),
    Operation(
        "delete",
        "/admin/webhooks/{id}",
        "removeWebhook",
        "Takes an endpoint away, with the record of its deliveries",
        "d",
        "Removed",
        {"dropped": 0},
        parameters=("drop",),
        errors=(404, 409),
    ),
    Operation(
        "post",
        "/admin/webhooks/{id}/secret",
        "rotateSecret",
        "Gives a webhook a new secret, told in this answer alone; the old one is good for a while more",
        "u",
        "Secret",
        {"secret": SECRET},
        body="NewSecret",
        sent={"graceSeconds": 86_400},
        errors=(404, 413, 415),
    ),
    Operation(
        "put",
        "/admin/webhooks/{id}/rate",
        "limitRate",
        "Sends a webhook no more than so many deliveries a second, all workers together",
        "u",
        "Webhook",
        {**WEBHOOK, "ratePerSecond": 5.0},
        body="NewRate",
        sent={"perSecond": 5},
        errors=(404, 413, 415),
    ),
    Operation(
        "post",
        "/admin/webhooks/{id}/pause",
        "pauseWebhook",
        "Sends a webhook nothing for a while; what happens meanwhile is queued for it",
        "u",
        "Webhook",
        {**WEBHOOK, "status": "paused"},
        errors=(404, 409),
    ),
    Operation(
        "post",
        "/admin/webhooks/{id}/resume",
        "resumeWebhook",
        "Sends to a webhook again, whatever stopped it; what is queued goes at once",
        "u",
        "Webhook",
        WEBHOOK,
        errors=(404, 409),
    ),
    Operation(
        "get",
        "/admin/delivery/dead",
        "listDeadLetters",
        "What was given up, the newest first, each with every attempt and the first 2 kB of the answers",
        "s",
        "UndeliveredPage",
        PAGE,
        parameters=LISTING,
        errors=(404,),
    ),
    Operation(
        "get",
        "/admin/delivery/blocked",
        "listBlocked",
        "What has been tried for over 15 minutes and holds up its referral; it is tried again by the schedule",
        "s",
        "UndeliveredPage",
        {"deliveries": [{**UNDELIVERED, "dueAt": "2026-01-05T02:30:00Z", "endedAt": None}], "next": None},
        parameters=LISTING,
        errors=(404,),
    ),
    Operation(
        "post",
        "/admin/delivery/replay",
        "replayDeliveries",
        "Sends dead and withdrawn deliveries again, under the same webhook-id, in order within a referral",
        "u",
        "ReplayAnswer",
        {"replayed": 3, "hurried": 0, "stopped": None},
        body="WantedReplay",
        sent={"webhook": "example", "fromNumber": 40},
        errors=(404, 409, 413, 415),
    ),
)


def build_admin_paths(operations: Iterable[Operation] = OPERATIONS) -> dict[str, Json]:
    """Path, method, operation."""
    paths: dict[str, Json] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method] = each.build()
    return paths


def build_admin_parameters() -> Json:
    """The parameters by their names among the components."""
    told: dict[str, tuple[str, Json]] = {
        "webhook": ("Of this webhook alone: its id.", {"type": "string"}),
        "limit": ("Most deliveries on a page.", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
        "before": ("With ids below this one: the address of the next page has it.", {"type": "integer", "minimum": 1}),
        "kid": ("Which key.", {"type": "string"}),
        "coordinator": ("Whose network: Organization/id.", {"type": "string"}),
        "member": ("Who is in it: Organization/id.", {"type": "string"}),
        "drop": ("Also where deliveries are queued for it.", {"enum": ["true", "false"]}),
    }
    return {
        name: {"name": name, "in": "query", "description": meaning, "schema": schema}
        for name, (meaning, schema) in told.items()
    }


def build_admin_schemas() -> dict[str, Json]:
    """The schemas, made from the models that read and write the bodies."""
    sent = (bodies.NewWebhook, bodies.NewSecret, bodies.NewRate, bodies.WantedReplay)
    answered = (bodies.SecretWebhook, bodies.Webhooks, bodies.UndeliveredPage, bodies.ReplayAnswer)
    modes: list[Any] = [(each, "validation") for each in sent]
    modes += [(each, "serialization") for each in (*answered, bodies.Secret, bodies.Removed)]
    _, schema = models_json_schema(modes, by_alias=True, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Json] = schema["$defs"]
    return schemas
