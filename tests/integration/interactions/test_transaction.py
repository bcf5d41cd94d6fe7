"""What the entries of one transaction may not do to each other, and its conditions (R4 http, 3.1.0.11.2)."""

from copy import deepcopy

from app.core.caller import Caller as Client
from app.interactions.transaction import run_transaction
from tests.api import Caller, World
from tests.integration.interactions.samples import (
    bundle,
    entry,
    patient,
    reference,
    refused,
    run_bundle,
    service_request,
    task,
)

ONE = "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0901"
TWO = "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0902"
KEY = "identifier=http://hospital.example/mrn|"


async def test_one_resource_is_written_by_one_entry(hospital: Caller) -> None:
    one = await hospital.create(patient("one"))
    put, delete = entry("PUT", reference(one), one), entry("DELETE", reference(one))
    pairs = (
        (put, put),
        (put, delete),
        (delete, delete),
        (put, entry("PUT", f"Patient?{KEY}one", patient("one"))),
        (delete, entry("DELETE", f"Patient?{KEY}one")),
        (entry("POST", "Patient", patient("new"), ifNoneExist=f"{KEY}new"),) * 2,
        (entry("PUT", f"Patient?{KEY}new", patient("new")),) * 2,
        (
            entry("PUT", f"Patient?{KEY}new", patient("new")),
            entry("POST", "Patient", patient("new"), ifNoneExist=f"{KEY}new"),
        ),
        (entry("POST", "Patient", patient(), ONE), entry("POST", "Patient", patient(), ONE)),
    )
    for pair in pairs:
        answer = await hospital.send("POST", "", bundle("transaction", *pair))
        assert answer.status_code in (400, 422), (pair, answer.text)
        issue = refused(answer, answer.status_code)
        assert issue["expression"][0].startswith("Bundle"), issue
    assert await hospital.find("Patient") == [reference(one)]
    assert (await hospital.read(reference(one)))["meta"]["versionId"] == "1"


async def test_conditions_inside(hospital: Caller) -> None:
    old = await hospital.create(patient("old"))
    gone = await hospital.create(patient("gone"))
    answers = await run_bundle(
        hospital,
        "transaction",
        entry("POST", "Patient", patient("old"), ONE, ifNoneExist=f"{KEY}old"),
        entry("POST", "ServiceRequest", service_request(ONE)),
        entry("PUT", f"Patient?{KEY}put", patient("put"), TWO),
        entry("POST", "ServiceRequest", service_request(TWO)),
        entry("DELETE", f"Patient?{KEY}gone"),
        entry("DELETE", f"Patient?{KEY}never"),
    )
    statuses = [each["response"]["status"][:3] for each in answers]
    assert statuses == ["200", "201", "201", "201", "204", "204"]
    assert answers[0]["response"]["location"] == f"{reference(old)}/_history/1"
    put = answers[2]["response"]["location"].split("/_history")[0]
    first, second = [(await hospital.read(answers[n]["response"]["location"].split("/_h")[0])) for n in (1, 3)]
    assert first["subject"]["reference"] == reference(old)
    assert second["subject"]["reference"] == put
    refused(await hospital.get(f"/{reference(gone)}"), 410)
    again = await run_bundle(hospital, "transaction", entry("PUT", f"Patient?{KEY}put", patient("put")))
    assert again[0]["response"]["status"] == "200 OK"
    assert again[0]["response"]["location"] == f"{put}/_history/2"


async def test_a_conditional_update_keeps_to_the_id(hospital: Caller) -> None:
    one = await hospital.create(patient("one"))
    other = {**patient("one"), "id": "other"}
    for body in (entry("PUT", f"Patient?{KEY}one", other), entry("PUT", f"Patient?{KEY}none", other)):
        issue = refused(await hospital.send("POST", "", bundle("transaction", body)), 400)
        assert issue["expression"] == ["Bundle.entry[0].resource.id"]
    assert await hospital.find("Patient") == [reference(one)]


async def test_deletes_come_first_then_posts_then_puts_then_gets(hospital: Caller) -> None:
    one = await hospital.create(patient("one"))
    answers = await run_bundle(
        hospital,
        "transaction",
        entry("GET", "Patient?_sort=_id"),
        entry("PUT", reference(one), {**patient("one"), "id": one["id"]}),
        entry("POST", "Patient", patient("two")),
    )
    assert len(answers[0]["resource"]["entry"]) == 2
    stamps = [each["response"]["lastModified"] for each in answers[1:]]
    assert stamps[0] >= stamps[1]
    assert answers[0]["resource"]["entry"][0]["search"] == {"mode": "match"}


async def test_a_stale_version_undoes_the_whole(hospital: Caller) -> None:
    one = await hospital.create(patient("one"))
    await hospital.update(one)
    body = bundle(
        "transaction",
        entry("POST", "Patient", patient("two")),
        entry("PUT", reference(one), one, ifMatch='W/"1"'),
    )
    issue = refused(await hospital.send("POST", "", body), 412)
    assert issue["expression"] == ["Bundle.entry[1]"]
    asked = await hospital.create(service_request(reference(one)))
    body = bundle("transaction", entry("PUT", reference(asked), asked))
    refused(await hospital.send("POST", "", body), 412)
    assert await hospital.find("Patient") == [reference(one)]


async def test_a_task_that_breaks_the_rules_undoes_its_request(world: World, hospital: Caller, ngo: Caller) -> None:
    who = reference(await hospital.create(patient()))
    for wrong in ({"status": "accepted"}, {"requester": {"reference": "Organization/ngo"}}):
        body = bundle(
            "transaction",
            entry("POST", "Task", task(who, ONE, **wrong), TWO),
            entry("POST", "ServiceRequest", service_request(who), ONE),
        )
        issue = refused(await hospital.send("POST", "", body), 422, "business-rule")
        assert issue["expression"][0].startswith("Bundle.entry[0].resource."), issue
    assert await hospital.find("ServiceRequest") == []
    assert await ngo.find("Task") == []
    assert await world.pool.fetchval("SELECT count(*) FROM event") == 0
    assert await world.pool.fetchval("SELECT count(*) FROM package_member") == 0


async def test_what_an_entry_creates_later_is_no_reference_to_nothing(hospital: Caller) -> None:
    """Two entries that refer to each other: whichever is written first, neither is warned of."""
    who = "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0903"
    plan = {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": {"reference": who}}
    answers = await run_bundle(
        hospital,
        "transaction",
        entry("POST", "ServiceRequest", service_request(who, basedOn=[{"reference": TWO}]), ONE),
        entry("POST", "CarePlan", {**plan, "activity": [{"reference": {"reference": ONE}}]}, TWO),
        entry("POST", "Patient", patient(), who),
    )
    assert [each["response"].get("outcome") for each in answers] == [None] * 3


async def test_the_bundle_keeps_what_was_sent(hospital: Caller) -> None:
    sent = (
        '{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"name":[{"text":"Ân"}],"resourceType":'
        '"Patient","extension":[{"valueDecimal":1.10,"url":"http://x.example/a"},{"url":"http://x.example/b",'
        '"valueDecimal":1e-3}]},"request":{"url":"Patient","method":"POST"}}]}'
    )
    answer = await hospital.send("POST", "", sent)
    stored = await hospital.get("/" + answer.json()["entry"][0]["response"]["location"])
    assert '"extension":[{"valueDecimal":1.10,"url":"http://x.example/a"},' in stored.text
    assert '{"url":"http://x.example/b","valueDecimal":1e-3}]' in stored.text
    assert '"name":[{"text":"Ân"}],' in stored.text


async def test_what_came_is_left_as_it_came(world: World, hospital: Caller) -> None:
    """For a transaction that loses a race is tried again: what its references came to may be another thing then."""
    await hospital.create(patient("one"))
    sent = bundle(
        "transaction",
        entry("POST", "Patient", patient(), ONE),
        entry("POST", "ServiceRequest", service_request(ONE)),
        entry("POST", "ServiceRequest", service_request(f"Patient?{KEY}one")),
    )
    came = deepcopy(sent)
    client = Client("c", hospital.organization, "referrer", (("*", frozenset("cruds")),))
    assert len(await run_transaction(world.hub, client, sent)) == 3
    assert sent == came
