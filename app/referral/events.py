"""What subscribers hear of a change: topics and the facts of the compact webhook (delivery.md)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.referral.labels import is_labelled

Resource = dict[str, Any]

STATUS_CHANGED = "referral-status-changed"
TASK_ASSIGNED = "task-assigned"
CARE_PLAN_CHANGED = "care-plan-changed"
TOPICS = (STATUS_CHANGED, TASK_ASSIGNED, CARE_PLAN_CHANGED)


@dataclass(frozen=True, slots=True)
class EventFacts:
    """One event: ``body`` is what the compact webhook says of it, without what delivery adds."""

    topic: str
    labelled: bool
    body: Resource


def task_events(
    before: Resource | None, after: Resource | None, service_request: Resource | None, *, version: int, by: str
) -> list[EventFacts]:
    """The events of one version of a Task; ``after`` is None where it was deleted, ``by`` is ``Organization/x``.

    A draft is nobody's business yet. A deleted Task is told as entered-in-error: whoever heard of it must learn that
    it is gone.
    """
    task = after or before
    if task is None:
        return []
    old = before.get("status") if before and before.get("status") != "draft" else None
    new = after.get("status") if after else "entered-in-error"
    labelled = is_labelled(task) or (service_request is not None and is_labelled(service_request))
    events = []
    if new != "draft" and old != new and not (after is None and old is None):
        facts = status_facts(task, service_request, version, old, new, by)
        events.append(EventFacts(STATUS_CHANGED, labelled, ids_only(facts) if labelled else facts))
    if after is not None and new != "draft" and after.get("owner") and (old is None or not (before or {}).get("owner")):
        facts = {**references_of(task, version), "owner": literal_of(after["owner"]), "status": new, "by": by}
        events.append(EventFacts(TASK_ASSIGNED, labelled, ids_only(facts) if labelled else facts))
    return events


def status_facts(
    task: Resource, service_request: Resource | None, version: int, old: str | None, new: str | None, by: str
) -> Resource:
    """The compact webhook's facts; codes and ids, no free text."""
    facts = references_of(task, version)
    facts["identifier"] = [*identifiers_of(service_request), *identifiers_of(task)]
    facts |= {"oldStatus": old, "status": new}
    business = first_code(task.get("businessStatus"))
    if business:
        facts["businessStatus"] = business
    reason = first_code(task.get("statusReason"))
    if reason:
        facts["statusReason"] = {"code": reason}
    return {**facts, "by": by}


def references_of(task: Resource, version: int) -> Resource:
    return {
        "task": f"Task/{task.get('id')}",
        "serviceRequest": literal_of(task.get("focus")),
        "version": str(version),
    }


def ids_only(facts: Resource) -> Resource:
    """All that a labelled resource may say."""
    return {name: facts[name] for name in ("task", "serviceRequest", "carePlan", "version") if name in facts}


def literal_of(element: Any) -> str | None:
    literal = element.get("reference") if isinstance(element, dict) else None
    return literal if isinstance(literal, str) else None


def identifiers_of(resource: Resource | None) -> Iterator[Resource]:
    """System and value of each identifier."""
    for each in (resource or {}).get("identifier", ()):
        kept = {name: each[name] for name in ("system", "value") if name in each}
        if kept:
            yield kept


def first_code(concept: Any) -> str | None:
    """The first code of a CodeableConcept."""
    if not isinstance(concept, dict):
        return None
    return next((str(each["code"]) for each in concept.get("coding", ()) if "code" in each), None)


def care_plan_events(before: Resource | None, after: Resource | None, *, version: int, by: str) -> list[EventFacts]:
    """The event of one version of a CarePlan; none for a draft, nor for one that says the same as before."""
    plan = after or before
    if plan is None or (after is not None and after.get("status") == "draft"):
        return []
    if before is not None and after is not None and without_meta(before) == without_meta(after):
        return []
    labelled = is_labelled(plan)
    facts = {
        "carePlan": f"CarePlan/{plan.get('id')}",
        "version": str(version),
        "oldStatus": before.get("status") if before else None,
        "status": after.get("status") if after else "entered-in-error",
        "by": by,
    }
    return [EventFacts(CARE_PLAN_CHANGED, labelled, ids_only(facts) if labelled else facts)]


def without_meta(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name != "meta"}
