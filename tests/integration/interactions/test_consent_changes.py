"""What was shared, when something of it changes later: closed stays closed, and what is labelled is weighed anew."""

from typing import Any

from app.interactions.package_clock import review_due
from tests.api import Caller, World
from tests.integration.interactions.consents import PURPOSE, VIOLENCE, change, consent, prepare
from tests.integration.interactions.samples import move, patient, refer, reference, refused, task
from tests.integration.interactions.test_visibility import everything

NOTE = [{"text": "Called again"}]


async def test_a_package_whose_time_is_over_stays_closed(world: World, hospital: Caller, ngo: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    for status in ("accepted", "completed"):
        assert (await move(ngo, tasked, status)).status_code == 200
    await world.pool.execute("UPDATE package_ground SET closes_at = now() - interval '1 s'")
    await world.pool.execute("UPDATE package_ground SET due_at = closes_at")
    assert await review_due(world.hub) == 1
    assert await everything(ngo, [tasked, who, asked]) == [tasked]
    await change(hospital, asked, note=NOTE)
    await hospital.create(
        {
            "resourceType": "CarePlan",
            "status": "active",
            "intent": "plan",
            "subject": {"reference": who},
            "activity": [{"reference": {"reference": asked}}],
        }
    )
    assert await everything(ngo, [tasked, who, asked]) == [tasked]


async def test_a_package_that_a_withdrawal_closed_stays_closed(hospital: Caller, ngo: Caller) -> None:
    who, condition, asked, body = await prepare(hospital)
    given = reference(await hospital.create(consent(who, "ngo")))
    tasked = reference(await hospital.create(body))
    for status in ("accepted", "completed"):
        assert (await move(ngo, tasked, status)).status_code == 200
    await change(hospital, given, status="inactive")
    assert await everything(ngo, [tasked, who, condition, asked]) == [tasked]
    await change(hospital, asked, note=NOTE)
    await hospital.create(consent(who, "ngo"))
    assert await everything(ngo, [tasked, who, condition, asked]) == [tasked]


async def test_a_task_that_is_labelled_later_leaves_the_packages_of_others(
    world: World, hospital: Caller, ngo: Caller
) -> None:
    other = await world.caller("other", "provider")
    who, asked, first = await refer(hospital)
    second = task(who, asked, owner={"reference": "Organization/other"}, basedOn=[{"reference": first}])
    rerouted = reference(await hospital.create(second))
    assert await everything(other, [first, rerouted]) == [first, rerouted]
    await hospital.create(consent(who, "ngo"))
    await change(hospital, first, meta=VIOLENCE)
    assert await everything(ngo, [first]) == [first]
    assert await everything(other, [first, rerouted]) == [rerouted]


async def test_what_is_labelled_is_weighed_for_whom_it_has_come_to_be_about(hospital: Caller, ngo: Caller) -> None:
    who, condition, _, body = await prepare(hospital)
    await hospital.create(consent(who, "ngo"))
    await hospital.create(body)
    assert await everything(ngo, [condition]) == [condition]
    another = reference(await hospital.create(patient()))
    await change(hospital, condition, subject={"reference": another})
    assert await everything(ngo, [condition]) == []


async def test_a_labelled_binary_outlives_a_consent_that_goes_on(hospital: Caller, ngo: Caller) -> None:
    who, condition, _, body = await prepare(hospital)
    given = reference(await hospital.create(consent(who, "ngo")))
    scan: dict[str, Any] = {
        "resourceType": "Binary",
        "contentType": "text/plain",
        "data": "V2FybQ==",
        "securityContext": {"reference": condition},
        "meta": VIOLENCE,
    }
    scanned = reference(await hospital.create(scan, Accept="application/fhir+json"))
    tasked = reference(await hospital.create(body))
    assert (await ngo.get(f"/{scanned}")).status_code == 200
    await change(hospital, given, dateTime="2026-11-02")
    assert (await ngo.read(tasked))["status"] == "requested"
    assert (await ngo.get(f"/{scanned}")).status_code == 200
    await change(hospital, given, status="inactive")
    assert (await ngo.read(tasked))["status"] == "cancelled"
    refused(await ngo.get(f"/{scanned}"), 404)


async def test_what_was_never_shared_cancels_nothing_later(hospital: Caller, ngo: Caller) -> None:
    who, _, asked, body = await prepare(hospital)
    given = reference(await hospital.create(consent(who, "ngo")))
    tasked = reference(await hospital.create(body))
    seen = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": who}}
    observed = reference(await hospital.create(seen))
    data = [{"meaning": "instance", "reference": {"reference": observed}}]
    await hospital.create(consent(who, kind="deny", data=data))
    await change(hospital, asked, supportingInfo=[{"reference": observed}])
    assert await everything(ngo, [tasked, asked, observed]) == [tasked, asked]
    await change(hospital, given, dateTime="2026-11-02")
    assert (await ngo.read(tasked))["status"] == "requested"
    assert await everything(ngo, [tasked, asked, observed]) == [tasked, asked]


async def test_another_purpose_is_weighed(hospital: Caller, ngo: Caller) -> None:
    who, condition, _, body = await prepare(hospital)
    await hospital.create(consent(who, "ngo", purpose=[{"system": PURPOSE, "code": "TREAT"}]))
    tasked = await hospital.create(body)
    assert await everything(ngo, [condition]) == [condition]
    research = {**tasked["meta"], "security": [{"system": PURPOSE, "code": "HRESCH"}]}
    refused(await hospital.update({**tasked, "meta": research}), 422, "business-rule")
