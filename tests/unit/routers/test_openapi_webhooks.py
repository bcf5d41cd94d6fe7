"""The webhooks of the OpenAPI document are the messages that are sent."""

import json
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from app.delivery.claim import Claim
from app.delivery.message import build_body
from app.referral.events import CONTACT_PROHIBITED, TOPICS, EventFacts, care_plan_events, overdue_events, task_events
from app.routers.openapi.document import build_document
from tests.json_schema import find_faults

Json = dict[str, Any]

TASK: Json = {
    "resourceType": "Task",
    "id": "t",
    "status": "requested",
    "owner": {"reference": "Organization/ngo"},
    "focus": {"reference": "ServiceRequest/s"},
    "identifier": [{"system": "urn:x", "value": "1", "use": "official"}],
    "businessStatus": {"coding": [{"code": "waiting"}]},
    "statusReason": {"coding": [{"code": "full"}]},
}
PLAN: Json = {"resourceType": "CarePlan", "id": "c", "status": "active"}
LABEL = {"meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}}
PROHIBITED: Json = {
    "resourceType": "ServiceRequest",
    "id": "s",
    "orderDetail": [{"coding": [{"system": CONTACT_PROHIBITED[0], "code": CONTACT_PROHIBITED[1]}]}],
}
EVENTS = [
    *task_events(None, TASK, None, version=1, by="Organization/hospital"),
    *task_events(TASK, {**TASK, "status": "accepted"}, None, version=2, by="Organization/ngo"),
    *task_events(TASK, None, None, version=3, by="Organization/hospital"),
    *task_events(None, {**TASK, **LABEL}, None, version=1, by="Organization/hospital"),
    *task_events(None, {key: TASK[key] for key in ("id", "status", "owner")}, None, version=1, by="Organization/h"),
    *care_plan_events(None, PLAN, version=1, by="Organization/hospital"),
    *care_plan_events(None, {**PLAN, **LABEL}, version=1, by="Organization/hospital"),
    *task_events(None, {**TASK, **LABEL}, PROHIBITED, version=1, by="Organization/hospital"),
    *task_events(None, TASK, PROHIBITED, version=1, by="Organization/hospital"),
    *overdue_events(TASK, None, datetime(2026, 11, 1, 8, 0, tzinfo=UTC), version=2),
    *overdue_events({**TASK, **LABEL}, None, datetime(2026, 11, 1, 8, 0, tzinfo=UTC), version=2),
]


def claim(event: EventFacts) -> Claim:
    """A claim whose message alone matters."""
    told: Json = {
        "id": 7,
        "number": 3,
        "topic": event.topic,
        "sequence": 5,
        "facts": json.dumps(event.body),
        "created_at": datetime(2026, 11, 1, 8, 0, tzinfo=UTC),
    }
    members: dict[str, Any] = {each.name: told.get(each.name) for each in fields(Claim)}
    return Claim(**members)


@pytest.fixture(scope="module")
def document() -> Json:
    return build_document(None)


def test_they_are_the_topics(document: Json) -> None:
    assert tuple(document["webhooks"]) == TOPICS
    assert {each.topic for each in EVENTS} == set(TOPICS)


@pytest.mark.parametrize("event", EVENTS, ids=lambda each: f"{each.topic}{' labelled' * each.labelled}")
def test_messages_fit_their_schema(event: EventFacts, document: Json) -> None:
    body = json.loads(build_body(claim(event), "http://handoff.test/fhir"))
    content = document["webhooks"][event.topic]["post"]["requestBody"]["content"]["application/json"]
    assert find_faults(document, content["schema"], body) == []


def test_headers_are_those_of_standard_webhooks(document: Json) -> None:
    for topic in TOPICS:
        told = {each["name"] for each in document["webhooks"][topic]["post"]["parameters"]}
        assert told == {"webhook-id", "webhook-timestamp", "webhook-signature"}
