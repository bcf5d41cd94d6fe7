"""delete: the tombstone, what comes after it, and If-Match (R4 http, delete)."""

from tests.api import Caller
from tests.integration.interactions.samples import patient, refer, reference, refused


async def test_deleted(hospital: Caller) -> None:
    made = await hospital.create(patient("x"))
    path = f"/{reference(made)}"
    answer = await hospital.send("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["etag"] == 'W/"2"'
    refused(await hospital.get(path), 410, "deleted")
    again = await hospital.send("DELETE", path)
    assert (again.status_code, again.content) == (204, b"")
    assert await hospital.find("Patient") == []
    assert await hospital.find("Patient?identifier=x") == []
    history = (await hospital.get(f"{path}/_history")).json()["entry"]
    assert [each["request"]["method"] for each in history] == ["DELETE", "POST"]
    assert "resource" not in history[0]
    refused(await hospital.send("DELETE", "/Patient/nothing"), 404, "not-found")


async def test_delete_with_if_match(hospital: Caller) -> None:
    made = await hospital.create(patient())
    path = f"/{reference(made)}"
    refused(await hospital.send("DELETE", path, None, If_Match='W/"2"'), 412)
    assert await hospital.read(reference(made)) == made
    assert (await hospital.send("DELETE", path, None, If_Match='W/"1"')).status_code == 204


async def test_what_is_not_seen_is_404(hospital: Caller, stranger: Caller) -> None:
    made = await hospital.create(patient())
    gone = await hospital.create(patient())
    await hospital.send("DELETE", f"/{reference(gone)}")
    texts = set()
    for key in (made["id"], gone["id"], "nothing"):
        answer = await stranger.send("DELETE", f"/Patient/{key}")
        refused(answer, 404, "not-found")
        texts.add(answer.text.replace(key, "?"))
    assert len(texts) == 1
    assert await hospital.read(reference(made)) == made


async def test_a_deleted_task_withdraws_its_package(hospital: Caller, ngo: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    assert (await ngo.read(who))["resourceType"] == "Patient"
    assert (await hospital.send("DELETE", f"/{tasked}")).status_code == 204
    for about in (who, asked):
        refused(await ngo.get(f"/{about}"), 404)
    refused(await ngo.get(f"/{tasked}"), 410)
    recorded = {"resourceType": "Procedure", "status": "completed", "subject": {"reference": who}}
    refused(await ngo.send("POST", "/Procedure", recorded), 422, "business-rule")
