"""Two organisations: of what no referral shares, nothing shows at any door; of what one shares, its package."""

from typing import Any

from tests.api import Caller, Resource, World
from tests.integration.interactions.samples import (
    SYSTEM,
    bundle,
    entry,
    move,
    patient,
    refer,
    reference,
    refused,
    service_request,
    task,
)

RESTRICTED = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}


async def make_secrets(hospital: Caller) -> tuple[str, str, str]:
    """A referral of the hospital to the ngo whose every resource says CANARY."""
    who = reference(await hospital.create(patient("CANARY", name=[{"family": "CANARY"}])))
    asked = reference(await hospital.create(service_request(who, code={"text": "CANARY"}, note=[{"text": "CANARY"}])))
    return who, asked, reference(await hospital.create(task(who, asked, description="CANARY")))


async def test_a_stranger_sees_nothing_at_any_door(hospital: Caller, ngo: Caller, stranger: Caller) -> None:
    secrets = await make_secrets(hospital)
    for about in secrets:
        name, key = about.split("/")
        paths = [f"/{about}", f"/{about}/_history/1", f"/{about}/_history", f"/{name}?_id={key}", f"/{name}"]
        paths += [f"/{name}/_history", "/_history"]
        if name != "Patient":
            paths += [f"/{name}?patient={secrets[0]}", f"/{name}?_include={name}:patient"]
        for path in paths:
            answer = await stranger.get(path)
            assert answer.status_code in (200, 404), (path, answer.text)
            assert "CANARY" not in answer.text, path
            if answer.status_code == 200:
                found = [each["fullUrl"].split("/")[-2] for each in answer.json().get("entry", [])]
                assert set(found) <= {"Organization"}, path
            else:
                refused(answer, 404, "not-found")
    gets = [entry("GET", path) for about in secrets for path in (about, f"{about}/_history/1", about.split("/")[0])]
    answer = await stranger.send("POST", "", bundle("batch", *gets))
    assert "CANARY" not in answer.text
    for about in secrets:
        refused(await stranger.send("POST", "", bundle("transaction", entry("GET", about))), 404)


async def test_a_reference_to_what_one_does_not_see_is_one_to_nothing(hospital: Caller, stranger: Caller) -> None:
    who, asked, tasked = await make_secrets(hospital)
    own = {"requester": {"reference": "Organization/stranger"}, "owner": {"reference": "Organization/stranger"}}
    wish = {"Prefer": "return=OperationOutcome"}
    made = await stranger.send("POST", "/Task", task(who, asked, **own), **wish)
    none = await stranger.send("POST", "/Task", task("Patient/none", "ServiceRequest/none", **own), **wish)
    assert made.text == none.text.replace("ServiceRequest/none", asked).replace("Patient/none", who)
    query = "Task?_include=Task:focus&_include=Task:patient"
    assert len(await stranger.find(query)) == 2
    for condition in (f"Patient?identifier={SYSTEM}|CANARY", f"Patient?_id={who.split('/')[1]}", "Patient?name=CANARY"):
        answer = await stranger.send(
            "POST", "", bundle("transaction", entry("POST", "ServiceRequest", service_request(condition)))
        )
        assert "CANARY" not in refused(answer, 412)["diagnostics"]
    assert await hospital.find("Task") == [tasked]


async def test_a_strangers_task_moves_nothing_of_the_referral(world: World, hospital: Caller, stranger: Caller) -> None:
    who, asked, _ = await make_secrets(hospital)
    own = {"requester": {"reference": "Organization/stranger"}, "owner": {"reference": "Organization/stranger"}}
    made = reference(await stranger.create(task(who, asked, **own)))
    for status in ("accepted", "completed"):
        assert (await move(stranger, made, status)).status_code == 200
    assert (await hospital.read(asked))["meta"]["versionId"] == "1"
    rows = await world.pool.fetch("SELECT facts, audience FROM event")
    assert [row["facts"] for row in rows if "CANARY" in row["facts"] and "stranger" in row["audience"]] == []
    referrals = await world.pool.fetch("SELECT referral FROM event WHERE 'stranger' = ANY(audience)")
    assert {row[0] for row in referrals} == {made}


async def everything(caller: Caller, about: list[str]) -> list[str]:
    """Which of the references a caller can read."""
    return [each for each in about if (await caller.get(f"/{each}")).status_code == 200]


async def make_package(hospital: Caller, **more: Any) -> tuple[str, list[str], list[str]]:
    """The Task, what its package shares, and what of the same patient it does not."""
    who = reference(await hospital.create(patient()))

    async def about(name: str, **elements: Any) -> str:
        made: Resource = {"resourceType": name, "subject": {"reference": who}, **elements}
        return reference(await hospital.create(made))

    code = {"text": "x"}
    inside = [await about("Condition"), await about("Observation", status="final", code=code)]
    goal = await about("Goal", lifecycleStatus="active", description=code)
    outside = [await about("Condition"), await about("Goal", lifecycleStatus="active", description=code)]
    asked = await about(
        "ServiceRequest",
        status="active",
        intent="order",
        code=code,
        supportingInfo=[{"reference": inside[0]}],
        extension=[
            {
                "url": "http://hl7.org/fhir/StructureDefinition/resource-pertainsToGoal",
                "valueReference": {"reference": goal},
            }
        ],
    )
    tasked = reference(
        await hospital.create(
            task(who, asked, input=[{"type": code, "valueReference": {"reference": inside[1]}}], **more)
        )
    )
    outside.append(reference(await hospital.create(patient())))
    return tasked, [who, asked, goal, *inside], outside


async def test_the_package_opens_on_assignment_and_closes(hospital: Caller, ngo: Caller) -> None:
    for ends, actor in (("rejected", ngo), ("cancelled", hospital), ("cancelled", ngo), ("entered-in-error", hospital)):
        tasked, inside, outside = await make_package(hospital)
        assert await everything(ngo, [*inside, *outside]) == inside
        assert (await move(actor, tasked, ends)).status_code == 200
        assert await everything(ngo, [*inside, *outside]) == []
        for each in inside:
            refused(await ngo.get(f"/{each}/_history/1"), 404)
        assert (await ngo.read(tasked))["status"] == ends
        assert await ngo.find(f"{inside[0].split('/')[0]}") == []
        assert tasked in await ngo.find("Task?_include=Task:patient")


async def test_a_completed_task_leaves_its_package(hospital: Caller, ngo: Caller) -> None:
    tasked, inside, _ = await make_package(hospital)
    for status in ("accepted", "completed"):
        assert (await move(ngo, tasked, status)).status_code == 200
    assert await everything(ngo, inside) == inside
    late = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": inside[0]},
    }
    refused(await ngo.send("POST", "/Observation", late), 422, "business-rule")


async def test_two_tasks_of_one_patient(hospital: Caller, ngo: Caller) -> None:
    who, asked, first = await refer(hospital)
    second = reference(await hospital.create(task(who, asked)))
    assert (await move(ngo, first, "rejected")).status_code == 200
    assert await everything(ngo, [who, asked]) == [who, asked]
    assert (await move(ngo, second, "rejected")).status_code == 200
    assert await everything(ngo, [who, asked]) == []


async def test_a_draft_shares_nothing(hospital: Caller, ngo: Caller) -> None:
    tasked, inside, _ = await make_package(hospital, status="draft")
    assert await everything(ngo, [tasked, *inside]) == []
    refused(await move(hospital, tasked, "draft", requester={"reference": "Organization/ngo"}), 422)
    assert (await move(hospital, tasked, "requested")).status_code == 200
    assert await everything(ngo, [tasked, *inside]) == [tasked, *inside]


async def test_an_owner_given_later_opens_the_package(hospital: Caller, ngo: Caller) -> None:
    who = reference(await hospital.create(patient()))
    asked = reference(await hospital.create(service_request(who)))
    open_task = task(who, asked)
    del open_task["owner"]
    tasked = reference(await hospital.create(open_task))
    assert await everything(ngo, [who, asked, tasked]) == []
    found = await hospital.read(tasked)
    assert (await hospital.update({**found, "owner": {"reference": "Organization/ngo"}})).status_code == 200
    assert await everything(ngo, [who, asked, tasked]) == [who, asked, tasked]


async def test_what_is_labelled_is_not_shared(world: World, hospital: Caller, ngo: Caller) -> None:
    plain = reference(await hospital.create(patient()))
    labelled = reference(await hospital.create(patient(meta=RESTRICTED)))
    asked = reference(await hospital.create(service_request(plain)))
    for body in (task(labelled, asked), task(plain, asked, meta=RESTRICTED)):
        issue = refused(await hospital.send("POST", "/Task", body), 422, "business-rule")
        assert "Consent" in issue["diagnostics"]
    assert await hospital.find("Task") == []
    assert await world.pool.fetchval("SELECT count(*) FROM package_member") == 0
    assert await world.pool.fetchval("SELECT count(*) FROM event") == 0
    assert await everything(ngo, [plain, labelled, asked]) == []


async def test_what_is_labelled_later_leaves_the_package(hospital: Caller, ngo: Caller) -> None:
    tasked, inside, _ = await make_package(hospital)
    who, asked, _, condition, _ = inside
    for about in (who, condition, asked):
        found = await hospital.read(about)
        assert (await hospital.update({**found, "meta": {**found["meta"], **RESTRICTED}})).status_code == 200
        refused(await ngo.get(f"/{about}"), 404)
        refused(await ngo.get(f"/{about}/_history/1"), 404)
    assert await ngo.find("Task?_include=Task:patient&_include=Task:focus") == [tasked]
    found = await hospital.read(tasked)
    answer = await hospital.update({**found, "meta": {**found["meta"], **RESTRICTED}})
    assert "Consent" in refused(answer, 422, "business-rule")["diagnostics"]


async def test_a_package_holds_only_what_is_the_assigners_own(hospital: Caller, ngo: Caller, stranger: Caller) -> None:
    foreign = reference(await stranger.create(patient()))
    own = reference(await hospital.create(patient()))
    asked = reference(await hospital.create(service_request(own, supportingInfo=[{"reference": foreign}])))
    await hospital.create(task(own, asked, input=[{"type": {"text": "x"}, "valueReference": {"reference": foreign}}]))
    assert await everything(ngo, [own, asked, foreign]) == [own, asked]
    assert await everything(hospital, [foreign]) == []


async def test_what_the_owner_records_its_requester_sees(hospital: Caller, ngo: Caller, stranger: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    record = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": who}}
    made = reference(await ngo.create(record))
    assert await everything(hospital, [made]) == [made]
    assert await everything(stranger, [made]) == []
    refused(await hospital.send("PUT", f"/{made}", await hospital.read(made)), 403)
    await move(ngo, tasked, "rejected")
    assert await everything(hospital, [made]) == [made]
    assert await everything(ngo, [made, asked]) == [made]
    refused(await ngo.send("POST", "/Observation", record), 422, "business-rule")
