"""Conditional create, update and delete, alone and in a crowd (R4 http, 3.1.0.8.1)."""

import asyncio

from tests.api import Caller, World
from tests.integration.interactions.samples import SYSTEM, patient, refer, reference, refused

ONE = f"identifier={SYSTEM}|one"


async def test_conditional_create(hospital: Caller) -> None:
    made = await hospital.create(patient("one"), If_None_Exist=ONE)
    for condition in (ONE, f"?{ONE}", "identifier=one", f"name=nguyen&{ONE}"):
        answer = await hospital.send("POST", "/Patient", patient("one", active=True), If_None_Exist=condition)
        assert answer.status_code == 200
        assert answer.json() == made
        assert answer.headers["etag"] == 'W/"1"'
        assert answer.headers["location"] == f"http://handoff.test/fhir/{reference(made)}/_history/1"
    await hospital.create(patient("one"))
    refused(await hospital.send("POST", "/Patient", patient("one"), If_None_Exist=ONE), 412, "multiple-matches")
    assert len(await hospital.find("Patient")) == 2


async def test_a_condition_that_is_none(hospital: Caller) -> None:
    await hospital.create(patient("one"))
    for condition, status in (("", 412), ("?", 412), ("_format=json", 412), ("nom=x", 400), (f"{ONE}&_count=1", 400)):
        refused(await hospital.send("POST", "/Patient", patient(), If_None_Exist=condition), status)
        refused(await hospital.send("PUT", f"/Patient?{condition.removeprefix('?')}", patient()), status)
        refused(await hospital.send("DELETE", f"/Patient?{condition.removeprefix('?')}"), status)
    assert len(await hospital.find("Patient")) == 1


async def test_conditional_update(hospital: Caller) -> None:
    created = await hospital.send("PUT", f"/Patient?{ONE}", patient("one"))
    assert created.status_code == 201
    made = created.json()
    updated = await hospital.send("PUT", f"/Patient?{ONE}", patient("one", active=True))
    assert updated.status_code == 200
    assert (updated.json()["id"], updated.json()["meta"]["versionId"]) == (made["id"], "2")
    same = await hospital.send("PUT", f"/Patient?{ONE}", {**patient("one"), "id": made["id"]}, If_Match='W/"2"')
    assert same.status_code == 200
    refused(await hospital.send("PUT", f"/Patient?{ONE}", patient("one"), If_Match='W/"2"'), 412)
    issue = refused(await hospital.send("PUT", f"/Patient?{ONE}", {**patient("one"), "id": "other"}), 400)
    assert issue["expression"] == ["Patient.id"]
    issue = refused(await hospital.send("PUT", "/Patient?identifier=new", {**patient("new"), "id": "other"}), 400)
    assert issue["expression"] == ["Patient.id"]
    await hospital.create(patient("one"))
    refused(await hospital.send("PUT", f"/Patient?{ONE}", patient("one")), 412, "multiple-matches")


async def test_conditional_update_of_a_versioned_type_needs_if_match(hospital: Caller) -> None:
    _, asked, _ = await refer(hospital)
    found = await hospital.read(asked)
    path = f"/ServiceRequest?_id={found['id']}"
    refused(await hospital.send("PUT", path, found), 412)
    assert (await hospital.send("PUT", path, found, If_Match='W/"1"')).status_code == 200


async def test_conditional_delete(hospital: Caller) -> None:
    made = await hospital.create(patient("one"))
    assert (await hospital.send("DELETE", "/Patient?identifier=none")).status_code == 204
    assert (await hospital.send("DELETE", f"/Patient?{ONE}")).status_code == 204
    refused(await hospital.get(f"/{reference(made)}"), 410)
    assert (await hospital.send("DELETE", f"/Patient?{ONE}")).status_code == 204
    for _ in range(2):
        await hospital.create(patient("one"))
    refused(await hospital.send("DELETE", f"/Patient?{ONE}"), 412, "multiple-matches")
    assert len(await hospital.find("Patient")) == 2


async def test_of_fifty_conditional_creates_one_creates(hospital: Caller) -> None:
    answers = await asyncio.gather(
        *(hospital.send("POST", "/Patient", patient("one"), If_None_Exist=ONE) for _ in range(50))
    )
    assert sorted(each.status_code for each in answers) == [*[200] * 49, 201]
    assert len({each.headers["location"] for each in answers}) == 1
    assert len(await hospital.find("Patient")) == 1


async def test_of_twenty_conditional_updates_and_bundles_one_creates(hospital: Caller) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": patient("one"), "request": {"method": "PUT", "url": f"Patient?{ONE}"}}],
    }
    answers = await asyncio.gather(
        *(hospital.send("PUT", f"/Patient?{ONE}", patient("one")) for _ in range(10)),
        *(hospital.send("POST", "", bundle) for _ in range(10)),
    )
    assert {each.status_code for each in answers} <= {200, 201}
    [found] = await hospital.find("Patient")
    assert (await hospital.read(found))["meta"]["versionId"] == "20"


async def test_a_condition_matches_within_ones_own_sight(hospital: Caller, stranger: Caller) -> None:
    made = await hospital.create(patient("one"))
    other = await stranger.send("POST", "/Patient", patient("one"), If_None_Exist=ONE)
    assert other.status_code == 201
    assert other.json()["id"] != made["id"]
    assert (await stranger.send("DELETE", f"/Patient?{ONE}")).status_code == 204
    assert (await stranger.send("DELETE", f"/Patient?_id={made['id']}")).status_code == 204
    created = await stranger.send("PUT", f"/Patient?{ONE}", patient("one"))
    assert created.status_code == 201
    assert await hospital.read(reference(made)) == made


async def test_a_condition_takes_the_scope_to_search(world: World) -> None:
    caller = await world.caller("hospital", scopes="system/Patient.cru")
    refused(await caller.send("POST", "/Patient", patient("one"), If_None_Exist=ONE), 403)
    refused(await caller.send("PUT", f"/Patient?{ONE}", patient("one")), 403)
