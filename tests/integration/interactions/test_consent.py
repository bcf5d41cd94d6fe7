"""What is labelled is shared under a Consent alone; what the patient forbids is not; both end when the Consent does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.interactions.package_clock import review_due
from tests.api import Caller, Resource, World
from tests.integration.interactions.consents import PURPOSE, VIOLENCE, change, consent, prepare
from tests.integration.interactions.samples import (
    entry,
    move,
    patient,
    refer,
    reference,
    refused,
    run_bundle,
    service_request,
    task,
)
from tests.integration.interactions.test_visibility import everything

CONDITIONS = {"system": "http://hl7.org/fhir/resource-types", "code": "Condition"}


async def test_without_a_consent_it_is_refused_with_the_reason(world: World, hospital: Caller, ngo: Caller) -> None:
    who, condition, asked, body = await prepare(hospital)
    issue = refused(await hospital.send("POST", "/Task", body), 422, "business-rule")
    for part in (condition, who, "R, SDV", "Organization/ngo", "COC", "Consent"):
        assert part in issue["diagnostics"]
    assert issue["expression"] == ["Task.owner"]
    for table in ("task", "package_member", "package_ground", "event"):
        assert await world.pool.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    assert await everything(ngo, [who, condition, asked]) == []


async def test_with_one_it_reaches_whom_it_names(hospital: Caller, ngo: Caller, stranger: Caller) -> None:
    who, condition, asked, body = await prepare(hospital)
    await hospital.create(consent(who, "ngo"))
    tasked = reference(await hospital.create(body))
    assert await everything(ngo, [tasked, who, condition, asked]) == [tasked, who, condition, asked]
    assert await everything(stranger, [tasked, who, condition, asked]) == []
    refused(await hospital.send("POST", "/Task", {**body, "owner": {"reference": "Organization/stranger"}}), 422)
    assert await everything(stranger, [tasked, who, condition, asked]) == []


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"status": "proposed"}, {}),
        ({"patient": {"reference": "Patient/other"}}, {}),
        ({"scope": {"coding": [{"code": "research"}]}}, {}),
        ({}, {"actor": []}),
        ({}, {"period": {"end": "2026-01-31"}}),
        ({}, {"period": {"start": "9000-01-01"}}),
        ({}, {"purpose": [{"system": PURPOSE, "code": "HPAYMT"}]}),
        ({}, {"securityLabel": [{"system": VIOLENCE["security"][0]["system"], "code": "HIV"}]}),
        (
            {},
            {
                "provision": [
                    {"type": "deny", "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Condition"}]}
                ]
            },
        ),
    ],
)
async def test_a_consent_to_something_else_does_not_do(
    hospital: Caller, ngo: Caller, changed: Resource, rule: Resource
) -> None:
    who, condition, _, body = await prepare(hospital)
    made = {**consent(who, "ngo", **rule), **changed}
    if rule.get("actor") == []:
        del made["provision"]["actor"]
    await hospital.create(made)
    assert condition in str(refused(await hospital.send("POST", "/Task", body), 422, "business-rule"))
    assert await everything(ngo, [who, condition]) == []


async def test_another_organisations_consent_is_none(hospital: Caller, ngo: Caller, stranger: Caller) -> None:
    who, _, _, body = await prepare(hospital)
    await stranger.create(consent(who, "ngo"))
    refused(await hospital.send("POST", "/Task", body), 422, "business-rule")
    await hospital.create(consent(who, "ngo"))
    tasked = reference(await hospital.create(body))
    await stranger.create(consent(who, "ngo", kind="deny"))
    assert (await hospital.read(tasked))["status"] == "requested"


@pytest.mark.parametrize("scope", ["treatment", "patient-privacy"])
async def test_a_refusal_stops_a_referral_before_it_starts(
    world: World, hospital: Caller, ngo: Caller, scope: str
) -> None:
    who = reference(await hospital.create(patient()))
    refusal = reference(await hospital.create(consent(who, kind="deny", scope=scope)))
    asked = reference(await hospital.create(service_request(who)))
    assigned, open_task, own = (task(who, asked) for _ in range(3))
    del open_task["owner"]
    own["owner"] = {"reference": "Organization/hospital"}
    for body in (assigned, open_task, *([own] if scope == "treatment" else [])):
        assert refusal in refused(await hospital.send("POST", "/Task", body), 422, "business-rule")["diagnostics"]
    bare = await world.caller("hospital", scopes="system/*.cruds", server_makes_tasks=True)
    body = service_request(who, performer=[{"reference": "Organization/ngo"}])
    refused(await bare.send("POST", "/ServiceRequest", body), 422, "business-rule")
    assert await hospital.find("Task") == []
    draft = reference(await hospital.create({**assigned, "status": "draft"}))
    refused(await move(hospital, draft, "requested"), 422, "business-rule")
    await change(hospital, refusal, status="inactive")
    assert (await move(hospital, draft, "requested")).status_code == 200
    assert await everything(ngo, [draft, who]) == [draft, who]


@pytest.mark.parametrize("ends", ["inactive", "rejected", "entered-in-error", "deny", "other", "delete"])
async def test_withdrawal_closes_the_package_and_cancels_the_task(
    world: World, hospital: Caller, ngo: Caller, ends: str
) -> None:
    who, condition, asked, body = await prepare(hospital)
    given = await hospital.create(consent(who, "ngo"))
    tasked = reference(await hospital.create(body))
    assert await everything(ngo, [who, condition, asked]) == [who, condition, asked]
    match ends:
        case "delete":
            assert (await hospital.send("DELETE", f"/Consent/{given['id']}")).status_code in (200, 204)
        case "deny":
            await hospital.create(consent(who, "ngo", kind="deny"))
        case "other":
            await change(hospital, reference(given), provision=consent(who, "stranger")["provision"])
        case _:
            await change(hospital, reference(given), status=ends)
    for each in (who, condition, asked):
        refused(await ngo.get(f"/{each}"), 404)
        refused(await ngo.get(f"/{each}/_history/1"), 404)
    found = await ngo.read(tasked)
    assert (found["status"], found["meta"]["versionId"]) == ("cancelled", "2")
    assert "consent" in found["statusReason"]["text"]
    assert await hospital.find(f"Provenance?target={tasked}")
    assert await world.pool.fetchval("SELECT count(*) FROM package_ground") == 0
    last: Any = await world.pool.fetchrow(
        "SELECT facts, audience FROM event WHERE topic LIKE '%status%' ORDER BY id DESC"
    )
    assert '"cancelled"' in last["facts"]
    assert last["audience"] == ["hospital", "ngo"]


async def test_what_rests_on_no_consent_stays_open(hospital: Caller, ngo: Caller, stranger: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    given = reference(await hospital.create(consent(who, "stranger")))
    await change(hospital, given, status="inactive")
    await hospital.create(consent(who, "stranger", kind="deny"))
    assert (await ngo.read(tasked))["status"] == "requested"
    given = reference(await hospital.create(consent(who, "ngo")))
    await change(hospital, given, dateTime="2026-11-02")
    assert await everything(ngo, [who, asked]) == [who, asked]
    await change(hospital, given, status="inactive")
    assert (await ngo.read(tasked))["status"] == "cancelled"
    assert await everything(ngo, [who, asked]) == []


async def test_a_renewed_consent_keeps_it_open(hospital: Caller, ngo: Caller) -> None:
    who, condition, _, body = await prepare(hospital)
    old = reference(await hospital.create(consent(who, "ngo")))
    tasked = reference(await hospital.create(body))
    found = await hospital.read(old)
    await run_bundle(
        hospital,
        "transaction",
        entry("PUT", old, {**found, "status": "inactive"}),
        entry("POST", "Consent", consent(who, "ngo")),
    )
    assert (await ngo.read(tasked))["status"] == "requested"
    assert await everything(ngo, [condition]) == [condition]


async def test_a_consent_in_the_same_transaction_counts(hospital: Caller, ngo: Caller) -> None:
    who = reference(await hospital.create(patient(meta=VIOLENCE)))
    asked = service_request(who, supportingInfo=[{"reference": "urn:uuid:00000000-0000-4000-8000-000000000002"}])
    one, two, three = (f"urn:uuid:00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
    entries = [
        entry("POST", "Task", task(who, one), three),
        entry("POST", "ServiceRequest", asked, one),
        entry("POST", "Consent", consent(who, "ngo"), two),
    ]
    answer = await run_bundle(hospital, "transaction", *entries)
    places = [each["response"]["location"].split("/_history")[0].split("/fhir/")[-1] for each in answer]
    assert await everything(ngo, [who, *places]) == [who, *places]


async def test_a_consent_given_later_lets_in_what_was_left_out(hospital: Caller, ngo: Caller) -> None:
    who, asked, _ = await refer(hospital)
    await change(hospital, who, meta=VIOLENCE)
    assert await everything(ngo, [who, asked]) == [asked]
    given = reference(await hospital.create(consent(who, "ngo")))
    assert await everything(ngo, [who, asked]) == [who, asked]
    await change(hospital, who, meta={"security": [*VIOLENCE["security"], {"system": "urn:x", "code": "y"}]})
    assert await everything(ngo, [who, asked]) == [who, asked]
    narrowed = consent(who, "ngo", securityLabel=[VIOLENCE["security"][0]])["provision"]
    await change(hospital, given, provision=narrowed)
    assert await everything(ngo, [who, asked]) == [who, asked]
    labels = [*VIOLENCE["security"], {**VIOLENCE["security"][0], "code": "HIV"}]
    await change(hospital, who, meta={"security": labels})
    assert await everything(ngo, [who, asked]) == [asked]


async def test_a_labelled_task_closes_too(hospital: Caller, ngo: Caller) -> None:
    who = reference(await hospital.create(patient()))
    asked = reference(await hospital.create(service_request(who)))
    given = reference(await hospital.create(consent(who, "ngo")))
    tasked = reference(await hospital.create(task(who, asked, meta=VIOLENCE)))
    other = reference(await hospital.create(task(who, asked, meta=VIOLENCE)))
    assert (await move(ngo, other, "rejected")).status_code == 200
    assert await everything(ngo, [tasked, other, who]) == [tasked, other, who]
    await change(hospital, given, status="inactive")
    assert await everything(ngo, [tasked, other, who]) == []
    assert (await hospital.read(tasked))["status"] == "cancelled"
    assert (await hospital.read(other))["status"] == "rejected"


async def test_a_labelled_record_comes_back_under_a_consent(world: World, hospital: Caller, ngo: Caller) -> None:
    who, _, _ = await refer(hospital)
    record = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": who}}
    answer = await ngo.send("POST", "/Observation", {**record, "meta": VIOLENCE}, Prefer="return=OperationOutcome")
    assert "no Consent" in answer.text
    kept = answer.headers["location"].split("/fhir/")[1].split("/_history")[0]
    assert await everything(hospital, [kept]) == []
    given = reference(await hospital.create(consent(who, "hospital", "ngo")))
    shown = reference(await ngo.create({**record, "meta": VIOLENCE}))
    plain = reference(await ngo.create(record))
    assert await everything(hospital, [kept, shown, plain]) == [shown, plain]
    await change(hospital, given, status="inactive")
    assert await everything(hospital, [kept, shown, plain]) == [plain]
    assert await everything(ngo, [kept, shown, plain]) == [kept, shown, plain]


async def make_due(world: World, seconds: float) -> None:
    """The clock's time comes sooner than the Consent says: nobody waits for it here."""
    await world.pool.execute(
        "UPDATE package_ground SET due_at = clock_timestamp() - make_interval(secs => $1)", float(seconds)
    )


async def test_the_clock_closes_what_a_consent_that_ended_permitted(
    world: World, hospital: Caller, ngo: Caller
) -> None:
    who, condition, _, body = await prepare(hospital)
    end = datetime.now(UTC) + timedelta(hours=1)
    await hospital.create(consent(who, "ngo", period={"end": end.isoformat(timespec="milliseconds")}))
    tasked = reference(await hospital.create(body))
    due = await world.pool.fetchval("SELECT due_at FROM package_ground")
    assert abs((due - end).total_seconds()) < 0.01
    await make_due(world, 1)
    assert await review_due(world.hub) == 1
    assert await everything(ngo, [tasked, condition]) == [tasked, condition]
    assert await world.pool.fetchval("SELECT due_at FROM package_ground") == due
    # As if the hour had passed.
    texts = [each.isoformat(timespec="milliseconds") for each in (end, end - timedelta(hours=2))]
    await world.pool.execute("UPDATE consent SET content = replace(content, $1, $2)", *texts)
    await make_due(world, 1)
    assert await review_due(world.hub) == 1
    assert await everything(ngo, [tasked, condition]) == [tasked]
    assert (await ngo.read(tasked))["status"] == "cancelled"
    assert await review_due(world.hub) == 0


async def test_the_package_of_a_completed_task_closes_in_time(world: World, hospital: Caller, ngo: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    for status in ("accepted", "completed"):
        assert (await move(ngo, tasked, status)).status_code == 200
    left = await world.pool.fetchval("SELECT closes_at - clock_timestamp() FROM package_ground")
    assert timedelta(days=89) < left < timedelta(days=91)
    assert await review_due(world.hub) == 0
    await world.pool.execute("UPDATE package_ground SET closes_at = now() - interval '1 s'")
    await world.pool.execute("UPDATE package_ground SET due_at = closes_at")
    assert await review_due(world.hub) == 1
    assert await everything(ngo, [who, asked, tasked]) == [tasked]
    assert (await ngo.read(tasked))["status"] == "completed"
    assert await review_due(world.hub) == 0


async def test_a_completed_task_keeps_its_time_whatever_the_consents_say(
    world: World, hospital: Caller, ngo: Caller
) -> None:
    who, asked, tasked = await refer(hospital)
    for status in ("accepted", "completed"):
        assert (await move(ngo, tasked, status)).status_code == 200
    closing = await world.pool.fetchval("SELECT closes_at FROM package_ground")
    given = reference(await hospital.create(consent(who, "ngo")))
    assert await world.pool.fetchval("SELECT closes_at FROM package_ground") == closing
    assert await world.pool.fetchval("SELECT due_at FROM package_ground") == closing
    await change(hospital, given, status="inactive")
    assert await everything(ngo, [who, asked, tasked]) == [tasked]
    assert (await ngo.read(tasked))["status"] == "completed"


async def test_a_history_says_what_must_not_be_passed_on(hospital: Caller, ngo: Caller) -> None:
    """A refrain policy asks for no Consent, so others see such versions."""
    refrain = {"security": [{**VIOLENCE["security"][0], "code": "NORDSCLCD"}]}
    _, condition, _, body = await prepare(hospital, **refrain)
    await hospital.create(body)
    [version] = (await ngo.get(f"/{condition}/_history")).json()["entry"]
    assert "42 CFR part 2" in version["response"]["outcome"]["issue"][0]["diagnostics"]
    [version] = (await hospital.get(f"/{condition}/_history")).json()["entry"]
    assert "outcome" not in version["response"]


async def test_what_must_not_be_passed_on_says_so(hospital: Caller, ngo: Caller) -> None:
    substance = {"security": [{**VIOLENCE["security"][0], "code": "SUD"}]}
    who, condition, asked, body = await prepare(hospital, **substance)
    await hospital.create(consent(who, "ngo"))
    await hospital.create(body)
    answer = await ngo.get(f"/{condition}")
    assert "42 CFR part 2" in answer.headers["warning"]
    assert "warning" not in (await hospital.get(f"/{condition}")).headers
    assert "warning" not in (await ngo.get(f"/{asked}")).headers
    for query in ("Condition", "Condition?_count=50&_elements=code"):
        *rest, notice = (await ngo.get(f"/{query}")).json()["entry"]
        assert [each["resource"]["resourceType"] for each in rest] == ["Condition"]
        assert notice["search"]["mode"] == "outcome"
        assert "42 CFR part 2" in notice["resource"]["issue"][0]["diagnostics"]
        assert len((await hospital.get(f"/{query}")).json()["entry"]) == 1
    assert len((await ngo.get("/ServiceRequest")).json()["entry"]) == 1
    [read] = await run_bundle(ngo, "batch", entry("GET", condition))
    assert "42 CFR part 2" in read["response"]["outcome"]["issue"][0]["diagnostics"]
