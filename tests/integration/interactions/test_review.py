"""What a hostile review found, each once: leaks, one partner's number, rewritten texts, plans of strangers."""

import json
from typing import Any
from urllib.parse import urlencode

from tests.api import Caller, World
from tests.integration.interactions.samples import (
    bundle,
    entry,
    patient,
    reference,
    refused,
    service_request,
    task,
)

RESTRICTED = {
    "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}
}


async def refer(hospital: Caller) -> tuple[str, str, str]:
    """(patient, ServiceRequest, Task)"""
    who = reference(await hospital.create(patient()))
    asked = reference(await hospital.create(service_request(who)))
    return who, asked, reference(await hospital.create(task(who, asked)))


async def move(caller: Caller, tasked: str, *statuses: str, **more: Any) -> None:
    for status in statuses:
        answer = await caller.update({**await caller.read(tasked), "status": status, **more})
        assert answer.status_code == 200, answer.text


async def test_a_labelled_record_stays_with_who_wrote_it(hospital: Caller, ngo: Caller) -> None:
    who, _, _ = await refer(hospital)
    record = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": who}}
    made = reference(await ngo.create({**record, **RESTRICTED}))
    refused(await hospital.get(f"/{made}"), 404)
    assert (await ngo.read(made))["code"] == {"text": "x"}


async def test_a_strangers_plan_learns_nothing(world: World, hospital: Caller, ngo: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    spy = await world.caller("spy")
    other = {"owner": {"reference": "Organization/spy"}}
    seen = reference(await hospital.create({**task(who, asked), **other}))
    plan = {
        "resourceType": "CarePlan",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": who},
        "activity": [{"reference": {"reference": asked}}],
    }
    watching = reference(await spy.create(plan))
    await move(spy, seen, "rejected")
    await move(ngo, tasked, "accepted", "completed")
    assert (await hospital.read(asked))["status"] == "completed"
    assert (await spy.read(watching))["meta"]["versionId"] == "1"


async def test_a_partners_own_task_moves_no_request_of_others(world: World, hospital: Caller, ngo: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    second = await world.caller("ngo", "referrer")
    rogue = {**task(who, asked), "requester": {"reference": "Organization/ngo"}}
    mine = reference(await second.create(rogue))
    await move(ngo, mine, "accepted", "completed")
    assert (await hospital.read(asked))["status"] == "active"
    await move(ngo, tasked, "accepted", "completed")
    assert (await hospital.read(asked))["status"] == "completed"


async def test_one_partners_number_stops_nobody(hospital: Caller, ngo: Caller) -> None:
    _, _, tasked = await refer(hospital)
    found = await ngo.read(tasked)
    output = '"output":[{"type":{"text":"x"},"valueDecimal":1e999}]'
    body = json.dumps({**found, "status": "accepted"})[:-1] + f",{output}}}"
    answer = await ngo.send("PUT", f"/{tasked}", body, If_Match='W/"1"')
    assert answer.status_code == 200, answer.text
    assert "1e999" in (await hospital.get(f"/{tasked}")).text
    cancelled = (await hospital.get(f"/{tasked}")).text.replace('"accepted"', '"cancelled"')
    assert (await hospital.send("PUT", f"/{tasked}", cancelled, If_Match='W/"2"')).status_code == 200


async def test_a_full_url_rewrites_references_alone(hospital: Caller) -> None:
    urn = "urn:uuid:7c2b3f6e-0000-4000-8000-000000000001"
    one = {**patient(), "identifier": [{"system": "urn:ietf:rfc:3986", "value": urn}]}
    about = {"resourceType": "Condition", "subject": {"reference": urn}}
    answer = await hospital.send(
        "POST", "", bundle("transaction", entry("POST", "Patient", one, urn), entry("POST", "Condition", about))
    )
    assert answer.status_code == 200, answer.text
    made, condition = (each["response"]["location"].split("/_history")[0] for each in answer.json()["entry"])
    assert (await hospital.read(made))["identifier"][0]["value"] == urn
    assert (await hospital.read(condition))["subject"]["reference"] == made
    for name in ("male", "Patient", "2020-01-01"):
        odd = {**patient(), "gender": "male", "birthDate": "2020-01-01"}
        refused(await hospital.send("POST", "", bundle("transaction", entry("POST", "Patient", odd, name))), 400)


async def test_wide_identifiers_are_indexed(hospital: Caller) -> None:
    wide = "\U0001f600" * 400
    made = await hospital.create({"resourceType": "Patient", "identifier": [{"system": wide, "value": wide[::-1]}]})
    answer = await hospital.send(
        "POST",
        "/Patient/_search",
        as_form(f"{wide}|{wide}"),
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.json()["entry"][0]["resource"]["id"] == made["id"]


def as_form(value: str) -> str:
    """A search by identifier as a form."""
    return urlencode({"identifier": value})


async def test_an_identifier_of_nobody_is_refused(hospital: Caller, ngo: Caller) -> None:
    who = reference(await hospital.create(patient()))
    asked = reference(await hospital.create(service_request(who)))
    unknown = {"owner": {"identifier": {"system": "http://npi.example", "value": "42"}}}
    answer = await hospital.send("POST", "/Task", {**task(who, asked), **unknown})
    assert refused(answer, 422, "business-rule")["expression"] == ["Task.owner.identifier"]


async def test_a_draft_that_gets_its_focus_joins_the_referral(hospital: Caller, ngo: Caller) -> None:
    who = reference(await hospital.create(patient()))
    asked = reference(await hospital.create(service_request(who)))
    draft = task(who, asked, status="draft")
    del draft["focus"]
    tasked = reference(await hospital.create(draft))
    await move(hospital, tasked, "requested", focus={"reference": asked})
    await move(ngo, tasked, "accepted", "completed")
    assert (await hospital.read(asked))["status"] == "completed"


async def test_a_label_holds_for_the_version_that_bore_it(hospital: Caller, ngo: Caller) -> None:
    who = await hospital.create({**patient(), **RESTRICTED, "address": [{"text": "CANARY"}]})
    bare = {**who, "meta": {"versionId": "1"}}
    del bare["address"]
    assert (await hospital.update(bare)).status_code == 200
    asked = reference(await hospital.create(service_request(reference(who))))
    await hospital.create(task(reference(who), asked))
    assert (await ngo.read(reference(who)))["meta"]["versionId"] == "2"
    refused(await ngo.get(f"/{reference(who)}/_history/1"), 404)
    for path in (f"/{reference(who)}/_history", "/Patient/_history", "/_history"):
        assert "CANARY" not in (await ngo.get(path)).text
    assert "CANARY" in (await hospital.get(f"/{reference(who)}/_history/1")).text
