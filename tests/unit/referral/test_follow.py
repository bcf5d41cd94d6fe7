"""How ServiceRequest and CarePlan follow the Tasks."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.validation import validate
from app.referral.follow import care_plan_follows, service_request_follows
from tests.unit.referral.samples import care_plan, output, service_request, task, untouched
from tests.unit.referral.test_transitions import STATUSES


@pytest.mark.parametrize(
    ("status", "tasks", "expected"),
    [
        ("active", "completed", "completed"),
        ("on-hold", "completed", "completed"),
        ("active", "completed rejected cancelled failed", "completed"),
        ("active", "completed entered-in-error", "completed"),
        ("active", "completed in-progress", None),
        ("active", "completed draft", None),
        ("active", "rejected", None),
        ("active", "rejected cancelled failed", None),
        ("active", "entered-in-error", None),
        ("active", "", None),
        *((each, "completed", None) for each in ("draft", "revoked", "completed", "entered-in-error", "unknown")),
    ],
)
def test_the_request(status: str, tasks: str, expected: str | None) -> None:
    found = untouched(service_request_follows, service_request(status), [task(each) for each in tasks.split()])
    assert found == expected


def outcome(activity: dict[str, Any]) -> str | None:
    concepts = activity.get("outcomeCodeableConcept")
    return concepts[-1]["coding"][0]["code"] if concepts else None


@pytest.mark.parametrize(
    ("named", "request_status", "task_status", "expected"),
    [
        ("ServiceRequest/s1", "completed", "completed", "completed"),
        ("ServiceRequest/s1", "revoked", "cancelled", "cancelled"),
        ("ServiceRequest/s1", "active", "completed", None),
        ("ServiceRequest/s1/_history/2", "completed", "completed", "completed"),
        ("https://hub.example/fhir/ServiceRequest/s1", "completed", "completed", "completed"),
        ("ServiceRequest/s2", "completed", "completed", None),
        ("#s1", "completed", "completed", None),
        ("Task/t1", "active", "completed", "completed"),
        ("Task/t1", "active", "rejected", "cancelled"),
        ("Task/t1", "active", "cancelled", "cancelled"),
        ("Task/t1", "active", "failed", "stopped"),
        ("Task/t1", "completed", "entered-in-error", None),
        ("Task/t1", "completed", "in-progress", None),
        ("Task/s1", "completed", "completed", None),
    ],
)
def test_the_activity(named: str, request_status: str, task_status: str, expected: str | None) -> None:
    plan = care_plan("ServiceRequest/other", named)
    found = untouched(care_plan_follows, plan, service_request(request_status), [task(task_status)])
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found["activity"][0] == plan["activity"][0]
    assert outcome(found["activity"][1]) == expected
    assert validate(found) == []


def test_what_came_out_of_it() -> None:
    tasks = [
        task("completed", output=[output("Procedure/a"), output("Procedure/b"), output("#inside")]),
        task("failed", id="t2", output=[output("Procedure/c")]),
        task("completed", id="t3", output=[output("Procedure/b"), output("Observation/d"), {"type": {"text": "x"}}]),
    ]
    plan = care_plan("ServiceRequest/s1", "Task/t2", "Task/t3")
    plan["activity"][0]["outcomeReference"] = [{"reference": "Procedure/b", "display": "Meals"}]
    plan["activity"][0]["outcomeCodeableConcept"] = [{"text": "Well received"}]
    after = care_plan_follows(plan, service_request("completed"), tasks)
    assert after is not None
    whole, failed, one = after["activity"]
    assert whole["outcomeReference"] == [
        {"reference": "Procedure/b", "display": "Meals"},
        {"reference": "Procedure/a"},
        {"reference": "Observation/d"},
    ]
    assert whole["outcomeCodeableConcept"][0] == {"text": "Well received"}
    assert outcome(whole) == "completed"
    assert "outcomeReference" not in failed
    assert one["outcomeReference"] == [{"reference": "Procedure/b"}, {"reference": "Observation/d"}]
    assert validate(after) == []


def test_what_is_left_alone() -> None:
    detail = {"detail": {"status": "not-started", "description": "Call"}}
    ended = service_request("completed")
    assert care_plan_follows(care_plan(activity=[detail]), ended, [task("completed")]) is None
    assert care_plan_follows(care_plan("ServiceRequest/s1", status="entered-in-error"), ended, []) is None
    without = {name: value for name, value in care_plan().items() if name != "activity"}
    assert care_plan_follows(without, ended, [task("completed")]) is None


TASKS = st.lists(
    st.builds(
        lambda status, key, results: task(status, id=key, output=[output(each) for each in results]),
        st.sampled_from(sorted(STATUSES)),
        st.sampled_from(("t1", "t2")),
        st.lists(st.sampled_from(("Procedure/a", "Procedure/b", "#c")), min_size=1),
    ),
    max_size=4,
)
NAMED = st.lists(st.sampled_from(("ServiceRequest/s1", "Task/t1", "Task/t2", "Goal/g")), max_size=4)


@given(tasks=TASKS, named=NAMED, status=st.sampled_from(("active", "completed", "revoked")))
def test_once_is_enough(tasks: list[dict[str, Any]], named: list[str], status: str) -> None:
    request, plan = service_request(status), care_plan(*named)
    after = untouched(care_plan_follows, plan, request, tasks)
    if after is not None:
        assert after != plan
        assert untouched(care_plan_follows, after, request, tasks) is None
    new = untouched(service_request_follows, request, tasks)
    assert new is None or service_request_follows({**request, "status": new}, tasks) is None


@given(tasks=TASKS)
def test_the_order_of_tasks_does_not_matter(tasks: list[dict[str, Any]]) -> None:
    turned = list(reversed(tasks))
    for status in ("active", "on-hold"):
        found = [service_request_follows(service_request(status), each) for each in (tasks, turned)]
        assert found[0] == found[1]


def test_no_open_task_is_closed_over() -> None:
    for one, other in product(sorted(STATUSES), repeat=2):
        found = service_request_follows(service_request(), [task(one), task(other, id="t2")])
        if {one, other} & {"draft", "requested", "ready", "accepted", "in-progress", "on-hold", "received"}:
            assert found is None
