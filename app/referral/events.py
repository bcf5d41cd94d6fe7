"""What subscribers hear of a change: topics and the facts of the compact webhook (delivery.md)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.fhir.element_access import codes
from app.fhir.labels import is_labelled
from app.fhir.moments import write_instant
from app.fhir.references import parse_reference
from app.referral.comparison import same
from app.referral.transitions import ERROR

Resource = dict[str, Any]

STATUS_CHANGED = "referral-status-changed"
TASK_ASSIGNED = "task-assigned"
CARE_PLAN_CHANGED = "care-plan-changed"
OVERDUE = "referral-overdue"
TOPICS = (STATUS_CHANGED, TASK_ASSIGNED, CARE_PLAN_CHANGED, OVERDUE)
"""What a compact webhook can ask for; the two below are the guide's and told to Subscriptions alone."""
TASK_VERSION = "task-version"
SERVICE_REQUEST_VERSION = "service-request-version"

CONTACT_PROHIBITED = (
    "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes",
    "contacting-subject-prohibited",
)
ALWAYS_TOLD = ("task", "serviceRequest", "carePlan", "version", "contactProhibited")


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

    A draft is nobody's business yet: neither that there is one nor that it is gone. A deleted Task is told as
    entered-in-error: whoever heard of it must learn that it is gone.
    """
    task = after or before
    old, new = tell_status(before, None), tell_status(after, ERROR)
    if task is None or new is None or (before is not None and old is None and new == ERROR):
        return []
    labelled = any(is_labelled(each) for each in (before, after, service_request) if each)
    events = []
    if old != new:
        facts = status_facts(task, service_request, version, old, new, by)
        events.append(EventFacts(STATUS_CHANGED, labelled, ids_only(facts) if labelled else facts))
    owned_before = old is not None and before is not None and before.get("owner") is not None
    if task.get("owner") and not owned_before and new != ERROR:
        facts = {**references_of(task, service_request, version), "owner": literal_of(task["owner"])}
        facts |= {"status": new, "by": by}
        events.append(EventFacts(TASK_ASSIGNED, labelled, ids_only(facts) if labelled else facts))
    return events


def version_events(topic: str, before: Resource | None, after: Resource | None) -> list[EventFacts]:
    """The guide's own events, one for each version (SDOHCC, Checking Task Status, the Task and ServiceRequest topics).

    A Task is told of unless it is a draft or no order; a ServiceRequest from its second version on.
    """
    resource = after or before
    if resource is None:
        return []
    if topic == TASK_VERSION and (resource.get("status") == "draft" or resource.get("intent") != "order"):
        return []
    if topic == SERVICE_REQUEST_VERSION and before is None:
        return []
    labelled = any(is_labelled(each) for each in (before, after) if each)
    return [EventFacts(topic, labelled, {})]


def overdue_events(
    task: Resource, service_request: Resource | None, deadline: datetime, *, version: int
) -> list[EventFacts]:
    """That a Task has passed its deadline, at which nobody changed anything: so it tells of no actor."""
    labelled = any(is_labelled(each) for each in (task, service_request) if each)
    facts = references_of(task, service_request, version)
    facts["identifier"] = [*identifiers_of(service_request), *identifiers_of(task)]
    facts |= {"status": task.get("status"), "priority": task.get("priority", "routine")}
    if literal_of(task.get("owner")):
        facts["owner"] = literal_of(task["owner"])
    facts["deadline"] = write_instant(deadline)
    return [EventFacts(OVERDUE, labelled, ids_only(facts) if labelled else facts)]


def tell_status(resource: Resource | None, absent: str | None) -> str | None:
    """The status as subscribers know it: None for a draft, which they never heard of."""
    if resource is None:
        return absent
    status = resource.get("status")
    return None if status == "draft" or not isinstance(status, str) else status


def status_facts(
    task: Resource, service_request: Resource | None, version: int, old: str | None, new: str, by: str
) -> Resource:
    """The compact webhook's facts; codes and ids, no free text."""
    facts = references_of(task, service_request, version)
    facts["identifier"] = [*identifiers_of(service_request), *identifiers_of(task)]
    facts |= {"oldStatus": old, "status": new}
    business = first_code(task.get("businessStatus"))
    if business:
        facts["businessStatus"] = business
    reason = first_code(task.get("statusReason"))
    if reason:
        facts["statusReason"] = {"code": reason}
    return {**facts, "by": by}


def references_of(task: Resource, service_request: Resource | None, version: int) -> Resource:
    """The ids that every event of a Task carries, and the warning that goes wherever contact might be sought."""
    facts: Resource = {
        "task": f"Task/{task.get('id')}",
        "serviceRequest": name_request(task, service_request),
        "version": str(version),
    }
    return {**facts, "contactProhibited": True} if is_contact_prohibited(service_request) else facts


def is_contact_prohibited(service_request: Resource | None) -> bool:
    """Whether the patient must not be contacted (SDOHCC-ServiceRequest, orderDetail): a matter of their safety."""
    return CONTACT_PROHIBITED in codes(service_request or {}, "orderDetail")


def name_request(task: Resource, service_request: Resource | None) -> str | None:
    """``ServiceRequest/y`` where it is on this server, else the focus if that is a ServiceRequest at all."""
    if service_request and service_request.get("resourceType") == "ServiceRequest" and "id" in service_request:
        return f"ServiceRequest/{service_request['id']}"
    literal = literal_of(task.get("focus"))
    named = parse_reference(literal, None) if literal else None
    if named is None or named.type != "ServiceRequest":
        return None
    return f"{named.type}/{named.id}" if named.local else literal


def ids_only(facts: Resource) -> Resource:
    """All that a labelled resource may say; that the patient must not be contacted is said above all there."""
    return {name: facts[name] for name in ALWAYS_TOLD if name in facts}


def literal_of(element: Any) -> str | None:
    """The literal of a Reference."""
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
    old, new = tell_status(before, None), tell_status(after, ERROR)
    if plan is None or new is None or (before is not None and old is None and new == ERROR):
        return []
    if before is not None and same(without_meta(before), without_meta(after or {})):
        return []
    labelled = any(is_labelled(each) for each in (before, after) if each)
    facts = {
        "carePlan": f"CarePlan/{plan.get('id')}",
        "version": str(version),
        "oldStatus": old,
        "status": new,
        "by": by,
    }
    return [EventFacts(CARE_PLAN_CHANGED, labelled, ids_only(facts) if labelled else facts)]


def without_meta(resource: Resource) -> Resource:
    """The resource without what the server stamps on each version."""
    return {name: value for name, value in resource.items() if name != "meta"}
