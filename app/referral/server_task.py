"""The Task that the server makes for a bare ServiceRequest, and how a posted Task takes its place."""

from typing import Any

from app.fhir.element_access import objects

Resource = dict[str, Any]

PROFILE = "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/SDOHCC-TaskForReferralManagement"
TAG = {"system": "urn:warm-handoff:tag", "code": "server-made"}
ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
"""Intents of a ServiceRequest that ask for something to be done."""


def needs_server_task(
    service_request: Resource, *, may_create_tasks: bool, server_makes_tasks: bool, focused_in_bundle: bool
) -> bool:
    """Whether an active order with a performer is to get its Task from the server.

    ``focused_in_bundle``: a Task of the same Bundle has it as its focus already. An order that something is not to
    be done (R4 ServiceRequest.doNotPerform) asks nobody for anything.
    """
    if focused_in_bundle or (may_create_tasks and not server_makes_tasks):
        return False
    return (
        service_request.get("status") == "active"
        and service_request.get("intent") in ORDERS
        and service_request.get("doNotPerform") is not True
        and bool(service_request.get("performer"))
    )


def make_task(
    service_request: Resource,
    *,
    task_id: str,
    now: str,
    requester_reference: Resource,
    owner_reference: Resource,
    part_of: str | None = None,
) -> Resource:
    """A Task for referral management (SDOHCC), ``requested``, tagged as made by the server.

    ``now`` is an instant, taken for authoredOn where the ServiceRequest has none. ``part_of`` names the Task that is
    passed on.
    """
    task: Resource = {
        "resourceType": "Task",
        "id": task_id,
        "meta": {"profile": [PROFILE], "tag": [dict(TAG)]},
        **({"partOf": [{"reference": part_of}]} if part_of else {}),
        "status": "requested",
        "intent": "order",
    }
    if "priority" in service_request:
        task["priority"] = service_request["priority"]
    task["code"] = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}
    task["focus"] = {"reference": f"ServiceRequest/{service_request['id']}"}
    task["for"] = service_request["subject"]
    task["authoredOn"] = service_request.get("authoredOn", now)
    task["requester"] = requester_reference
    task["owner"] = owner_reference
    return task


def is_adoptable(made: Resource) -> bool:
    """Whether a Task was made by the server and nobody has answered it yet."""
    return made.get("status") == "requested" and any(
        is_mark(tag) for meta in objects(made, "meta") for tag in objects(meta, "tag")
    )


def adopt_task(before: Resource, posted: Resource) -> Resource:
    """The posted Task under the id of the server-made one, without the mark, also if it was copied from there."""
    adopted = {name: value for name, value in posted.items() if name not in ("id", "meta")}
    if meta := drop_mark(posted.get("meta")):
        adopted["meta"] = meta
    return {**adopted, "id": before["id"]}


def drop_mark(meta: Any) -> Any:
    """The meta without the mark; an element that nothing is left of has to go (R4 json)."""
    if not isinstance(meta, dict) or not any(is_mark(tag) for tag in objects(meta, "tag")):
        return meta
    tags = [tag for tag in meta["tag"] if not is_mark(tag)]
    rest = {name: value for name, value in meta.items() if name != "tag"}
    return {**rest, "tag": tags} if tags else rest


def is_mark(tag: Any) -> bool:
    """Whether a tag is the one that the server puts on the Tasks it makes."""
    return isinstance(tag, dict) and (tag.get("system"), tag.get("code")) == (TAG["system"], TAG["code"])
