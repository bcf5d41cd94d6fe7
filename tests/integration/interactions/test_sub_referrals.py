"""Passing a referral on: only as its requester or a Consent allows, and no longer than what it was passed on from."""

import asyncio
from typing import Any

import pytest

from app.interactions.package_clock import review_due
from app.store.grounds import hold_consents
from tests.api import Caller, Resource, World
from tests.integration.interactions.consents import VIOLENCE, change, consent
from tests.integration.interactions.samples import (
    entry,
    move,
    patient,
    reference,
    refused,
    run_bundle,
    service_request,
    task,
)
from tests.integration.interactions.sub_referrals import (
    Referral,
    accept,
    name,
    pass_on,
    readable,
    send,
    sub_request,
    sub_task,
)
from tests.integration.interactions.test_consent_races import until_waiting

FLAG = {
    "coding": [
        {
            "system": "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes",
            "code": "contacting-subject-prohibited",
        }
    ]
}


@pytest.fixture
async def shelter(world: World) -> Caller:
    return await world.caller("shelter", "provider")


async def test_a_performer_of_the_request_may_be_passed_it(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral = await send(hospital, "ngo", "shelter")
    await accept(ngo, referral)
    asked, answer = await pass_on(ngo, referral)
    assert answer.status_code == 201, answer.text
    tasked = reference(answer.json())
    passed = [referral.who, referral.condition, referral.asked, asked, tasked]
    assert await readable(shelter, [*passed, *referral.aside]) == passed
    assert await shelter.find("Task?owner=Organization/shelter&_include=Task:focus&_include=Task:patient") == [
        tasked,
        referral.who,
        asked,
    ]
    assert await readable(hospital, [asked, tasked]) == [asked, tasked]
    refused(await hospital.update({**await hospital.read(tasked), "status": "cancelled"}), 403)


async def test_it_goes_in_one_transaction(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    asked = "urn:uuid:2d8e8f5e-6d0c-4b60-9f3b-2f5b1f7a6f11"
    made = await run_bundle(
        ngo,
        "transaction",
        entry("POST", "Task", sub_task(referral, asked)),
        entry("POST", "ServiceRequest", sub_request(referral), asked),
    )
    assert [each["response"]["status"][:3] for each in made] == ["201", "201"]
    assert len(await shelter.find("ServiceRequest")) == 2


async def test_without_leave_it_is_refused(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral = await send(hospital)
    await accept(ngo, referral)
    _, answer = await pass_on(ngo, referral)
    issue = refused(answer, 422, "business-rule")
    assert issue["expression"] == ["Task.owner"]
    assert await shelter.find("Task") == await shelter.find("Patient") == []
    assert await ngo.find("Task") == [referral.tasked]


async def test_a_consent_that_names_it_allows_it(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral = await send(hospital)
    await accept(ngo, referral)
    await hospital.create(consent(referral.who))
    _, answer = await pass_on(ngo, referral)
    refused(answer, 422)  # it permits everybody, and names nobody
    given = reference(await hospital.create(consent(referral.who, "shelter")))
    _, answer = await pass_on(ngo, referral)
    assert answer.status_code == 201, answer.text
    assert await shelter.find("Condition") == [referral.condition]
    await change(hospital, given, status="inactive")
    assert (await ngo.read(reference(answer.json())))["status"] == "cancelled"
    assert (await ngo.read(referral.tasked))["status"] == "in-progress"
    assert await shelter.find("Condition") == await shelter.find("Patient") == []


async def test_a_consent_of_the_one_who_passes_on_opens_nothing(
    world: World, hospital: Caller, shelter: Caller
) -> None:
    ngo = await world.caller("ngo")  # a referrer, which may keep Consents of its own
    referral = await send(hospital, label=None)
    await accept(ngo, referral)
    await ngo.create(consent(referral.who, "shelter"))
    _, answer = await pass_on(ngo, referral)
    refused(answer, 422, "business-rule")
    await hospital.create(consent(referral.who, "shelter", kind="deny"))
    await change(hospital, referral.asked, performer=[name("shelter")])
    _, answer = await pass_on(ngo, referral)
    refused(answer, 422, "business-rule")
    assert await shelter.find("Patient") == []


async def send_labelled(hospital: Caller, ngo: Caller) -> tuple[Referral, str]:
    """An accepted referral with a label, which the shelter may perform; and the Consent, which names the ngo."""
    who = reference(await hospital.create(patient()))
    given = reference(await hospital.create(consent(who, "ngo")))
    subject = {"subject": {"reference": who}, "meta": VIOLENCE}
    condition = reference(await hospital.create({"resourceType": "Condition", **subject}))
    request = service_request(who, reasonReference=[{"reference": condition}], performer=[name("shelter")])
    asked = reference(await hospital.create(request))
    referral = Referral(who, condition, asked, reference(await hospital.create(task(who, asked))))
    await accept(ngo, referral)
    return referral, given


async def test_a_label_needs_a_consent_that_names_the_last(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral, given = await send_labelled(hospital, ngo)
    who, condition = referral.who, referral.condition
    focus, answer = await pass_on(ngo, referral)
    issue = refused(answer, 422, "business-rule")
    assert "is labelled" in issue["diagnostics"]
    assert given not in answer.text
    await change(hospital, given, provision=consent(who, "ngo", "shelter")["provision"])
    answer = await ngo.send("POST", "/Task", sub_task(referral, focus))
    assert answer.status_code == 201, answer.text
    assert await readable(shelter, [condition]) == [condition]
    await change(hospital, given, provision=consent(who, "ngo")["provision"])
    assert await readable(shelter, [condition, who, referral.asked]) == []
    assert await readable(ngo, [condition]) == [condition]
    assert (await ngo.read(reference(answer.json())))["status"] == "cancelled"


async def test_a_label_put_on_later_leaves_both_packages(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    await hospital.create(consent(referral.who, "shelter"))
    _, answer = await pass_on(ngo, referral)
    assert answer.status_code == 201, answer.text
    # The shelter is named, the ngo is not: what the ngo may not have, it does not pass on either.
    await change(hospital, referral.condition, meta=VIOLENCE)
    assert await readable(ngo, [referral.condition]) == await readable(shelter, [referral.condition]) == []
    assert await readable(shelter, [referral.who]) == [referral.who]


async def test_what_must_not_be_passed_on_needs_a_consent(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    code = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "NORDSCLCD"}
    referral = await send(hospital, "shelter", label={"security": [code]})
    await accept(ngo, referral)
    focus, answer = await pass_on(ngo, referral)
    assert "NORDSCLCD" in refused(answer, 422, "business-rule")["diagnostics"]
    await hospital.create(consent(referral.who, "shelter"))
    answer = await ngo.send("POST", "/Task", sub_task(referral, focus))
    assert answer.status_code == 201, answer.text
    assert await readable(shelter, [referral.condition]) == [referral.condition]


@pytest.mark.parametrize(
    ("ends", "by"),
    [("cancelled", "hospital"), ("cancelled", "ngo"), ("failed", "ngo"), ("entered-in-error", "hospital")],
)
async def test_it_ends_with_what_it_was_passed_on_from(
    world: World, hospital: Caller, ngo: Caller, shelter: Caller, ends: str, by: str
) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    asked, answer = await pass_on(ngo, referral)
    tasked = reference(answer.json())
    second_asked, answer = await pass_on(ngo, referral)
    done = reference(answer.json())
    for status in ("accepted", "completed"):
        assert (await move(shelter, done, status)).status_code == 200
    assert (await move({"hospital": hospital, "ngo": ngo}[by], referral.tasked, ends)).status_code == 200
    for caller in (shelter, ngo, hospital):
        found = await caller.read(tasked)
        assert found["status"] == "cancelled"
        assert "has ended" in found["statusReason"]["text"]
        assert (await caller.read(done))["status"] == "completed"
    shown = [referral.who, referral.condition, referral.asked, asked, second_asked]
    assert await readable(shelter, shown) == []
    assert f"{tasked}/_history/2" in [
        each["reference"] for found in await find_resources(ngo, "Provenance") for each in found["target"]
    ]
    refused(await move(shelter, tasked, "accepted"), 422)
    kept = await world.pool.fetchval("SELECT count(*) FROM package_member WHERE organization = 'shelter'")
    assert kept == 2  # the two Tasks, which tell how it ended


async def find_resources(caller: Caller, query: str) -> list[dict[str, Any]]:
    """The resources of a search's entries."""
    return [each["resource"] for each in (await caller.get(f"/{query}")).json()["entry"]]


async def test_what_is_taken_off_the_request_is_not_passed_on_any_more(
    hospital: Caller, ngo: Caller, shelter: Caller
) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    _, answer = await pass_on(ngo, referral)
    tasked = reference(answer.json())
    found = await hospital.read(referral.asked)
    del found["reasonReference"]
    assert (await hospital.update(found)).status_code == 200
    assert await readable(shelter, [referral.condition, referral.who]) == [referral.who]
    assert (await ngo.read(tasked))["status"] == "requested"
    await change(hospital, referral.asked, performer=[name("ngo")])
    found = await ngo.read(tasked)
    assert (found["status"], "does not allow" in found["statusReason"]["text"]) == ("cancelled", True)
    assert await readable(shelter, [referral.who]) == []


async def test_a_completed_one_leaves_it_for_a_time(
    world: World, hospital: Caller, ngo: Caller, shelter: Caller
) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    _, answer = await pass_on(ngo, referral)
    tasked = reference(answer.json())
    assert (await move(shelter, tasked, "accepted")).status_code == 200
    assert (await move(ngo, referral.tasked, "completed")).status_code == 200
    assert await readable(shelter, [referral.who]) == [referral.who]
    refused((await pass_on_again(ngo, referral)), 422)
    left = "SELECT bool_and(closes_at BETWEEN now() + interval '89 days' AND now() + interval '91 days') "
    assert await world.pool.fetchval(f"{left} FROM package_ground WHERE task_id = $1", tasked.split("/")[1])
    await world.pool.execute("UPDATE package_ground SET closes_at = now(), due_at = now() WHERE organization = 'ngo'")
    assert await review_due(world.hub) == 1
    assert await readable(ngo, [referral.who]) == await readable(shelter, [referral.who]) == []
    assert (await ngo.read(tasked))["status"] == "cancelled"


async def pass_on_again(ngo: Caller, referral: Referral) -> Any:
    return await ngo.send("POST", "/ServiceRequest", sub_request(referral))


async def test_its_own_time_ends_it_too(world: World, hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    """The clock of the sub-referral comes first: it does not wait for the other."""
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    _, answer = await pass_on(ngo, referral)
    assert (await move(ngo, referral.tasked, "completed")).status_code == 200
    now = "UPDATE package_ground SET closes_at = now(), due_at = now() WHERE organization = 'shelter'"
    await world.pool.execute(now)
    assert await review_due(world.hub) == 1
    assert await readable(shelter, [referral.who]) == []
    assert (await shelter.read(reference(answer.json())))["status"] == "cancelled"
    assert await readable(ngo, [referral.who]) == [referral.who]


async def test_one_more_hand(world: World, hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    kitchen, last = await world.caller("kitchen", "provider"), await world.caller("last", "provider")
    referral = await send(hospital, "shelter", "last")
    await accept(ngo, referral)
    own = {"subject": {"reference": referral.who}, "code": {"text": "x"}, "status": "final"}
    seen = reference(await ngo.create({"resourceType": "Observation", **own}))
    asked = reference(await ngo.create(sub_request(referral, supportingInfo=[{"reference": seen}])))
    tasked = reference(await ngo.create(sub_task(referral, asked)))
    assert await readable(shelter, [seen]) == [seen]
    second = Referral(referral.who, referral.condition, asked, tasked)
    refused(await shelter.send("POST", "/ServiceRequest", sub_request(second)), 422)  # not accepted yet
    await accept(shelter, second)
    more = {"supportingInfo": [{"reference": seen}]}
    onward = reference(await shelter.create(sub_request(second, **more)))
    to = {"requester": name("shelter"), "owner": name("kitchen")}
    refused(await shelter.send("POST", "/Task", sub_task(second, onward, **to)), 422)  # nobody allowed that
    await change(hospital, referral.asked, performer=[name(each) for each in ("shelter", "kitchen", "last")])
    onward_task = reference(await shelter.create(sub_task(second, onward, **to)))
    passed = [referral.who, referral.condition, onward, onward_task]
    assert await readable(kitchen, [*passed, referral.asked, asked, tasked, seen]) == passed
    assert await readable(hospital, passed) == await readable(ngo, passed) == passed
    third = Referral(referral.who, referral.condition, onward, onward_task)
    await accept(kitchen, third)
    deepest = reference(await kitchen.create(sub_request(third)))
    answer = await kitchen.send(
        "POST", "/Task", sub_task(third, deepest, requester=name("kitchen"), owner=name("last"))
    )
    assert refused(answer, 422)["expression"] == ["Task.partOf"]  # twice is enough
    assert await last.find("Task") == []
    assert (await move(hospital, referral.tasked, "cancelled")).status_code == 200
    assert [(await hospital.read(each))["status"] for each in (tasked, onward_task)] == ["cancelled"] * 2
    assert await readable(kitchen, passed) == [onward_task]


async def test_what_comes_of_it_the_requester_sees(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    _, answer = await pass_on(ngo, referral)
    tasked = reference(answer.json())
    assert (await move(shelter, tasked, "accepted")).status_code == 200
    record = {"subject": {"reference": referral.who}, "code": {"text": "x"}, "status": "completed"}
    made = reference(await shelter.create({"resourceType": "Procedure", **record}))
    assert await readable(hospital, [made]) == await readable(ngo, [made]) == [made]


async def test_its_events_stand_in_the_same_sequence(
    world: World, hospital: Caller, ngo: Caller, shelter: Caller
) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    _, answer = await pass_on(ngo, referral)
    tasked = reference(answer.json())
    assert (await move(shelter, tasked, "accepted")).status_code == 200
    rows = await world.pool.fetch(
        "SELECT referral, sequence, audience FROM event WHERE focus_id = $1 ORDER BY id", tasked.split("/")[1]
    )
    assert {row["referral"] for row in rows} == {referral.asked}
    assert all({"hospital", "ngo", "shelter"} == set(row["audience"]) for row in rows)
    sequence = await world.pool.fetch("SELECT sequence FROM event ORDER BY sequence")
    assert [row[0] for row in sequence] == list(range(1, len(sequence) + 1))


async def test_the_warning_goes_along(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral = await send(hospital, "shelter", request={"orderDetail": [FLAG]})
    await accept(ngo, referral)
    answer = await ngo.send("POST", "/ServiceRequest", sub_request(referral))
    assert refused(answer, 422)["expression"] == ["ServiceRequest.orderDetail"]
    made = await ngo.create(sub_request(referral, orderDetail=[FLAG]))
    del made["orderDetail"]
    assert refused(await ngo.update(made), 422)["expression"] == ["ServiceRequest.orderDetail"]


@pytest.mark.parametrize(
    ("more", "expression"),
    [
        ({"partOf": []}, "Task.partOf"),
        ({"partOf": [{"reference": "Task/none"}]}, "Task.partOf"),
        ({"owner": name("ngo")}, "Task.owner"),
        ({"owner": name("hospital")}, "Task.owner"),
        ({"owner": {"reference": "Patient/x"}}, "Task.owner"),
        ({"owner": None}, "Task.owner"),
        ({"for": {"reference": "Patient/x"}}, "Task.for"),
        ({"focus": {"reference": "ServiceRequest/x"}}, "Task.focus"),
        ({"focus": "original"}, "Task.focus"),
        ({"requester": name("hospital")}, "Task.requester"),
    ],
)
async def test_a_task_that_passes_on_something_else_is_refused(
    hospital: Caller, ngo: Caller, shelter: Caller, more: dict[str, Any], expression: str
) -> None:
    referral = await send(hospital, "shelter", "hospital", "ngo")
    await accept(ngo, referral)
    asked = reference(await ngo.create(sub_request(referral)))
    if more.get("focus") == "original":
        more = {"focus": {"reference": referral.asked}}
    body = sub_task(referral, asked, **more)
    body = {key: value for key, value in body.items() if value not in (None, [])}
    answer = await ngo.send("POST", "/Task", body)
    assert refused(answer, 422, "business-rule")["expression"] == [expression]
    assert await shelter.find("Task") == []


@pytest.mark.parametrize(
    "more",
    [
        {"intent": "order"},
        {"basedOn": [{"reference": "ServiceRequest/none"}]},
        {"subject": {"reference": "Patient/none"}},
    ],
)
async def test_a_request_that_passes_on_nothing_is_refused(hospital: Caller, ngo: Caller, more: dict[str, Any]) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    answer = await ngo.send("POST", "/ServiceRequest", sub_request(referral, **more))
    assert refused(answer, 422, "business-rule")["expression"] == ["ServiceRequest.basedOn"]


async def test_what_one_was_not_given_is_answered_like_nothing(
    world: World, hospital: Caller, ngo: Caller, shelter: Caller
) -> None:
    """The shelter knows the ids, and tries to pass on what was sent to the ngo."""
    referral = await send(hospital, "shelter", "kitchen")
    await accept(ngo, referral)
    await world.caller("kitchen", "provider")
    none = Referral("Patient/none", "Condition/none", "ServiceRequest/none", "Task/none")
    mine = {"requester": name("shelter"), "owner": name("kitchen")}
    for caller in (shelter, await world.caller("stranger")):
        own = {**mine, "requester": name(caller.organization)}
        answers = []
        for each in (referral, none):
            request = await caller.send("POST", "/ServiceRequest", sub_request(each))
            sent = await caller.send("POST", "/Task", sub_task(each, each.asked, **own))
            answers.append([(one.status_code, blank(one.text, each, one.json().get("id"))) for one in (request, sent)])
        assert answers[0] == answers[1]
    shared = await world.pool.fetch("SELECT DISTINCT type FROM package_member WHERE organization = 'kitchen'")
    assert [row[0] for row in shared] == ["Task"]  # the stranger's own, which say nothing


def blank(text: str, referral: Referral, made: str | None) -> str:
    """An answer without what differs from one to the next: ids, and the moment."""
    for each in (referral.who, referral.condition, referral.asked, referral.tasked, made):
        text = text.replace(each, "") if each else text
    return text.partition('"lastUpdated"')[0]


async def test_what_was_shared_otherwise_is_not_passed_on(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    """Two referrals of one patient: of the one that is passed on, nothing of the other comes along."""
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    subject = {"subject": {"reference": referral.who}}
    other = reference(await hospital.create({"resourceType": "Condition", **subject}))
    asked = reference(await hospital.create(service_request(referral.who, reasonReference=[{"reference": other}])))
    await hospital.create(task(referral.who, asked))
    assert await readable(ngo, [other]) == [other]
    more = {"supportingInfo": [{"reference": other}, {"reference": asked}]}
    focus = reference(await ngo.create(sub_request(referral, **more)))
    await ngo.create(sub_task(referral, focus))
    assert await readable(shelter, [focus, other, asked]) == [focus]


async def test_the_task_that_was_given_is_not_passed_on(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    """The ngo reads it because of this very referral, and names it in its own request."""
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    more = {"supportingInfo": [{"reference": each} for each in (referral.tasked, referral.asked)]}
    focus = reference(await ngo.create(sub_request(referral, **more)))
    await ngo.create(sub_task(referral, focus, basedOn=[{"reference": referral.tasked}]))
    assert await readable(shelter, [focus, referral.asked, referral.tasked]) == [focus, referral.asked]


@pytest.mark.parametrize("keeper", ["hospital", "ngo"])
async def test_a_label_on_what_a_document_holds_leaves_both_packages(
    world: World, hospital: Caller, shelter: Caller, keeper: str
) -> None:
    """A Consent names the shelter: the hospital's, but none names the ngo; or the ngo's, which allows nothing."""
    ngo = await world.caller("ngo")  # a referrer, which may keep Consents of its own
    plain = {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="}
    scan = await hospital.create(plain, Accept="application/fhir+json")
    held = {"content": [{"attachment": {"url": reference(scan)}}], "status": "current"}
    document = reference(await hospital.create({"resourceType": "DocumentReference", **held}))
    named = {"supportingInfo": [{"reference": document}]}
    referral = await send(hospital, "shelter", request=named)
    await accept(ngo, referral)
    focus = reference(await ngo.create(sub_request(referral, **named)))
    await ngo.create(sub_task(referral, focus))
    passed = [document, reference(scan)]
    assert await readable(ngo, passed) == await readable(shelter, passed) == passed
    await {"hospital": hospital, "ngo": ngo}[keeper].create(consent(referral.who, "shelter"))
    assert (await hospital.update({**plain, "id": scan["id"], "meta": {**scan["meta"], **VIOLENCE}})).status_code == 200
    assert await readable(ngo, passed) == await readable(shelter, passed) == [document]


async def test_what_was_passed_on_stays_the_same_thing(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral, other = await send(hospital, "shelter"), await send(hospital, "shelter")
    for each in (referral, other):
        await accept(ngo, each)
    asked, answer = await pass_on(ngo, referral)
    made = answer.json()
    for more in ({"partOf": [{"reference": other.tasked}]}, {"focus": {"reference": other.asked}}):
        refused(await ngo.update({**made, **more}), 422, "business-rule")
    del made["partOf"]
    refused(await ngo.update(made), 422, "business-rule")
    request = await ngo.read(asked)
    changes: tuple[Resource, ...] = (
        {"intent": "order"},
        {"basedOn": [{"reference": other.asked}]},
        {"subject": {"reference": other.who}},
    )
    for each_change in changes:
        refused(await ngo.update({**request, **each_change}), 422, "business-rule")
    assert (await ngo.update({**request, "status": "revoked"})).status_code == 200


async def test_a_draft_is_passed_on_when_it_is_sent(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral = await send(hospital)
    await accept(ngo, referral)
    _, answer = await pass_on(ngo, referral, status="draft")
    assert answer.status_code == 201, answer.text
    tasked = reference(answer.json())
    assert await readable(shelter, [tasked, referral.who]) == await readable(hospital, [tasked]) == []
    refused(await move(ngo, tasked, "requested"), 422, "business-rule")
    await change(hospital, referral.asked, performer=[name("shelter")])
    assert (await move(ngo, tasked, "requested")).status_code == 200
    assert await readable(shelter, [tasked, referral.who]) == [tasked, referral.who]


async def test_a_partner_refers_nobody_on_its_own(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral = await send(hospital)
    await accept(ngo, referral)
    own = task(referral.who, referral.asked, requester=name("ngo"), owner=name("shelter"))
    refused(await ngo.send("POST", "/Task", own), 422, "business-rule")
    refused(await ngo.send("POST", "/ServiceRequest", service_request(referral.who)), 422, "business-rule")
    assert await shelter.find("Task") == []


@pytest.fixture
async def terse(world: World) -> Caller:
    """A client of the ngo for which the server makes Tasks."""
    return await world.caller("ngo", "provider", server_makes_tasks=True)


async def test_a_bare_request_passes_on_too(hospital: Caller, ngo: Caller, terse: Caller, shelter: Caller) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    asked = reference(await terse.create(sub_request(referral, performer=[name("shelter")])))
    [tasked] = await shelter.find("Task")
    made = await shelter.read(tasked)
    assert (made["partOf"], made["focus"]) == ([{"reference": referral.tasked}], {"reference": asked})
    assert await readable(shelter, [referral.who, referral.condition]) == [referral.who, referral.condition]
    assert await readable(hospital, [tasked]) == [tasked]
    assert (await move(hospital, referral.tasked, "cancelled")).status_code == 200
    assert (await ngo.read(tasked))["status"] == "cancelled"


@pytest.mark.parametrize("performers", [["shelter"], ["other", "shelter"], ["other", "hospital"], ["ngo"]])
async def test_a_bare_request_needs_leave_too(
    hospital: Caller, ngo: Caller, terse: Caller, shelter: Caller, world: World, performers: list[str]
) -> None:
    await world.organization("other")
    referral = await send(hospital, "other")
    await accept(ngo, referral)
    body = sub_request(referral, performer=[name(each) for each in performers])
    issue = refused(await terse.send("POST", "/ServiceRequest", body), 422, "business-rule")
    assert issue["expression"] == ["ServiceRequest.performer"]
    draft = await terse.create({**body, "status": "draft"})
    refused(await terse.update({**draft, "status": "active"}), 422, "business-rule")
    assert await ngo.find("ServiceRequest?status=active") == [referral.asked]
    assert await shelter.find("Task") == await shelter.find("ServiceRequest") == []


async def test_a_bare_request_of_what_has_ended_is_refused(
    hospital: Caller, ngo: Caller, terse: Caller, shelter: Caller
) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    draft = await terse.create(sub_request(referral, performer=[name("shelter")], status="draft"))
    assert (await move(ngo, referral.tasked, "completed")).status_code == 200
    refused(await terse.update({**draft, "status": "active"}), 422, "business-rule")


async def test_what_is_queued_for_the_last_is_taken_back(
    world: World, hospital: Caller, ngo: Caller, shelter: Caller
) -> None:
    """Nothing is fanned out here: all events still wait. Of the end alone the shelter hears."""
    referral = await send(hospital)
    await accept(ngo, referral)
    given = reference(await hospital.create(consent(referral.who, "shelter")))
    asked, answer = await pass_on(ngo, referral)
    tasked = reference(answer.json())
    await change(ngo, asked, priority="urgent")
    heard = "SELECT focus_type, focus_version FROM event WHERE 'shelter' = ANY (audience) ORDER BY id"
    before = [tuple(row) for row in await world.pool.fetch(heard)]
    assert {("Task", 1), ("ServiceRequest", 2)} <= set(before)
    await change(hospital, given, status="inactive")
    assert {tuple(row) for row in await world.pool.fetch(heard)} == {("Task", 2)}
    assert (await shelter.read(tasked))["status"] == "cancelled"


async def test_who_passes_on_waits_for_who_writes_a_consent(
    world: World, hospital: Caller, ngo: Caller, shelter: Caller
) -> None:
    referral = await send(hospital)
    await accept(ngo, referral)
    given = reference(await hospital.create(consent(referral.who, "shelter")))
    asked = reference(await ngo.create(sub_request(referral)))
    async with world.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        # As the hospital's transaction that is about to write a Consent of this patient.
        await hold_consents(connection, [referral.who.split("/")[1]], writing=True)
        sending = asyncio.create_task(ngo.send("POST", "/Task", sub_task(referral, asked)))
        await until_waiting(world, "pg_advisory_xact_lock_shared")
        await connection.execute(
            "UPDATE consent SET content = replace(content, '\"active\"', '\"inactive\"') WHERE id = $1",
            given.split("/")[1],
        )
        await transaction.commit()
    refused(await sending, 422, "business-rule")
    assert await shelter.find("Patient") == await shelter.find("Task") == []


async def test_what_was_deleted_is_not_passed_on_any_more(hospital: Caller, ngo: Caller, shelter: Caller) -> None:
    referral = await send(hospital, "shelter")
    await accept(ngo, referral)
    _, answer = await pass_on(ngo, referral)
    tasked = reference(answer.json())
    assert (await hospital.send("DELETE", f"/{referral.condition}")).status_code in (200, 204)
    refused(await shelter.get(f"/{referral.condition}"), 410)
    assert await readable(shelter, [referral.who]) == [referral.who]
    assert (await hospital.send("DELETE", f"/{referral.asked}")).status_code in (200, 204)
    for caller in (shelter, ngo, hospital):
        assert (await caller.read(tasked))["status"] == "cancelled"
    assert await readable(shelter, [referral.who, referral.asked]) == []
