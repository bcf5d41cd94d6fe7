"""How a ServiceRequest and a CarePlan follow when the Tasks of the referral end."""

from typing import Any

from app.fhir.references import parse_reference
from app.referral.root import literals_at
from app.referral.transitions import ERROR, TERMINAL

Resource = dict[str, Any]
Outcome = tuple[str, str]

OPEN_REQUESTS = frozenset({"active", "on-hold"})
ACTIVITY_STATUS = "http://hl7.org/fhir/care-plan-activity-status"
COMPLETED: Outcome = ("completed", "Completed")
CANCELLED: Outcome = ("cancelled", "Cancelled")
STOPPED: Outcome = ("stopped", "Stopped")

OUTCOMES = {
    ("ServiceRequest", "completed"): COMPLETED,
    ("ServiceRequest", "revoked"): CANCELLED,
    ("Task", "completed"): COMPLETED,
    ("Task", "rejected"): CANCELLED,
    ("Task", "cancelled"): CANCELLED,
    ("Task", "failed"): STOPPED,
}
"""By what the activity names and its status: code and display of the activity's outcome."""


def service_request_follows(service_request: Resource, tasks: list[Resource]) -> str | None:
    """The status that the ServiceRequest takes, None where it keeps its own (SDOHCC, Referral Workflow).

    It is completed when every Task of it has ended and one was completed. Where none was, it stays open: the
    requester may route it anew, or revoke it. Tasks entered in error count for nothing.
    """
    if service_request.get("status") not in OPEN_REQUESTS:
        return None
    statuses = {task.get("status") for task in tasks}
    return "completed" if "completed" in statuses and statuses <= TERMINAL else None


def care_plan_follows(plan: Resource, service_request: Resource, tasks: list[Resource]) -> Resource | None:
    """The CarePlan with the outcome of its activities about this referral, None where nothing changes.

    R4's cpl-3 lets an activity have a reference or a detail, not both, so the outcome of a referenced activity stands
    in outcomeCodeableConcept and outcomeReference. An activity that names one Task has the outcome of that Task, one
    that names the ServiceRequest that of all. What was said already stays.
    """
    if plan.get("status") == ERROR:
        return None
    ends = find_ends(service_request, tasks)
    before = plan.get("activity", [])
    after = [close_activity(activity, ends) for activity in before]
    return {**plan, "activity": after} if after != before else None


def find_ends(service_request: Resource, tasks: list[Resource]) -> dict[str, tuple[Outcome, list[str]]]:
    """What has ended, as ``Type/id``: its outcome, and the literals of what came out of it."""
    ends = {}
    everything: list[str] = []
    for task in tasks:
        outcome = OUTCOMES.get(("Task", str(task.get("status"))))
        if outcome:
            results = list_results(task) if outcome == COMPLETED else []
            everything += results
            ends[f"Task/{task.get('id')}"] = (outcome, results)
    outcome = OUTCOMES.get(("ServiceRequest", str(service_request.get("status"))))
    if outcome:
        ends[f"ServiceRequest/{service_request.get('id')}"] = (outcome, everything)
    return ends


def list_results(task: Resource) -> list[str]:
    """What the Task's output refers to; what the Task contains is left out, since nothing else can refer to it."""
    return [
        literal
        for output in task.get("output", ())
        for literal in literals_at(output.get("valueReference"))
        if not literal.startswith("#")
    ]


def close_activity(activity: Resource, ends: dict[str, tuple[Outcome, list[str]]]) -> Resource:
    """The activity with the outcome of what it names, each thing said once; itself where that has not ended."""
    for literal in literals_at(activity.get("reference")):
        named = parse_reference(literal, None)
        if named and (end := ends.get(f"{named.type}/{named.id}")):
            return add_outcome(activity, *end)
    return activity


def add_outcome(activity: Resource, outcome: Outcome, results: list[str]) -> Resource:
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
