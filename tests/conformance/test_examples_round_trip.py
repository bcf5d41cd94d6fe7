"""Every published example of a kept type comes back over the API as it was sent, or is refused for a named reason."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from app.access.interaction_rules import MAY_WRITE
from app.fhir.registry import TYPES
from tests.api import Caller, World

DATA = Path(os.environ.get("HANDOFF_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "fhir")) / "examples"

TOPIC = "a topic that the server does not have SHALL be rejected (Backport, Subscription creation)"
CRITERIA = "criteria that the server does not follow are rejected (R4 Subscription, 2.46.5)"

REFUSED: dict[str, str] = {
    "r4/ActivityDefinition/heart-valve-replacement.json": "txt-2: a narrative has content (R4 narrative)",
    "r4/Questionnaire/qs1.json": "Questionnaire.item.linkId is 1..1 (R4 Questionnaire)",
    "r4/Binary/example.json": "access follows the security context, which is not there (R4 Binary, securityContext)",
    "r4/Subscription/example.json": CRITERIA,
    "r4/Subscription/example-error.json": CRITERIA,
    "subscriptions-backport/Subscription-subscription-admission.json": TOPIC,
    "subscriptions-backport/Subscription-subscription-multi-resource.json": TOPIC,
    "subscriptions-backport/Subscription-subscription-zulip.json": TOPIC,
}
"""Examples that are refused, with the rule of the standard that each breaks."""


FHIR_JSON = "application/fhir+json"


def read_exactly(text: str | bytes) -> Any:
    """JSON with every number as its text, and the keys of objects in order."""
    return json.loads(text, parse_float=str, parse_int=str)


def list_examples() -> dict[str, dict[str, bytes]]:
    """For each set its examples by path, of types that are kept and may be written over the API."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(DATA.glob("*/**/*.json")):
        content = path.read_bytes()
        name = json.loads(content)["resourceType"]
        if name in TYPES and name in MAY_WRITE["admin"]["c"]:
            place = path.relative_to(DATA)
            found.setdefault(place.parts[0], {})[str(place)] = content
    return found


EXAMPLES = list_examples()
if not EXAMPLES:
    pytest.skip(f"no FHIR examples below {DATA}; set HANDOFF_TEST_DATA", allow_module_level=True)


async def check_round_trip(admin: Caller, content: bytes) -> str | None:
    """What is wrong with an example's way through the API; None is well.

    It keeps its id where the type can be updated, and is given another where it can only be created.
    """
    sent = read_exactly(content)
    name = sent["resourceType"]
    if name in MAY_WRITE["admin"]["u"]:
        answer = await admin.send("PUT", f"/{name}/{sent['id']}", content)
    else:
        answer = await admin.send("POST", f"/{name}", content)
        sent["id"] = answer.json().get("id")
    place = f"{name}/{sent['id']}"
    if answer.status_code != 201:
        return f"{answer.status_code} {answer.text[:300]}"
    read = await admin.get(f"/{place}", Accept=FHIR_JSON)
    meta = read_exactly(read.text)["meta"]
    stamped = {"versionId": meta["versionId"], "lastUpdated": meta["lastUpdated"]}
    expected = {**sent, "meta": {**sent.get("meta", {}), **stamped}}
    if read_exactly(read.text) != expected or stamped["versionId"] != "1":
        return "read: not what was sent"
    if (await admin.get(f"/{place}/_history/1", Accept=FHIR_JSON)).text != read.text:
        return "vread: not what is read"
    found = await admin.get(f"/{name}?_id={sent['id']}")
    matches = [entry["resource"] for entry in read_exactly(found.text).get("entry", ())]
    if name == "Binary":  # a search tells of its content by the id alone
        matches = [{**each, "meta": expected["meta"], "data": expected["data"]} for each in matches]
    return None if matches == [expected] else "search by _id: not what is read"


@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_examples_come_back(world: World, name: str) -> None:
    admin = await world.caller("operator", "admin")
    wrong, passed = {}, []
    for place, content in EXAMPLES[name].items():
        reason = await check_round_trip(admin, content)
        if place in REFUSED:
            passed += [] if reason and reason.startswith("422") else [place]
        elif reason:
            wrong[place] = reason
    assert (wrong, passed) == ({}, [])


async def test_events_of_others_are_not_taken(world: World) -> None:
    """The trail holds what happened here, and nobody writes it (access.md, Audit: append-only)."""
    admin = await world.caller("operator", "admin")
    paths = sorted(DATA.glob("r4/AuditEvent/*.json"))
    assert paths
    for path in paths:
        content = path.read_bytes()
        for method, address in (("POST", ""), ("PUT", f"/{json.loads(content)['id']}")):
            answer = await admin.send(method, f"/AuditEvent{address}", content)
            assert (answer.status_code, answer.headers["Allow"]) == (405, "GET"), path


def test_every_refusal_is_an_example() -> None:
    assert {place for places in EXAMPLES.values() for place in places} >= REFUSED.keys()
