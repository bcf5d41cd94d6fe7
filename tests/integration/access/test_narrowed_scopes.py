"""A scope with a search (`system/Task.rs?status=requested`) lets one see what meets it, by no door anything else."""

from typing import Any

import pytest

from app.access.scopes import format_scopes, narrow_scopes, parse_scopes
from app.core.errors import Invalid
from tests.api import Caller, Resource, World
from tests.integration.interactions.samples import service_request
from tests.integration.interactions.samples import task as referral_task

NARROWED = "system/Patient.rs?gender=female system/ServiceRequest.rs system/Task.rs?priority=urgent,stat"


async def refer(hospital: Caller, gender: str, priority: str) -> tuple[Resource, Resource, Resource]:
    """A patient, a request and its Task for the partner."""
    patient = await hospital.create({"resourceType": "Patient", "gender": gender})
    about = f"Patient/{patient['id']}"
    request = await hospital.create(service_request(about))
    body = {**referral_task(about, f"ServiceRequest/{request['id']}"), "priority": priority}
    return patient, request, await hospital.create(body)


@pytest.fixture
async def people(world: World) -> tuple[Caller, Caller]:
    """A hospital's client that may do everything, and one of the same hospital that sees less."""
    await world.organization("ngo")
    return await world.caller("hospital"), await world.caller("hospital", scopes=NARROWED)


async def test_every_door_shows_what_meets_the_search_and_nothing_else(people: tuple[Caller, Caller]) -> None:
    whole, narrow = people
    woman, _, urgent = await refer(whole, "female", "urgent")
    man, _, routine = await refer(whole, "male", "routine")
    seen = [f"Task/{urgent['id']}", f"Patient/{woman['id']}"]
    hidden = [f"Task/{routine['id']}", f"Patient/{man['id']}"]

    assert [(await narrow.get(f"/{each}")).status_code for each in seen] == [200, 200]
    refusals = [await narrow.get(f"/{each}") for each in hidden]
    assert [each.status_code for each in refusals] == [404, 404]
    assert [(await narrow.get(f"/{each}/_history/1")).status_code for each in seen + hidden] == [200, 200, 404, 404]
    nothing = await narrow.get("/Task/nothing")
    assert refusals[0].text.replace(routine["id"], "nothing") == nothing.text

    assert await narrow.find("Task?_sort=_id") == [seen[0]]
    assert await narrow.find("Task?priority=routine") == []
    assert await narrow.find(f"Task?_id={routine['id']}") == []
    assert await narrow.find("Task?_lastUpdated=gt1970-01-01") == [seen[0]]
    answer = (await narrow.get("/Task?_total=accurate&_count=0")).json()
    assert answer["total"] == 1
    posted = await narrow.send(
        "POST", "/Task/_search", "priority=routine", Content_Type="application/x-www-form-urlencoded"
    )
    assert "entry" not in posted.json()

    included = set(await narrow.find("ServiceRequest?_include=ServiceRequest:subject&_revinclude=Task:focus"))
    assert included >= set(seen)
    assert not included & set(hidden)

    urls = ["Task", f"Task/{urgent['id']}", f"Task/{routine['id']}", f"Task/{routine['id']}/_history/1"]
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": each}} for each in urls],
    }
    entries = (await narrow.send("POST", "", batch)).json()["entry"]
    assert [each["response"]["status"][:3] for each in entries] == ["200", "200", "404", "404"]
    assert [each["resource"]["id"] for each in entries[0]["resource"]["entry"]] == [urgent["id"]]
    batch["type"] = "transaction"
    assert (await narrow.send("POST", "", batch)).status_code == 404


async def test_what_no_longer_meets_it_is_gone(people: tuple[Caller, Caller]) -> None:
    whole, narrow = people
    patient = await whole.create({"resourceType": "Patient", "gender": "female"})
    address = f"/Patient/{patient['id']}"
    assert (await narrow.get(address)).status_code == 200
    changed = await whole.update({**patient, "gender": "male"})
    assert changed.status_code == 200
    assert [(await narrow.get(f"{address}{each}")).status_code for each in ("", "/_history/1", "/_history/2")] == [
        404,
        200,
        404,
    ]
    await whole.send("DELETE", address)
    assert (await narrow.get(address)).status_code == 404
    assert (await whole.get(address)).status_code == 410


REFUSED: list[tuple[str, str, Any]] = [
    ("GET", "/Task/_history", None),
    ("GET", "/Task/x/_history", None),
    ("GET", "/_history", None),
    ("PUT", "/Task/x", {"resourceType": "Task", "id": "x", "status": "requested", "intent": "order"}),
    ("DELETE", "/Patient/x", None),
    ("POST", "/Patient", {"resourceType": "Patient"}),
]


@pytest.mark.parametrize(("method", "path", "body"), REFUSED)
async def test_what_does_not_honour_it_refuses_it(
    people: tuple[Caller, Caller], method: str, path: str, body: Any
) -> None:
    assert (await people[1].send(method, path, body)).status_code == 403


async def test_conditions_and_subscriptions_take_a_whole_scope(world: World) -> None:
    scopes = "system/Patient.c system/Patient.s?gender=female system/Subscription.cruds system/Task.rs?priority=stat"
    caller = await world.caller("hospital", scopes=f"{scopes} system/ServiceRequest.rs")
    created = await caller.send("POST", "/Patient", {"resourceType": "Patient"}, If_None_Exist="gender=male")
    assert created.status_code == 403
    body = {"url": "http://127.0.0.1:9/hook", "events": ["referral-status-changed"]}
    assert (await caller.http.post("/admin/webhooks", json=body)).status_code == 403


@pytest.mark.parametrize(
    "scope",
    [
        "system/Task.rs?",
        "system/Task.rs?colour=red",
        "system/Task.rs?status",
        "system/Task.rs?status=",
        "system/Task.rs?_count=1",
        "system/Task.rs?_sort=status",
        "system/Task.rs?_include=Task:focus",
        "system/Task.rs?_lastUpdated=gt2026-01-01",
        "system/Task.rs?_id=x",
        "system/Task.rs?_has:Provenance:target:_id=x",
        "system/Task.rs?patient.gender=female",
        "system/Task.rs?status:below=requested",
        "system/Task.cruds?status=requested",
        "system/Task.u?status=requested",
        "system/*.rs?_tag=x",
        "system/AuditEvent.rs?action=R",
        "system/Binary.rs?contenttype=x",
        'system/Task.rs?status="requested"',
        "system/Task.rs?status=a\\b",
        "system/Task.rs?status=%ff",
        "system/Task.rs?status=requested?status=accepted&x=1",
    ],
)
def test_what_cannot_be_honoured_is_refused(scope: str) -> None:
    with pytest.raises(Invalid):
        parse_scopes(scope)


def test_one_search_for_a_type() -> None:
    with pytest.raises(Invalid, match="commas"):
        parse_scopes("system/Task.rs?status=requested system/Task.r?status=accepted")
    text = "system/Task.r?status=requested system/Task.s?status=requested,accepted&priority=stat"
    assert format_scopes(parse_scopes(text)) == text


@pytest.mark.parametrize(
    ("asked", "covered"),
    [
        ("system/Task.rs?status=requested", True),
        ("system/Task.r?status=requested", True),
        ("system/Patient.rs?gender=female", True),
        ("system/Task.rs", False),
        ("system/Task.rs?status=accepted", False),
        ("system/Task.rs?status=requested&priority=stat", False),
        ("system/*.rs", False),
    ],
)
def test_what_is_granted_covers(asked: str, covered: bool) -> None:
    granted = parse_scopes("system/Task.rs?status=requested system/Patient.cruds")
    if covered:
        assert format_scopes(narrow_scopes(parse_scopes(asked), granted)) == asked
    else:
        with pytest.raises(Invalid):
            narrow_scopes(parse_scopes(asked), granted)
