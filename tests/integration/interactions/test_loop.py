"""The closed loop, from the referral to its outcome."""

from typing import Any

from tests.api import Caller, World
from tests.integration.interactions.samples import service_request, task


async def move(caller: Caller, reference: str, status: str, **more: Any) -> Any:
    found = await caller.read(reference)
    return await caller.update({**found, "status": status, **more})


async def test_the_whole_loop(world: World, hospital: Caller, ngo: Caller) -> None:
    patient = await hospital.create({"resourceType": "Patient", "name": [{"text": "An"}]})
    who = f"Patient/{patient['id']}"
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0901",
                "resource": task(who, "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0902"),
                "request": {"method": "POST", "url": "Task"},
            },
            {
                "fullUrl": "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0902",
                "resource": service_request(who),
                "request": {"method": "POST", "url": "ServiceRequest"},
            },
            {
                "fullUrl": "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0903",
                "resource": {
                    "resourceType": "CarePlan",
                    "status": "active",
                    "intent": "plan",
                    "subject": {"reference": who},
                    "activity": [{"reference": {"reference": "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0902"}}],
                },
                "request": {"method": "POST", "url": "CarePlan"},
            },
        ],
    }
    answer = await hospital.send("POST", "", bundle)
    assert answer.status_code == 200, answer.text
    task_ref, request_ref, plan_ref = (
        entry["response"]["location"].split("/_history")[0] for entry in answer.json()["entry"]
    )
    query = "Task?owner=Organization/ngo&status=requested&_include=Task:focus&_include=Task:patient"
    assert await ngo.find(query) == [task_ref, who, request_ref]
    assert (await ngo.read(plan_ref))["status"] == "active"

    assert (await move(ngo, task_ref, "accepted")).status_code == 200
    assert (await move(ngo, task_ref, "in-progress")).status_code == 200
    done = await ngo.create(
        {
            "resourceType": "Procedure",
            "status": "completed",
            "subject": {"reference": who},
            "basedOn": [{"reference": request_ref}],
        }
    )
    output = [{"type": {"text": "Resulting activity"}, "valueReference": {"reference": f"Procedure/{done['id']}"}}]
    assert (await move(ngo, task_ref, "completed", output=output)).status_code == 200

    assert (await hospital.read(request_ref))["status"] == "completed"
    [activity] = (await hospital.read(plan_ref))["activity"]
    assert activity["outcomeCodeableConcept"][0]["coding"][0]["code"] == "completed"
    assert activity["outcomeReference"] == [{"reference": f"Procedure/{done['id']}"}]
    assert (await hospital.read(f"Procedure/{done['id']}"))["status"] == "completed"
    targets = [(await hospital.read(each))["target"][0]["reference"] for each in await hospital.find("Provenance")]
    assert f"{request_ref}/_history/2" in targets
    assert f"{plan_ref}/_history/2" in targets
    rows = await world.pool.fetch("SELECT topic, sequence, facts FROM event ORDER BY id")
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["topic"] for row in rows].count("referral-status-changed") == 4
