"""``_sort`` by any keys: every match once, in order, page by page, whatever is written meanwhile (R4, 3.1.1.5.1)."""

import random
from collections.abc import Awaitable, Callable
from functools import cmp_to_key, partial
from typing import Any
from urllib.parse import quote

import pytest

from tests.api import Caller, Resource, World
from tests.integration.interactions.samples import refused

BASE = "http://handoff.test/fhir"
Values = dict[str, list[Any]]
"""For each sort key the values that a resource has, as Python compares them."""

NAMES = ("An", "Ân", "bảo", "Châu", "សុខា", "Đặng", "Zoë")
FOLDED = dict(zip(NAMES, ("an", "an", "bao", "chau", "សុខា", "dang", "zoe"), strict=True))
DAYS = ("2019-12-31", "2020-01-01", "2020-02-29")
GENDERS = ("female", "male", "other")


def some(dice: random.Random, choices: tuple[str, ...], most: int) -> list[str]:
    """None to ``most`` of the choices."""
    return dice.sample(choices, dice.randrange(most + 1))


def make_patient(dice: random.Random) -> tuple[Resource, Values]:
    """A patient, and what it is sorted by."""
    given, codes = some(dice, NAMES, 2), some(dice, ("1", "2", "10"), 2)
    carers, born, gender = some(dice, ("a", "b"), 2), some(dice, DAYS, 1), some(dice, GENDERS, 1)
    resource: Resource = {"resourceType": "Patient"}
    if given:
        resource["name"] = [{"given": given}]
    if codes:
        resource["identifier"] = [{"system": "urn:x", "value": each} for each in codes]
    if carers:
        resource["generalPractitioner"] = [{"reference": f"https://a.example/Practitioner/{each}"} for each in carers]
    if born:
        resource["birthDate"] = born[0]
    if gender:
        resource["gender"] = gender[0]
    values = {"given": [FOLDED[each] for each in given], "identifier": codes, "general-practitioner": carers}
    return resource, values | {"birthdate": born, "gender": gender}


def make_observation(dice: random.Random) -> tuple[Resource, Values]:
    """An observation with a number, a time that may be a period, and a category."""
    resource: Resource = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    number, days = some(dice, ("-3", "0.5", "10", "9"), 1), sorted(some(dice, DAYS, 2))
    codes = some(dice, ("x", "y", "z"), 2)
    if number:
        resource["valueQuantity"] = {"value": float(number[0])}
    if days:
        resource["effectivePeriod"] = {"start": days[0], "end": days[-1]}
    if codes:
        resource["category"] = [{"coding": [{"code": each}]} for each in codes]
    return resource, {"value-quantity": [float(each) for each in number], "date": days, "category": codes}


def compare(known: dict[str, Values], keys: list[str], left: str, right: str) -> int:
    """Below 0 where ``left`` comes first: by the value that is first in the key's direction, without one last."""
    one, other = known[left], known[right]
    for key in keys:
        code, descending = key.removeprefix("-"), key.startswith("-")
        if not one[code] or not other[code]:
            if bool(one[code]) != bool(other[code]):
                return -1 if one[code] else 1
            continue
        pick = max if descending else min
        first, second = pick(one[code]), pick(other[code])
        if first != second:
            return -1 if (first < second) != descending else 1
    return 0


async def walk(
    caller: Caller, path: str, between: Callable[[], Awaitable[None]] | None = None
) -> tuple[list[str], list[int]]:
    """The ids of all pages in order, and the size of each page."""
    found: list[str] = []
    sizes: list[int] = []
    following: str | None = path
    while following:
        answer = await caller.get(following)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        ids = [each["resource"]["id"] for each in page.get("entry", [])]
        found, sizes = found + ids, [*sizes, len(ids)]
        links = {link["relation"]: link["url"] for link in page["link"]}
        following = links["next"].removeprefix(BASE) if "next" in links else None
        if between:
            await between()
    return found, sizes


MAKERS = {"Patient": make_patient, "Observation": make_observation}


async def play(caller: Caller, other: Caller, name: str, seed: int, rounds: int) -> None:
    """Stores resources of two organisations, then walks through those of one in random orders."""
    dice = random.Random(seed)
    known: dict[str, Values] = {}
    for _ in range(14):
        resource, values = MAKERS[name](dice)
        made = await caller.create(resource)
        known[made["id"]] = values | {"_id": [made["id"]], "_lastUpdated": [made["meta"]["lastUpdated"]]}
        await other.create(MAKERS[name](dice)[0])
    codes = sorted(next(iter(known.values())))
    for _ in range(rounds):
        keys = [dice.choice("-,").replace(",", "") + each for each in dice.sample(codes, dice.randrange(1, 4))]
        tie = "-_id" if keys[-1].startswith("-") else "_id"
        order = cmp_to_key(partial(compare, known, [*keys, tie]))
        bound = dice.choice(("", "&_lastUpdated=gt2020"))
        count = dice.randrange(1, 6)
        found, sizes = await walk(caller, f"/{name}?_sort={','.join(keys)}&_count={count}{bound}")
        assert found == sorted(known, key=order), (seed, keys)
        assert all(size == count for size in sizes[:-1])


@pytest.mark.parametrize("name", MAKERS)
async def test_any_order_gives_every_match_once(world: World, hospital: Caller, stranger: Caller, name: str) -> None:
    world.hub.low_water.reuse = 0
    await play(hospital, stranger, name, seed=1, rounds=25)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
async def test_any_order_at_length(world: World, hospital: Caller, stranger: Caller, seed: int) -> None:
    world.hub.low_water.reuse = 0
    for name in MAKERS:
        await play(hospital, stranger, name, seed, rounds=100)


@pytest.mark.parametrize("sort", ["given,-birthdate", "-given", "birthdate,_lastUpdated", "-_lastUpdated", "_id"])
async def test_what_is_written_between_pages_moves_nothing_else(hospital: Caller, sort: str) -> None:
    dice = random.Random(sort)
    kept = [(await hospital.create(make_patient(dice)[0]))["id"] for _ in range(12)]
    moving = [await hospital.create(make_patient(dice)[0]) for _ in range(6)]
    still, _ = await walk(hospital, f"/Patient?_sort={sort}&_count=50")

    async def write() -> None:
        await hospital.create(make_patient(dice)[0])
        if moving:
            changed = moving.pop()
            await hospital.update({**make_patient(dice)[0], "id": changed["id"], "meta": changed["meta"]})
        if moving:
            await hospital.send("DELETE", f"/Patient/{moving.pop()['id']}")

    # A new row at the end of the order would be followed by another for ever: a page of three outruns it.
    found, _ = await walk(hospital, f"/Patient?_sort={sort}&_count=3", write)
    assert [each for each in found if each in kept] == [each for each in still if each in kept]


async def test_the_order_of_missing_and_equal_values(hospital: Caller) -> None:
    none = await hospital.create({"resourceType": "Patient"})
    late = await hospital.create({"resourceType": "Patient", "birthDate": "2001"})
    early = await hospital.create({"resourceType": "Patient", "birthDate": "2000-05"})
    names = {each["id"]: text for text, each in (("none", none), ("late", late), ("early", early))}
    for sort, wanted in (("birthdate", ["early", "late", "none"]), ("-birthdate", ["late", "early", "none"])):
        for count in (1, 2, 3):
            found, _ = await walk(hospital, f"/Patient?_sort={sort}&_count={count}")
            assert [names[each] for each in found] == wanted
    same = [await hospital.create({"resourceType": "Group", "type": "person", "actual": True}) for _ in range(4)]
    ids = sorted(each["id"] for each in same)
    assert (await walk(hospital, "/Group?_sort=type&_count=1"))[0] == ids
    assert (await walk(hospital, "/Group?_sort=-type&_count=1"))[0] == ids[::-1]


async def test_the_self_link_says_the_order(hospital: Caller) -> None:
    body = (await hospital.get("/Patient?_sort=-birthdate,name")).json()
    assert body["link"][0]["url"] == f"{BASE}/Patient?_sort={quote('-birthdate,name', safe='')}"


REFUSED = ("", "nom", "_sort", "name,", "-", "--name", "name:exact", "_score", "_text", "name;birthdate", "general"
           "-practitioner:identifier", "+name")  # fmt: skip


async def test_what_cannot_be_sorted_by(hospital: Caller) -> None:
    for sort in REFUSED:
        refused(await hospital.get(f"/Patient?_sort={quote(sort)}"), 400, "not-supported")
    refused(await hospital.get("/Observation?_sort=code-value-quantity"), 400, "not-supported")
    for sort in ("name,name", "name,-name", "name,given,family,gender,birthdate,active"):
        issue = refused(await hospital.get(f"/Patient?_sort={sort}"), 400, "invalid")
        assert issue["expression"] == ["_sort"]


async def test_a_cursor_of_another_order_is_refused(hospital: Caller) -> None:
    for _ in range(2):
        await hospital.create({"resourceType": "Patient", "birthDate": "2001"})
    body = (await hospital.get("/Patient?_sort=birthdate&_count=1")).json()
    cursor = body["link"][1]["url"].partition("_cursor=")[2]
    for sort in ("-birthdate", "name", "_id", "_lastUpdated", "birthdate,name"):
        refused(await hospital.get(f"/Patient?_sort={sort}&_cursor={cursor}"), 400, "invalid")
    refused(await hospital.get(f"/Patient?_cursor={cursor}"), 400, "invalid")
