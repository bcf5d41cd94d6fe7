"""Breaking the glass: for one request, with a reason, under a right of its own; recorded, and its owner is told."""

from urllib.parse import quote

import pytest

from tests.api import EVERYTHING, Caller, World
from tests.integration.interactions.consents import VIOLENCE
from tests.integration.interactions.samples import SYSTEM, bundle, entry, patient, reference, refused

WHY = "Unconscious in the emergency room"
BREAK = {"X_Break_Glass_Reason": WHY}


@pytest.fixture
async def emergency(world: World) -> Caller:
    """A client with the right."""
    return await world.caller("emergency", scopes=f"{EVERYTHING} break-glass")


async def make_record(hospital: Caller) -> tuple[str, str]:
    """A patient and a labelled Condition, which nothing shares."""
    who = reference(await hospital.create(patient("7")))
    condition = {
        "resourceType": "Condition",
        "subject": {"reference": who},
        "meta": VIOLENCE,
        "code": {"text": "CANARY"},
    }
    return who, reference(await hospital.create(condition))


async def test_one_request_sees_it_for_a_reason(hospital: Caller, emergency: Caller) -> None:
    who, condition = await make_record(hospital)
    for about in (who, condition):
        refused(await emergency.get(f"/{about}"), 404)
        assert (await emergency.get(f"/{about}", **BREAK)).status_code == 200
        refused(await emergency.get(f"/{about}"), 404)
    found = await emergency.get(f"/Condition?patient={who}", **BREAK)
    assert [reference(each["resource"]) for each in found.json()["entry"]] == [condition]
    form = {"Content_Type": "application/x-www-form-urlencoded", **BREAK}
    found = await emergency.send("POST", "/Patient/_search", f"identifier={quote(SYSTEM)}|7", **form)
    assert [reference(each["resource"]) for each in found.json()["entry"]] == [who]
    assert await emergency.find(f"Condition?patient={who}") == []
    refused(await emergency.get("/Condition/none", **BREAK), 404)


async def test_the_custodian_is_told(world: World, hospital: Caller, emergency: Caller) -> None:
    who, condition = await make_record(hospital)
    other = await world.caller("other")
    seen = await other.create({"resourceType": "Condition", "subject": {"reference": who}})
    await emergency.create({"resourceType": "Condition", "subject": {"reference": who}})
    assert len((await emergency.get(f"/Condition?patient={who}", **BREAK)).json()["entry"]) == 3
    for custodian, about in ((hospital, condition), (other, reference(seen))):
        [told] = await custodian.find("Communication?_count=9")
        notice = await custodian.read(told)
        assert notice["category"][0]["coding"][0]["code"] == "BTG"
        assert notice["about"] == [{"reference": about}]
        assert notice["subject"] == {"reference": who}
        assert notice["sender"] == {"reference": "Organization/emergency"}
        assert notice["payload"] == [{"contentString": WHY}]
        assert ("security" in notice["meta"]) == (custodian is hospital)
        # What the server writes is what it would take.
        del notice["meta"], notice["id"]
        await custodian.create(notice)
    assert await emergency.find("Communication") == []


async def test_the_trail_tells_of_it(world: World, hospital: Caller, emergency: Caller) -> None:
    who, _ = await make_record(hospital)
    reason = "Bất tỉnh"
    sent = {b"X-Break-Glass-Reason": reason.encode()}
    answer = await emergency.http.get(f"/fhir/{who}", headers=list(sent.items()))
    assert answer.status_code == 200
    refused(await emergency.get("/Patient/none", **BREAK), 404)
    admin = await world.caller("operator", "admin")
    events = [each["resource"] for each in (await admin.get("/AuditEvent?_count=200")).json()["entry"]]
    broken = {each["purposeOfEvent"][0]["text"]: each for each in events if "purposeOfEvent" in each}
    assert set(broken) == {reason, WHY}
    assert broken[reason]["purposeOfEvent"][0]["coding"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "BTG"}
    ]
    assert broken[reason]["entity"][0]["what"]["reference"] == who
    assert (broken[reason]["outcome"], broken[WHY]["outcome"]) == ("0", "4")
    assert len([each for each in events if each.get("purposeOfEvent")]) == 2


async def test_who_may_not_gets_nothing(world: World, hospital: Caller) -> None:
    who, _ = await make_record(hospital)
    for role in ("referrer", "provider", "coordinator", "admin"):
        caller = await world.caller("curious", role)
        for about in (who, "Patient/none"):
            refused(await caller.get(f"/{about}", **BREAK), 403)
        refused(await caller.get(f"/Condition?patient={who}", **BREAK), 403)
    assert await hospital.find("Communication") == []
    # The right lies in the token: a client that has it asks for it, or does not.
    narrow = await world.caller("narrow", scopes="system/Observation.rs break-glass")
    refused(await narrow.get(f"/{who}", **BREAK), 403)


async def test_the_operator_breaks_it_too(world: World, hospital: Caller) -> None:
    who, _ = await make_record(hospital)
    admin = await world.caller("operator", "admin", f"{EVERYTHING} break-glass")
    refused(await admin.get(f"/{who}"), 404)
    assert (await admin.get(f"/{who}", **BREAK)).status_code == 200
    assert len(await hospital.find("Communication")) == 1


@pytest.mark.parametrize("reason", ["", "  ", "...", "x" * 501, "a\tb"])
async def test_a_reason_says_why(hospital: Caller, emergency: Caller, reason: str) -> None:
    who, _ = await make_record(hospital)
    refused(await emergency.get(f"/{who}", X_Break_Glass_Reason=reason), 400)


async def test_it_is_for_one_patients_data_alone(world: World, hospital: Caller, emergency: Caller) -> None:
    who, condition = await make_record(hospital)
    key = condition.split("/")[1]
    searches = ("Condition", f"Condition?_id={key}", f"Condition?patient={who},Patient/x", f"AuditEvent?patient={who}")
    wide = ("Patient?name=an", "Patient?identifier=7", f"Condition?patient={who}&_include=Condition:subject")
    back = f"Patient?_id={who.split('/')[1]}&_revinclude=Condition:patient"
    versions = (f"{condition}/_history", f"{condition}/_history/1", "Condition/_history", "_history")
    for path in (*searches, *wide, back, *versions, "Binary/x", "Subscription/$status"):
        answer = await emergency.get(f"/{path}", **BREAK)
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert "CANARY" not in answer.text
    for path in ("Location/x", "Organization/hospital", "Subscription/x", "Questionnaire?subject-type=x"):
        refused(await emergency.get(f"/{path}", **BREAK), 403)
    refused(await emergency.send("POST", "", bundle("batch", entry("GET", condition)), **BREAK), 400)
    refused(await emergency.send("PUT", f"/{condition}", {"resourceType": "Condition", "id": key}, **BREAK), 400)
    refused(await emergency.send("DELETE", f"/{condition}", **BREAK), 400)
    refused(await emergency.send("POST", "/Condition", {"resourceType": "Condition"}, **BREAK), 400)
    assert await hospital.find("Communication") == []


async def test_no_wide_scope_is_the_right(world: World) -> None:
    """``system/*.cruds`` covers every type, and this is of none."""
    caller = await world.caller("wide", scopes="system/*.cruds")
    refused(await caller.get("/Patient/x", **BREAK), 403)
