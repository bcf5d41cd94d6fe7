"""The tables of moves, read against the guide's list."""

from typing import Any

import pytest

from app.referral.transitions import ERROR, FIRST_STATUSES, PATIENT, REFERRAL, TERMINAL, Workflow, find_workflow
from tests.unit.referral.samples import patient_task, task, unassigned

FOR_REFERRALS = frozenset(
    {"draft", "requested", "accepted", "rejected", "in-progress", "on-hold", "cancelled", "failed", "completed", ERROR}
)
FOR_PATIENTS = frozenset({"ready", "in-progress", "on-hold", "cancelled", "failed", "completed", ERROR})
STATUSES = FOR_REFERRALS | FOR_PATIENTS | {"received"}

GUIDE = {
    "draft": "requested",
    "requested": "accepted rejected cancelled",
    "accepted": "in-progress on-hold cancelled completed failed",
    "in-progress": "on-hold cancelled completed failed",
    "on-hold": "in-progress cancelled completed failed",
}


@pytest.mark.parametrize("workflow", [REFERRAL, PATIENT])
def test_every_status_can_be_reached_and_left(workflow: Workflow) -> None:
    reached = set(FIRST_STATUSES)
    for _ in STATUSES:
        reached |= {new for old in reached for new in workflow.moves.get(old, ())}
    assert "completed" in reached
    assert {status for status in reached if status not in workflow.moves} <= TERMINAL
    assert not TERMINAL & set(workflow.moves)
    assert reached - FIRST_STATUSES <= set(workflow.setters), "somebody may set each"


def test_the_guides_referral_moves() -> None:
    extra = {"ready"}  # access.md lets a Task begin so
    assert {old: new for old, new in REFERRAL.moves.items() if old not in extra} == {
        old: frozenset(new.split()) for old, new in GUIDE.items()
    }


@pytest.mark.parametrize(
    ("workflow", "listed", "more"),
    [(REFERRAL, FOR_REFERRALS, {"ready"}), (PATIENT, FOR_PATIENTS, {"draft", "requested"})],
)
def test_the_guides_value_sets(workflow: Workflow, listed: frozenset[str], more: set[str]) -> None:
    """SDOHCC-ValueSetReferralTaskStatus and SDOHCC-ValueSetTaskStatus, and what access.md lets a Task begin as."""
    used = {*workflow.setters, *workflow.moves, *(new for each in workflow.moves.values() for new in each)}
    assert used == listed | more
    assert more <= FIRST_STATUSES


@pytest.mark.parametrize(
    ("resource", "workflow"),
    [
        (task(), REFERRAL),
        (unassigned(), REFERRAL),
        (patient_task(), PATIENT),
        (patient_task("in-progress"), PATIENT),
        (task(owner={"reference": "https://ehr.example/fhir/RelatedPerson/r1"}), PATIENT),
        (task(owner={"reference": "Patient/p1/_history/2"}), PATIENT),
        (task(owner={"type": "Patient", "identifier": {"value": "1"}}), PATIENT),
        (task(owner={"identifier": {"value": "1"}}), REFERRAL),
        (task(owner={"reference": "Organization/Patient"}), REFERRAL),
        (unassigned(code={"coding": [{"code": "make-contact"}]}), PATIENT),
        (unassigned(code={"text": "make-contact"}), REFERRAL),
        (task(code={"coding": [{"code": "complete-questionnaire"}]}), REFERRAL),
    ],
)
def test_whose_workflow(resource: dict[str, Any], workflow: Workflow) -> None:
    assert find_workflow(resource) is workflow
