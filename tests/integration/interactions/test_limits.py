"""What is too much, or not offered at an address, is refused and never cut or ignored."""

import pytest

from app.core.errors import LostRace
from tests.api import Caller, World
from tests.integration.interactions.samples import patient, reference, service_request, task
from tests.sessions import session


async def test_an_include_is_refused_rather_than_cut(world: World, hospital: Caller) -> None:
    for _ in range(2):
        await hospital.create(task(reference(await hospital.create(patient())), "ServiceRequest/none", status="draft"))
    world.hub.settings = world.settings.model_copy(update={"max_includes": 1})
    answer = await hospital.get("/Task?_include=Task:patient")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["code"] == "too-costly"
    assert (await hospital.get("/Task?_include=Task:patient&_count=1")).status_code == 200


@pytest.mark.parametrize("name", ["_since", "_count", "_id", "anything"])
async def test_a_read_takes_no_search_parameter(hospital: Caller, name: str) -> None:
    found = reference(await hospital.create(patient()))
    for path in (f"/{found}", f"/{found}/_history/1", "/metadata"):
        answer = await hospital.get(f"{path}?{name}=true")
        assert answer.status_code == 400, path
        assert answer.json()["issue"][0]["expression"] == [name]


async def test_what_changed_while_it_was_weighed_is_not_shared(world: World, hospital: Caller, ngo: Caller) -> None:
    found = await hospital.create(patient())
    who = reference(found)
    request = reference(await hospital.create(service_request(who)))
    asked = await hospital.create(task(who, request, status="draft"))
    assert (await hospital.update({**found, "gender": "female"})).status_code == 200
    async with world.pool.acquire() as connection:
        with pytest.raises(LostRace):
            async with session(connection) as opened:
                await opened.open_package(asked["id"], "ngo", {("Patient", found["id"]): 1})
        async with session(connection) as opened:
            await opened.open_package(asked["id"], "ngo", {("Patient", found["id"]): 2})
    assert (await ngo.read(who))["gender"] == "female"


async def test_an_address_too_long_is_refused(hospital: Caller) -> None:
    answer = await hospital.get(f"/Patient?name={'x' * 9_000}")
    assert answer.status_code == 414
    assert answer.json()["issue"][0]["code"] == "too-long"
    form = await hospital.send(
        "POST", "/Patient/_search", f"name={'x' * 9_000}", content_type="application/x-www-form-urlencoded"
    )
    assert form.status_code == 200
