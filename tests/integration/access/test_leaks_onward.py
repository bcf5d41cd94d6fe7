"""The leak suite's doors of sub-referrals: what a partner tries to pass on, and what a third organisation then sees.

The hospital has sent a referral to the ngo, which passes it on to the shelter; the hospital allows that.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from app.access.interaction_rules import MAY_WRITE
from app.fhir.registry import TYPES
from tests.api import Caller, World
from tests.integration.access.doors import TAG, list_doors, neighbour_doors, onward_doors
from tests.integration.access.test_leaks import CANARY, Secret, hide, knock, try_door
from tests.integration.access.test_leaks_by_delivery import deliver, say_all, sort_by_receiver, subscribe
from tests.integration.delivery.receiver import open_receiver
from tests.integration.interactions.consents import consent
from tests.integration.interactions.samples import move, patient, reference, service_request, task

HOSPITAL, NGO, SHELTER = ({"reference": f"Organization/{each}"} for each in ("example", "ngo", "shelter"))


@dataclass(frozen=True, slots=True)
class Passing:
    """What was given to the ngo, and what that passes on."""

    who: str
    asked: str
    tasked: str
    focus: str

    @property
    def request(self) -> dict[str, Any]:
        """Another ServiceRequest by which it may be passed on: the server makes its Task."""
        based = {"intent": "filler-order", "basedOn": [{"reference": self.asked}]}
        return service_request(self.who, **based, performer=[SHELTER])

    @property
    def task(self) -> dict[str, Any]:
        parties = {"requester": NGO, "owner": SHELTER}
        return task(self.who, self.focus, partOf=[{"reference": self.tasked}], **parties)


@pytest.fixture
async def hospital(world: World) -> Caller:
    return await world.caller("example")


@pytest.fixture
async def ngo(world: World) -> Caller:
    """It makes its own Tasks."""
    return await world.caller("ngo", "provider")


@pytest.fixture
async def terse(world: World) -> Caller:
    """The same organisation; the server makes its Tasks."""
    return await world.caller("ngo", "provider", server_makes_tasks=True)


@pytest.fixture
async def shelter(world: World) -> Caller:
    return await world.caller("shelter", "provider")


@pytest.fixture
async def passing(hospital: Caller, ngo: Caller, shelter: Caller) -> Passing:
    who = reference(await hospital.create(patient()))
    asked = reference(await hospital.create(service_request(who, performer=[NGO, SHELTER])))
    mine = {"requester": HOSPITAL, "description": CANARY, "meta": tag("Task")}
    tasked = reference(await hospital.create(task(who, asked, **mine)))
    assert (await move(ngo, tasked, "accepted")).status_code == 200
    body = Passing(who, asked, tasked, "").request
    del body["performer"]
    return Passing(who, asked, tasked, reference(await ngo.create(body)))


def tag(name: str) -> dict[str, Any]:
    return {"tag": [{"system": TAG, "code": f"{CANARY}-{name}"}]}


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.soak)])
async def test_nothing_goes_along_that_was_not_given(
    world: World, hospital: Caller, ngo: Caller, terse: Caller, passing: Passing, step: int
) -> None:
    """Everything else that the hospital has, named at each place: as if it were not there."""
    secrets = [await hide(hospital, name) for name, each in TYPES.items() if "create" in each.interactions]
    cases = [(each, door) for each in secrets for door in onward_doors(each.name, passing.request, passing.task)]
    assert len(cases) > 700
    found, cases = [], cases[::step]
    for secret, door in cases:
        caller = terse if door.path == "/ServiceRequest" else ngo
        # Of a directory entry everybody sees a part, and so that it is there.
        if fault := await try_door(caller, door, secret, in_part=bool(secret.part_for)):
            found.append(f"{secret.name}, {door.name}: {fault}"[:400])
    assert not found, f"{len(found)} of {len(cases)}:\n" + "\n".join(found[:60])
    shared = await find_shared(world, "shelter")
    assert len(shared) > len(cases) // 2, "little was passed on: these doors show nothing"
    own = await find_own(world, "ngo")
    assert shared - own == {passing.who, passing.asked}


async def find_shared(world: World, organization: str) -> set[str]:
    """The resources in the packages that an organisation was given."""
    query = "SELECT DISTINCT type || '/' || id FROM package_member WHERE organization = $1"
    return {row[0] for row in await world.pool.fetch(query, organization)}


async def find_own(world: World, organization: str) -> set[str]:
    """The ServiceRequests and Tasks that an organisation has made."""
    tables = {name: TYPES[name].table for name in ("ServiceRequest", "Task")}
    query = " UNION ".join(
        f"SELECT '{name}/' || id FROM {table} WHERE owner_org = $1" for name, table in tables.items()
    )
    return {row[0] for row in await world.pool.fetch(query, organization)}


async def hide_beside(hospital: Caller, ngo: Caller, passing: Passing) -> list[Secret]:
    """What stands around the referral, and has not been passed on: of the hospital's, and of the ngo's."""
    who, text = {"reference": passing.who}, {"text": CANARY}
    asked = service_request(passing.who, code=text, meta=tag("ServiceRequest"), performer=[NGO, SHELTER])
    other = reference(await hospital.create(asked))
    plan = {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": who, "description": CANARY}
    activity = [{"reference": {"reference": each}} for each in (passing.asked, passing.tasked)]
    about = {"status": "final", "subject": who, "code": text}
    made = [
        (ngo, {"resourceType": "Observation", **about}),
        (ngo, {"resourceType": "Procedure", **about, "status": "completed"}),
        (hospital, {"resourceType": "Observation", **about}),
        (hospital, {"resourceType": "Condition", "subject": who, "code": text}),
        (hospital, {**consent(passing.who, "shelter"), "policyRule": text}),
        (hospital, {**plan, "activity": activity}),
        (hospital, task(passing.who, other, requester=HOSPITAL, description=CANARY)),
    ]
    found = [("Task", passing.tasked), ("ServiceRequest", other)]
    for number, (caller, body) in enumerate(made):
        name = body["resourceType"]
        found.append((f"{name}-{number}", reference(await caller.create({**body, "meta": tag(f"{name}-{number}")}))))
    named = [(each.partition("/"), code) for code, each in found]
    return [Secret(name, resource_id, f"{CANARY}-{code}") for (name, _, resource_id), code in named]


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.soak)])
async def test_a_third_organisation_sees_nothing_else_of_it(
    hospital: Caller, ngo: Caller, shelter: Caller, passing: Passing, step: int
) -> None:
    """Its doors to what was not passed on: to the Task that the ngo was given, and to what goes with that."""
    secrets = await hide_beside(hospital, ngo, passing)
    passed = reference(await ngo.create(passing.task))
    lent = [passing.who, passing.asked, passing.focus, passed]
    cases = [(each, door) for each in secrets for door in list_doors(each.name)][::step]
    cases += [(each, door) for each in secrets for one in lent for door in neighbour_doors(each.name, one)][::step]
    assert len(cases) > 2_000 / step
    found = []
    for secret, door in cases:
        answer = await try_door(shelter, door, secret, in_part=False)
        if answer:
            found.append(f"{secret.name}, {door.name}: {answer}"[:400])
    assert not found, f"{len(found)} of {len(cases)}:\n" + "\n".join(found[:60])
    assert [(await shelter.get(f"/{each}")).status_code for each in lent] == [200] * 4


async def test_a_third_organisation_is_told_of_nothing_else(
    world: World, hospital: Caller, ngo: Caller, shelter: Caller, passing: Passing
) -> None:
    """By Subscriptions of each topic and content, by searches that are followed, and by compact webhooks."""
    kitchen = await world.caller("kitchen", "provider")
    async with open_receiver() as receiver:
        asked = {each.organization: await subscribe(world, each, receiver) for each in (hospital, shelter, kitchen)}
        secrets = await hide_beside(hospital, ngo, passing)
        passed = reference(await ngo.create(passing.task))
        for caller, about, status in (
            (ngo, passing.tasked, "in-progress"),
            (shelter, passed, "accepted"),
            (ngo, f"Task/{secrets[-1].id}", "accepted"),
            (ngo, passing.tasked, "completed"),
            (hospital, f"CarePlan/{secrets[-2].id}", "revoked"),
        ):
            assert (await move(caller, about, status)).status_code == 200
        await deliver(world)
        sent = sort_by_receiver(receiver.requests)
    assert set(sent) == {"example", "shelter"}
    told = say_all(sent["shelter"])
    for each in asked["shelter"]:
        past = await shelter.get(f"/Subscription/{each}/$events?eventsSinceNumber=1&content=full-resource")
        told += past.text
    assert CANARY not in told
    assert passed in told
    # The Task that was passed on says what it is part of.
    rest = told.replace(f'"partOf":[{{"reference":"{passing.tasked}"', "")
    assert [each for each in secrets if f"{each.name}/{each.id}" in rest] == []
    heard = say_all(sent["example"])
    assert CANARY in heard
    assert [each for each in (passed, passing.focus, passing.tasked) if each not in heard] == []


async def test_what_a_partner_writes_is_among_the_doors(ngo: Caller) -> None:
    """The tables have each type that its role may write; its role does not stop it there any more, the rules do."""
    doors = {"c": "create with an id", "u": "update", "d": "delete"}
    for letter, names in MAY_WRITE["provider"].items():
        for name in names:
            assert doors[letter] in {each.name for each in list_doors(name)}, name
    for name in ("ServiceRequest", "Task"):
        listed = {each.name: each for each in list_doors(name)}
        answers = [await knock(ngo, listed[each], "none", "none") for each in doors.values()]
        assert [each.status_code for each in answers] == [422, 404, 403]
