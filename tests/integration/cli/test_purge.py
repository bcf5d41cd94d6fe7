"""`handoff purge`: of an erased patient no table holds anything, and what is of others stays."""

import json
from typing import Any

import asyncpg
import pytest

from app.fhir.openapi_examples import new_example
from app.fhir.registry import TYPES
from app.interactions import purge
from app.store.patients import patient_parameter
from tests.api import Caller, World
from tests.integration.cli.conftest import Attempt, Command
from tests.integration.delivery.test_delivery import make_webhook
from tests.integration.interactions.samples import patient, refer, reference, service_request, task

CANARY = "Zwyxcanary"
DIV = f'<div xmlns="http://www.w3.org/1999/xhtml">{CANARY}</div>'
ABOUT = [name for name in TYPES if "create" in TYPES[name].interactions and patient_parameter(name)]
HOLDING = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'audit_month') ORDER BY 1
"""


async def find_holders(pool: asyncpg.Pool, text: str) -> set[str]:
    """The tables in which a text stands in any column, as such or as bytes; the planner's statistics too."""
    found = set()
    for name in [row[0] for row in await pool.fetch(HOLDING)] + ["pg_stats"]:
        condition = "t::text ILIKE '%' || $1 || '%' OR t::text ILIKE '%' || encode($1::text::bytea, 'hex') || '%'"
        if await pool.fetchval(f"SELECT EXISTS (SELECT 1 FROM {name} t WHERE {condition})", text):
            found.add(name.rpartition(".")[2])
    return found


def about(name: str, who: str) -> dict[str, Any]:
    """A resource of the type about the patient that says CANARY."""
    parameter = patient_parameter(name)
    assert parameter is not None
    body = {**new_example(name), "text": {"status": "generated", "div": DIV}}
    if name == "Task":
        body["requester"] = {"reference": "Organization/hospital"}
    for path in parameter.paths:
        body[path.steps[0]] = [{"reference": who}] if parameter.in_rows else {"reference": who}
    return body


async def write_all(hospital: Caller, who: str) -> list[str]:
    """One of each type in two versions, every third one deleted."""
    made = []
    for name in ABOUT:
        found = await hospital.create(about(name, who))
        if name != "Provenance":
            answer = await hospital.update({**found, "language": "en"})
            assert answer.status_code == 200, (name, answer.text)
            made.append(reference(found))
    for each in made[::3]:
        assert (await hospital.send("DELETE", f"/{each}")).status_code == 204, each
    return made


async def scan(who: Caller, *documents: str) -> str:
    """A Binary, and a DocumentReference about each of these patients that names it."""
    answer = await who.send("POST", "/Binary", f"{CANARY} scanned", Content_Type="text/plain")
    binary = "/".join(answer.headers["location"].split("/fhir/")[1].split("/")[:2])
    for each in documents:
        await who.create(document(each, binary))
    return binary


def document(who: str, binary: str) -> dict[str, Any]:
    attachment = {"attachment": {"url": binary, "title": "a scan"}}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": who},
        "content": [attachment],
    }


@pytest.fixture
async def erased(world: World) -> str:
    """The patient, of whom there is everything, in every table that may hold any of it."""
    hospital, ngo = await world.caller("hospital"), await world.caller("ngo", "provider")
    await make_webhook(world.pool, world.settings, "http://127.0.0.1:1/")
    who = reference(
        await hospital.create(patient(f"{CANARY}-1", name=[{"family": CANARY}], address=[{"city": CANARY}]))
    )
    await write_all(hospital, who)
    asked = await hospital.create(service_request(who, code={"text": CANARY}))
    given = await hospital.create(task(who, reference(asked), description=CANARY))
    moved = await ngo.read(reference(given))
    assert (await ngo.update({**moved, "status": "accepted"})).status_code == 200
    await ngo.create(
        {"resourceType": "Procedure", "status": "completed", "subject": {"reference": who}, "code": {"text": CANARY}}
    )
    await scan(hospital, who)
    await world.pool.execute(
        "INSERT INTO delivery (webhook_id, event_id, referral, number, state, first_tried_at) "
        "SELECT 'w', id, referral, id, 'dead', now() FROM event"
    )
    await world.pool.execute("INSERT INTO attempt (delivery_id, number, answer) SELECT id, 1, $1 FROM delivery", CANARY)
    return who


async def test_nothing_is_left_of_the_patient(world: World, erased: str, handoff: Command, attempt: Attempt) -> None:
    await world.pool.execute("ANALYZE")
    before = await find_holders(world.pool, CANARY)
    assert before >= {"patient", "task", "resource_history", "search_string", "binary_chunk", "attempt", "pg_stats"}
    assert before >= {TYPES[name].table for name in ABOUT[1:3]}
    plan = await handoff("purge", erased)
    assert plan.startswith("Would be erased:")
    assert "Nothing is erased yet" in plan
    assert await find_holders(world.pool, CANARY) == before
    done = await handoff("purge", erased, "--yes")
    assert done.splitlines()[0] == plan.splitlines()[0].replace("Would be erased", "Erased")
    assert "1 Binary" in done
    assert "hospital, ngo" in done
    assert await find_holders(world.pool, CANARY) == set()
    # What the trail keeps is that it was done, and to which resources.
    months = await find_holders(world.pool, erased)
    assert {each for each in months if not each.startswith("m2")} == {"audit"}
    assert (await attempt("purge", erased)).exit_code == 1
    assert (await attempt("purge", "Task/1")).exit_code == 1
    hospital = await world.caller("hospital")
    assert (await hospital.get(f"/{erased}")).status_code == 404
    blank = "SELECT DISTINCT state, e.facts, e.keys FROM delivery d JOIN event e ON e.id = d.event_id"
    assert [tuple(row) for row in await world.pool.fetch(blank)] == [("withdrawn", "{}", [])]


async def test_it_stands_in_the_trail(world: World, erased: str, handoff: Command) -> None:
    await handoff("purge", erased, "--yes")
    lines = (await handoff("audit", "--what", "handoff purge", "--json")).splitlines()
    [row] = map(json.loads, lines)
    assert (row["client"], row["type"], f"Patient/{row['resource_id']}") == ("operator", "Patient", erased)
    assert erased in row["given"]
    assert row["number"] == len(row["given"]) > len(ABOUT)


async def test_what_is_of_others_stays(world: World, erased: str, handoff: Command) -> None:
    hospital, ngo = await world.caller("hospital"), await world.caller("ngo", "provider")
    other, asked, given = await refer(hospital)
    both = [{"entity": {"reference": each}} for each in (erased, other)]
    group = await hospital.create({"resourceType": "Group", "type": "person", "actual": True, "member": both})
    mistaken = await hospital.create(about("Observation", erased))
    corrected = {name: value for name, value in mistaken.items() if name != "text"}
    corrected["subject"] = {"reference": other}
    assert (await hospital.update(corrected)).status_code == 200
    shared = await scan(hospital, erased, other)
    stolen = await scan(ngo)
    await hospital.create(document(erased, stolen))
    channel = {"type": "rest-hook", "endpoint": "http://127.0.0.1:1/"}
    wish = {"resourceType": "Subscription", "status": "requested", "reason": "x", "channel": channel}
    followed = await hospital.create({**wish, "criteria": f"Observation?patient={erased}"})
    done = (await handoff("purge", erased, "--yes")).splitlines()
    assert "1 versions of what is about somebody else by now" in done[0]
    left = {line for line in done if line.startswith("Stays: ")}
    assert left == {f"Stays: {reference(each)} names {erased}" for each in (group, followed)}
    for each in (other, asked, given, reference(mistaken)):
        await hospital.read(each)
    assert (await ngo.get(f"/{given}")).status_code == 200
    assert (await hospital.get(f"/{shared}")).status_code == 200
    assert (await ngo.get(f"/{stolen}")).status_code == 200
    history = (await hospital.get(f"/{reference(mistaken)}/_history")).json()["entry"]
    assert [each["resource"]["meta"]["versionId"] for each in history] == ["2"]
    assert await find_holders(world.pool, f"{CANARY}-1") == set()


async def test_what_is_written_meanwhile_goes_too(world: World, erased: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody records one more thing between the look and the deletion."""
    hospital, erase = await world.caller("hospital"), purge.erase
    late: list[int] = []

    async def write_first(*arguments: Any) -> None:
        if not late:
            late.append(1)
            async with world.pool.acquire() as connection:
                await connection.execute(
                    "INSERT INTO observation (id, version, last_updated, content, owner_org, s_patient) VALUES "
                    "('late', 1, now(), $1, 'hospital', $2)",
                    json.dumps({"resourceType": "Observation", "subject": {"reference": erased}, "note": CANARY}),
                    erased,
                )
        await erase(*arguments)

    monkeypatch.setattr(purge, "erase", write_first)
    done = await purge.purge_patient(world.hub, erased)
    assert late
    assert ("Observation", "late") in done.resources
    assert await find_holders(world.pool, CANARY) == set()
    assert (await hospital.get("/Observation/late")).status_code == 404
