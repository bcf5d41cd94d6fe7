"""The Task that the server makes, and the one that takes its place."""

from typing import Any

import pytest

from app.fhir.validation import validate
from app.referral.server_task import PROFILE, TAG, adopt_task, is_adoptable, make_task, needs_server_task
from app.referral.task_rules import check_new_task
from tests.unit.referral.samples import service_request, task, untouched

NOW = "2026-11-24T02:00:00.000Z"
REQUESTER = {"reference": "PractitionerRole/r1"}
OWNER = {"reference": "HealthcareService/h1", "display": "Meals"}


def make(**more: Any) -> dict[str, Any]:
    return untouched(
        make_task,
        service_request(**more),
        task_id="t1",
        now=NOW,
        requester_reference=REQUESTER,
        owner_reference=OWNER,
    )


def test_what_is_made() -> None:
    made = make()
    assert made == {
        "resourceType": "Task",
        "id": "t1",
        "meta": {"profile": [PROFILE], "tag": [TAG]},
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": "ServiceRequest/s1"},
        "for": {"reference": "Patient/p1"},
        "authoredOn": NOW,
        "requester": REQUESTER,
        "owner": OWNER,
    }
    assert validate(made) == []
    assert check_new_task(made, imported=False) == []
    assert is_adoptable(made)


def test_what_is_carried_over() -> None:
    made = make(priority="asap", authoredOn="2026-11-20", note=[{"text": "private"}])
    assert (made["priority"], made["authoredOn"]) == ("asap", "2026-11-20")
    assert "note" not in made


def test_one_mark_is_not_shared_by_two_tasks() -> None:
    make()["meta"]["tag"][0]["code"] = "spoilt"
    assert make()["meta"]["tag"] == [{"system": "urn:warm-handoff:tag", "code": "server-made"}]


@pytest.mark.parametrize(
    ("more", "may_create", "server_makes", "focused", "expected"),
    [
        ({}, False, False, False, True),
        ({}, True, False, False, False),
        ({}, True, True, False, True),
        ({}, False, True, False, True),
        ({}, False, False, True, False),
        ({}, True, True, True, False),
        ({"performer": []}, False, False, False, False),
        ({"status": "draft"}, False, False, False, False),
        ({"status": "on-hold"}, False, False, False, False),
        ({"status": "completed"}, False, False, False, False),
        ({"doNotPerform": True}, False, False, False, False),
        ({"doNotPerform": False}, False, False, False, True),
        *(({"intent": each}, False, False, False, False) for each in ("proposal", "plan", "directive", "option")),
        *(
            ({"intent": each}, False, False, False, True)
            for each in ("original-order", "reflex-order", "filler-order", "instance-order")
        ),
    ],
)
def test_when_it_is_needed(
    more: dict[str, Any], may_create: bool, server_makes: bool, focused: bool, expected: bool
) -> None:
    found = untouched(
        needs_server_task,
        service_request(**more),
        may_create_tasks=may_create,
        server_makes_tasks=server_makes,
        focused_in_bundle=focused,
    )
    assert found is expected


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (make(), True),
        ({**make(), "status": "accepted"}, False),
        ({**make(), "status": "cancelled"}, False),
        (task(), False),
        (task(meta={"tag": [{"code": "server-made"}]}), False),
        (task(meta={"tag": [{"code": "x"}, TAG]}), True),
    ],
)
def test_adoptable(resource: dict[str, Any], expected: bool) -> None:
    assert untouched(is_adoptable, resource) is expected


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        (None, None),
        ({"profile": [PROFILE]}, {"profile": [PROFILE]}),
        ({"tag": [TAG]}, None),
        ({"profile": [PROFILE], "tag": [TAG]}, {"profile": [PROFILE]}),
        ({"tag": [TAG, {"code": "mine"}]}, {"tag": [{"code": "mine"}]}),
    ],
)
def test_adoption(meta: Any, expected: Any) -> None:
    posted = task(id="mine", priority="stat", **({"meta": meta} if meta else {}))
    adopted = untouched(adopt_task, make(), posted)
    assert adopted["id"] == "t1"
    assert adopted.get("meta") == expected
    assert {**adopted, "id": "mine", "meta": meta} == {**posted, "meta": meta}
    assert not is_adoptable(adopted)
    assert validate(adopted) == []
