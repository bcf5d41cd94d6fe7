"""How a ServiceRequest and a CarePlan follow when the Tasks of the referral end."""

from typing import Any

from app.referral.root import literals_at
from app.referral.transitions import TERMINAL

Resource = dict[str, Any]

OPEN_REQUESTS = frozenset({"active", "on-hold"})
ACTIVITY_STATUS = "http://hl7.org/fhir/care-plan-activity-status"
OUTCOMES = {
    "completed": ("completed", "Completed"),
    "revoked": ("cancelled", "Cancelled"),
}
"""By the ServiceRequest's status: the code and display of the activity's outcome."""


def service_request_follows(service_request: Resource, tasks: list[Resource]) -> str | None:
    """The status that the ServiceRequest takes, None where it keeps its own.

    It is completed when every Task of it has ended and one was completed. Where none was, it stays open: the
    requester may route it anew, or revoke it.
    """
    if service_request.get("status") not in OPEN_REQUESTS:
        return None
    statuses = [task.get("status") for task in tasks if task.get("status") != "entered-in-error"]
    if statuses and all(status in TERMINAL for status in statuses) and "completed" in statuses:
        return "completed"
    return None


def care_plan_follows(plan: Resource, service_request: Resource, tasks: list[Resource]) -> Resource | None:
    """The CarePlan with the outcome of its activities about this referral, None where nothing changes.

    R4's cpl-3 lets an activity have a reference or a detail, not both, so the outcome of a referenced activity stands
    in outcomeCodeableConcept and outcomeReference.
    """
    outcome = OUTCOMES.get(str(service_request.get("status")))
    if outcome is None:
        return None
    about = {f"ServiceRequest/{service_request.get('id')}", *(f"Task/{task.get('id')}" for task in tasks)}
    results = [
        literal
        for task in tasks
        if task.get("status") == "completed"
        for output in task.get("output", ())
        for literal in literals_at(output.get("valueReference"))
    ]
    activities = [
        close_activity(activity, outcome, results) if names_one(activity, about) else activity
        for activity in plan.get("activity", ())
    ]
    return {**plan, "activity": activities} if activities != plan.get("activity", []) else None


def names_one(activity: Resource, about: set[str]) -> bool:
    """Whether the activity is the referral, by a relative or an absolute reference."""
    for literal in literals_at(activity.get("reference")):
        plain = literal.split("/_history/")[0]
        if "/".join(plain.split("/")[-2:]) in about:
            return True
    return False


def close_activity(activity: Resource, outcome: tuple[str, str], results: list[str]) -> Resource:
    """The activity with its outcome, each thing said once."""
    code, display = outcome
    concepts = list(activity.get("outcomeCodeableConcept", ()))
    said = any(
        coding.get("system") == ACTIVITY_STATUS and coding.get("code") == code
        for concept in concepts
        for coding in concept.get("coding", ())
    )
    if not said:
        concepts.append({"coding": [{"system": ACTIVITY_STATUS, "code": code, "display": display}]})
    references = list(activity.get("outcomeReference", ()))
    known = set(literals_at(references))
    references += [{"reference": each} for each in dict.fromkeys(results) if each not in known]
    closed = {**activity, "outcomeCodeableConcept": concepts}
    return {**closed, "outcomeReference": references} if references else closed
