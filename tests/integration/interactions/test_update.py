"""update: versions, If-Match, ids, and who may create by it (R4 http, update)."""

import asyncio

from tests.api import Caller, World
from tests.integration.interactions.samples import patient, refer, reference, refused, service_request

BASE = "http://handoff.test/fhir"
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "Weight"}}


async def test_updated(hospital: Caller) -> None:
    made = await hospital.create(patient())
    path = f"/{reference(made)}"
    answer = await hospital.send("PUT", path, {**made, "active": True})
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.headers["location"] == f"{BASE}{path}/_history/2"
    assert answer.json()["meta"]["versionId"] == "2"
    assert answer.headers["last-modified"]
    assert await hospital.read(reference(made)) == answer.json()
    minimal = await hospital.send("PUT", path, made, Prefer="return=minimal")
    assert (minimal.status_code, minimal.content, minimal.headers["etag"]) == (200, b"", 'W/"3"')
    outcome = await hospital.send("PUT", path, made, Prefer="return=OperationOutcome")
    assert outcome.json()["resourceType"] == "OperationOutcome"


async def test_the_index_follows(hospital: Caller) -> None:
    made = await hospital.create(patient("1"))
    await hospital.send("PUT", f"/{reference(made)}", {**patient("2"), "id": made["id"]})
    assert await hospital.find("Patient?identifier=1") == []
    assert await hospital.find("Patient?identifier=2") == [reference(made)]


async def test_if_match(hospital: Caller) -> None:
    made = await hospital.create(patient())
    path = f"/{reference(made)}"
    assert (await hospital.send("PUT", path, made, If_Match='W/"1"')).status_code == 200
    assert (await hospital.send("PUT", path, made, If_Match='"2"')).status_code == 200
    for stale in (1, 2, 4, 999_999_999_999_999_999):
        refused(await hospital.send("PUT", path, made, If_Match=f'W/"{stale}"'), 412, "conflict")
    assert (await hospital.read(reference(made)))["meta"]["versionId"] == "3"


async def test_versioned_types_need_if_match(hospital: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    done = {"resourceType": "Procedure", "status": "completed", "subject": {"reference": who}}
    for about in (asked, tasked, reference(await hospital.create(done))):
        found = await hospital.read(about)
        refused(await hospital.send("PUT", f"/{about}", found), 412)
        refused(await hospital.send("PUT", f"/{about}", found, If_Match='W/"9"'), 412)
        assert (await hospital.read(about)) == found
        assert (await hospital.update(found)).status_code == 200


async def test_the_id_of_the_body_is_that_of_the_address(hospital: Caller) -> None:
    made = await hospital.create(patient())
    path = f"/{reference(made)}"
    for body in (patient(), {**made, "id": "other"}):
        issue = refused(await hospital.send("PUT", path, body), 400)
        assert issue["expression"] == ["Patient.id"]
    refused(await hospital.send("PUT", path, service_request("Patient/1", id=made["id"])), 400)
    issue = refused(await hospital.send("PUT", path, {**made, "id": "a b"}), 422)
    assert issue["expression"] == ["Patient.id"]
    refused(await hospital.send("PUT", path, {**made, "id": 1}), 422)
    assert (await hospital.read(reference(made)))["meta"]["versionId"] == "1"


async def test_only_an_admin_creates_by_update(hospital: Caller, stranger: Caller, admin: Caller) -> None:
    made = await hospital.create(patient())
    gone = await hospital.create(patient())
    await hospital.send("DELETE", f"/{reference(gone)}")
    texts = set()
    for key in (made["id"], gone["id"], "nothing"):
        for headers in ({}, {"If_Match": 'W/"1"'}, {"If_Match": 'W/"9"'}):
            answer = await stranger.send("PUT", f"/Patient/{key}", {**patient(), "id": key}, **headers)
            refused(answer, 404, "not-found")
            texts.add(answer.text.replace(key, "?"))
    assert len(texts) == 1
    answer = await admin.send("PUT", "/Patient/chosen", {**patient(), "id": "chosen"})
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{BASE}/Patient/chosen/_history/1"
    refused(await admin.send("PUT", f"/{reference(made)}", made), 404)
    assert await hospital.read(reference(made)) == made


async def test_an_update_of_what_was_deleted(hospital: Caller) -> None:
    made = await hospital.create(patient())
    await hospital.send("DELETE", f"/{reference(made)}")
    refused(await hospital.send("PUT", f"/{reference(made)}", made), 410, "deleted")


async def test_what_one_sees_but_does_not_own_is_403(hospital: Caller, stranger: Caller) -> None:
    made = await hospital.create({"resourceType": "Organization", "name": "A ward"})
    refused(await stranger.send("PUT", f"/{reference(made)}", made), 403, "forbidden")
    refused(await stranger.send("DELETE", f"/{reference(made)}"), 403, "forbidden")
    assert await stranger.read(reference(made)) == made


async def test_an_admins_organization_owns_itself(admin: Caller) -> None:
    made = await admin.create({"resourceType": "Organization", "id": "hospital", "name": "Posted"})
    assert made["id"] != "hospital"
    assert (await admin.update({**made, "name": "Put"})).status_code == 200


async def test_each_version_is_written_once(hospital: Caller) -> None:
    made = await hospital.create(patient())
    path = f"/{reference(made)}"

    async def write(n: int) -> str:
        while True:
            found = (await hospital.get(path)).json()
            changed = {**found, "name": [{"family": str(n)}]}
            answer = await hospital.update(changed)
            if answer.status_code == 200:
                return str(answer.json()["meta"]["versionId"])
            assert answer.status_code in (409, 412), answer.text

    versions = await asyncio.gather(*(write(n) for n in range(30)))
    assert sorted(map(int, versions)) == list(range(2, 32))


async def test_of_a_hundred_writers_with_one_version_one_wins(hospital: Caller) -> None:
    made = await hospital.create(patient())
    answers = await asyncio.gather(*(hospital.update(made) for _ in range(100)))
    statuses = sorted(each.status_code for each in answers)
    assert statuses == [200, *[412] * 99]
    history = (await hospital.get(f"/{reference(made)}/_history")).json()["entry"]
    assert [each["response"]["etag"] for each in history] == ['W/"2"', 'W/"1"']


async def test_put_to_a_new_id_creates_for_a_client_that_the_operator_names(
    world: World, hospital: Caller, ngo: Caller
) -> None:
    foreign, gone = await hidden(hospital), await hidden(hospital)
    assert (await hospital.send("DELETE", f"/{gone}")).status_code in (200, 204)
    client = await world.pool.fetchval("SELECT id FROM client WHERE organization = 'ngo'")
    body = {"resourceType": "HealthcareService", "id": "kitchen-1", "name": "Meals"}
    refused(await ngo.send("PUT", "/HealthcareService/kitchen-1", body), 404)
    world.hub.settings = world.settings.model_copy(update={"update_as_create": f"another, {client}"})
    refused(await ngo.send("PUT", "/HealthcareService/kitchen-1", body, If_Match='W/"1"'), 412)
    answer = await ngo.send("PUT", "/HealthcareService/kitchen-1", body)
    assert (answer.status_code, answer.headers["etag"]) == (201, 'W/"1"')
    answer = await ngo.send("PUT", "/HealthcareService/kitchen-1", {**body, "name": "Warm meals"})
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    for each in (foreign, gone):
        refused(await ngo.send("PUT", f"/{each}", {**OBSERVATION, "id": each.split("/")[1]}), 404)
    refused(await ngo.send("PUT", "/Patient/of-mine", {**patient(), "id": "of-mine"}), 403)
    refused(await hospital.send("PUT", "/Patient/of-mine", {**patient(), "id": "of-mine"}), 404)


async def hidden(hospital: Caller) -> str:
    """Something that the ngo does not see."""
    return reference(await hospital.create(OBSERVATION))
