"""Clients that others wrote, fhirpy and fhirclient, refer a family through a running server."""

import asyncio
import warnings
from typing import Any

import pytest
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome

from tests.conformance.conftest import Site, token_for
from tests.integration.interactions.samples import service_request
from tests.integration.interactions.samples import task as referral_task

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from fhirclient.models.bundle import Bundle
    from fhirclient.models.fhirsearch import FHIRSearch
    from fhirclient.models.patient import Patient
    from fhirclient.models.task import Task
    from fhirclient.server import FHIRServer

Resource = dict[str, Any]

REFERRALS = 5
PAGE = 2
FAMILY = {"resourceType": "Patient", "name": [{"family": "Sok", "given": ["Dara"]}]}


def test_fhirpy(site: Site) -> None:
    hospital, ngo = (token_for(site, *who) for who in (("hospital", "referrer"), ("ngo", "provider")))
    asyncio.run(refer_with_fhirpy(f"{site.server.address}/fhir", hospital, ngo))


async def refer_with_fhirpy(base: str, hospital_token: str, ngo_token: str) -> None:
    def build(owner: AsyncFHIRClient, body: Resource) -> Any:
        return owner.resource(body["resourceType"], **body)

    def client(token: str, **headers: str) -> AsyncFHIRClient:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return AsyncFHIRClient(base, authorization=f"Bearer {token}", extra_headers=sent)

    hospital, ngo = client(hospital_token), client(ngo_token)
    patient = build(hospital, FAMILY)
    await patient.save()
    made = []
    for _ in range(REFERRALS):
        request = build(hospital, service_request(f"Patient/{patient['id']}"))
        await request.save()
        task = build(hospital, referral_task(f"Patient/{patient['id']}", f"ServiceRequest/{request['id']}"))
        await task.save()
        made.append(task["id"])

    poll = ngo.resources("Task").search(owner="Organization/ngo", status="requested", _lastUpdated="gt1970-01-01")
    found = await poll.limit(PAGE).fetch_all()
    assert [each["id"] for each in found] == sorted(made)
    with_focus = await ngo.resources("Task").search(_id=made[0]).include("Task", "focus").fetch_raw()
    assert [entry.resource["resourceType"] for entry in with_focus.entry] == ["Task", "ServiceRequest"]

    one = await ngo.get("Task", made[0])
    with pytest.raises(MultipleResourcesFound):  # what fhirpy calls every 412: a Task is updated with If-Match only
        await build(ngo, {**one, "status": "accepted"}).save()
    accepted = build(client(ngo_token, If_Match='W/"1"'), {**one, "status": "accepted"})
    await accepted.save()
    assert (accepted["status"], accepted["meta"]["versionId"]) == ("accepted", "2")
    mark = one["meta"]["lastUpdated"]
    changed = hospital.resources("Task").search(requester="Organization/hospital", _lastUpdated=f"gt{mark}")
    assert made[0] in [each["id"] for each in await changed.fetch_all()]

    with pytest.raises(OperationOutcome) as refusal:
        await hospital.resource("Task", status="bogus", intent="order").save()
    assert "Task.status" in str(refusal.value)
    patient["birthDate"] = "2019-02-03"
    await patient.save()
    assert (await hospital.get("Patient", patient["id"]))["meta"]["versionId"] == "2"
    assert [each["id"] for each in await hospital.resources("Patient").search(name="sok").fetch()] == [patient["id"]]


def test_fhirclient(site: Site) -> None:
    def connect(organization: str, role: str) -> FHIRServer:
        server = FHIRServer(None, f"{site.server.address}/fhir")
        server.session.headers["Authorization"] = f"Bearer {token_for(site, organization, role)}"
        return server

    hospital, ngo = connect("hospital", "referrer"), connect("ngo", "provider")
    assert hospital.capabilityStatement.fhirVersion == "4.0.1"
    patient = Patient(Patient(FAMILY).create(hospital))
    made = []
    for n in range(REFERRALS):
        name = f"urn:uuid:00000000-0000-4000-8000-00000000000{n}"
        referral = [
            (service_request(f"Patient/{patient.id}"), name),
            (referral_task(f"Patient/{patient.id}", name), None),
        ]
        entries = [
            {"resource": each, "request": {"method": "POST", "url": each["resourceType"]}}
            | ({"fullUrl": address} if address else {})
            for each, address in referral
        ]
        answer = Bundle({"resourceType": "Bundle", "type": "transaction", "entry": entries}).create(hospital)
        made.append(answer["entry"][1]["response"]["location"].split("/_history")[0].rsplit("/", 1)[1])

    struct = {"owner": "Organization/ngo", "status": "requested", "_count": str(PAGE)}
    pages = list(FHIRSearch(Task, struct).perform_iter(ngo))
    assert [len(page.entry) for page in pages] == [2, 2, 1]
    assert [entry.resource.id for page in pages for entry in page.entry] == sorted(made)

    task = Task.read(made[0], ngo)
    task.status = "accepted"
    ngo.session.headers["If-Match"] = f'W/"{task.meta.versionId}"'
    assert task.update(ngo)["status"] == "accepted"
    since = {"requester": "Organization/hospital", "_lastUpdated": f"gt{task.meta.lastUpdated.isostring}"}
    assert made[0] in [each.id for each in FHIRSearch(Task, since).perform_resources_iter(hospital)]
    assert Task.read(made[0], hospital).status == "accepted"
