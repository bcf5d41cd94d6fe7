"""The Task that the server makes for a bare ServiceRequest, and how a posted Task takes its place."""

from typing import Any

Resource = dict[str, Any]

PROFILE = "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/SDOHCC-TaskForReferralManagement"
TAG = {"system": "urn:warm-handoff:tag", "code": "server-made"}
ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
"""Intents of a ServiceRequest that ask for something to be done."""


def needs_server_task(
    service_request: Resource, *, may_create_tasks: bool, server_makes_tasks: bool, focused_in_bundle: bool
) -> bool:
    """Whether an active order with a performer is to get its Task from the server.

    ``focused_in_bundle``: a Task of the same Bundle has it as its focus already.
    """
    if focused_in_bundle or (may_create_tasks and not server_makes_tasks):
        return False
    return (
        service_request.get("status") == "active"
        and service_request.get("intent") in ORDERS
        and bool(service_request.get("performer"))
    )


def make_task(
    service_request: Resource, *, task_id: str, now: str, requester_reference: Resource, owner_reference: Resource
) -> Resource:
    """A Task for referral management (SDOHCC), ``requested``, tagged as made by the server.

    ``now`` is an instant, taken for authoredOn where the ServiceRequest has none.
    """
    task: Resource = {
        "resourceType": "Task",
        "id": task_id,
        "meta": {"profile": [PROFILE], "tag": [dict(TAG)]},
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
    meta = made.get("meta")
    tags = meta.get("tag", ()) if isinstance(meta, dict) else ()
    return made.get("status") == "requested" and any(
        tag.get("system") == TAG["system"] and tag.get("code") == TAG["code"] for tag in tags
    )


def adopt_task(before: Resource, posted: Resource) -> Resource:
    """The posted Task under the id of the server-made one; the mark goes with the one it replaces."""
    return {**posted, "id": before["id"]}
