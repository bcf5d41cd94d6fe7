"""What subscribers hear of a change."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.referral.events import (
    CARE_PLAN_CHANGED,
    CONTACT_PROHIBITED,
    STATUS_CHANGED,
    TASK_ASSIGNED,
    TOPICS,
    care_plan_events,
    overdue_events,
    task_events,
)
from tests.unit.referral.samples import LABEL, care_plan, service_request, task, unassigned, untouched

BY = "Organization/ngo"
SECRET = "Nguyễn Thị An"


def topics(before: Any, after: Any) -> list[str]:
    found = untouched(task_events, before, after, service_request(), version=2, by=BY)
    assert all(each.topic in TOPICS for each in found)
    return [each.topic for each in found]


BOTH = [STATUS_CHANGED, TASK_ASSIGNED]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, task("draft"), []),
        (None, task(), BOTH),
        (None, unassigned(), [STATUS_CHANGED]),
        (None, task("completed"), BOTH),
        (None, task("entered-in-error"), [STATUS_CHANGED]),
        (task("draft"), task("draft", priority="stat"), []),
        (unassigned("draft"), task("draft"), []),
        (task("draft"), task(), BOTH),
        (unassigned("draft"), task(), BOTH),
        (unassigned("draft"), unassigned(), [STATUS_CHANGED]),
        (unassigned(), task(), [TASK_ASSIGNED]),
        (task(), task("accepted"), [STATUS_CHANGED]),
        (task("accepted"), task("accepted", note=[{"text": "x"}]), []),
        (task("accepted"), task("entered-in-error"), [STATUS_CHANGED]),
        (task("draft"), task("entered-in-error"), []),
        (task(), None, [STATUS_CHANGED]),
        (task("draft"), None, []),
        (task("entered-in-error"), None, []),
        (None, None, []),
    ],
)
def test_which_events(before: Any, after: Any, expected: list[str]) -> None:
    assert topics(before, after) == expected


def tell(before: Any, after: Any, request: Any = None) -> list[Any]:
    return task_events(before, after, request, version=3, by=BY)


def test_the_compact_webhook() -> None:
    reason = {"coding": [{"display": SECRET}, {"code": "full"}], "text": SECRET}
    after = task(
        "rejected",
        statusReason=reason,
        businessStatus={"coding": [{"code": "4.0", "display": SECRET}]},
        identifier=[{"system": "urn:f", "value": "F1", "type": {"text": SECRET}}, {"use": "usual"}],
        note=[{"text": SECRET}],
    )
    request = service_request(identifier=[{"system": "urn:p", "value": "P1", "assigner": {"display": SECRET}}])
    [event] = tell(task(), after, request)
    assert not event.labelled
    assert event.body == {
        "task": "Task/t1",
        "serviceRequest": "ServiceRequest/s1",
        "identifier": [{"system": "urn:p", "value": "P1"}, {"system": "urn:f", "value": "F1"}],
        "version": "3",
        "oldStatus": "requested",
        "status": "rejected",
        "businessStatus": "4.0",
        "statusReason": {"code": "full"},
        "by": BY,
    }


def test_codes_only_where_there_are_codes() -> None:
    [event] = tell(task(), task("rejected", statusReason={"text": SECRET}, businessStatus={"text": SECRET}))
    assert event.body.keys() == {"task", "serviceRequest", "identifier", "version", "oldStatus", "status", "by"}
    assert SECRET not in str(event.body)


def test_old_status() -> None:
    for before in (None, task("draft")):
        assert tell(before, task())[0].body["oldStatus"] is None
    gone = tell(task("accepted"), None)[0].body
    assert (gone["oldStatus"], gone["status"]) == ("accepted", "entered-in-error")


@pytest.mark.parametrize("focus", [None, {"display": SECRET}, {"reference": "Questionnaire/q"}, {"reference": "#s"}])
def test_no_service_request(focus: Any) -> None:
    after = task(focus=focus) if focus else {name: value for name, value in task().items() if name != "focus"}
    for event in tell(None, after):
        assert event.body["serviceRequest"] is None


def test_assignment() -> None:
    [event] = tell(unassigned(), task())
    assert event.body == {
        "task": "Task/t1",
        "serviceRequest": "ServiceRequest/s1",
        "version": "3",
        "owner": "Organization/ngo",
        "status": "requested",
        "by": BY,
    }


@pytest.mark.parametrize(
    ("before", "after", "request_meta"),
    [
        (None, task(meta=LABEL), {}),
        (None, task(), LABEL),
        (task("draft", meta=LABEL), task(), {}),
        (task(meta=LABEL), None, {}),
    ],
)
def test_labelled(before: Any, after: Any, request_meta: Any) -> None:
    found = tell(before, after, service_request(meta=request_meta, identifier=[{"value": "P1"}]))
    assert found
    for event in found:
        assert event.labelled
        assert event.body == {"task": "Task/t1", "serviceRequest": "ServiceRequest/s1", "version": "3"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, care_plan(), [(None, "active")]),
        (None, care_plan(status="draft"), []),
        (care_plan(status="draft"), care_plan(), [(None, "active")]),
        (care_plan(status="draft"), None, []),
        (care_plan(status="draft"), care_plan(status="entered-in-error"), []),
        (care_plan(), care_plan(meta={"versionId": "2"}), []),
        (care_plan(), care_plan(title="New"), [("active", "active")]),
        (care_plan(), care_plan(status="completed"), [("active", "completed")]),
        (care_plan(), None, [("active", "entered-in-error")]),
        (None, None, []),
    ],
)
def test_care_plans(before: Any, after: Any, expected: list[Any]) -> None:
    found = untouched(care_plan_events, before, after, version=4, by=BY)
    assert [(each.body["oldStatus"], each.body["status"]) for each in found] == expected
    for event in found:
        assert (event.topic, event.labelled) == (CARE_PLAN_CHANGED, False)
        assert event.body.keys() == {"carePlan", "version", "oldStatus", "status", "by"}


def test_a_labelled_care_plan() -> None:
    [event] = care_plan_events(care_plan(meta=LABEL), care_plan(title=SECRET), version=4, by=BY)
    assert event.labelled
    assert event.body == {"carePlan": "CarePlan/c1", "version": "4"}


def test_that_the_patient_must_not_be_contacted_is_always_told() -> None:
    order = {"coding": [{"system": CONTACT_PROHIBITED[0], "code": CONTACT_PROHIBITED[1]}]}
    asked = service_request(orderDetail=[{"text": "first"}, order])
    for given in (task(), task(meta=LABEL)):
        found = task_events(None, given, asked, version=1, by="Organization/hospital")
        assert len(found) == 2
        assert all(each.body["contactProhibited"] is True for each in found)
        [event] = overdue_events(given, asked, datetime(2026, 11, 1, tzinfo=UTC), version=1)
        assert event.body["contactProhibited"] is True
    other = service_request(orderDetail=[{"coding": [{"system": "urn:x", "code": CONTACT_PROHIBITED[1]}]}])
    for request in (None, other, service_request()):
        found = task_events(None, task(), request, version=1, by="Organization/hospital")
        assert not any("contactProhibited" in each.body for each in found)
