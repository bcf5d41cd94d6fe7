"""The shelter's address shows to nobody else, by any door: others see a part of what belongs to it, or nothing."""

from typing import Any

import pytest

from tests.api import Caller, Resource, World
from tests.integration.interactions.consents import LEVEL, change
from tests.integration.interactions.samples import bundle, entry, reference, refused, service_request, task

GRAVITY = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
RESTRICTED = {"security": [{"system": LEVEL, "code": "R"}]}
PLACE = {"line": ["CANARY 7"], "city": "CANARY", "state": "CANARY"}
PHONE = [{"system": "phone", "value": "1800 1234"}]
SECRET_PHONE = [{"system": "phone", "value": "CANARY 555"}]
HIDDEN: Resource = {"identifier": [{"system": "urn:x", "value": "CANARY"}], "meta": {"tag": [{"code": "CANARY"}]}}


def violence(code: str = "intimate-partner-violence") -> list[Resource]:
    return [{"coding": [{"system": GRAVITY, "code": code}]}]


def location(**more: Any) -> Resource:
    return {
        "resourceType": "Location",
        "status": "active",
        "name": "House of Peace",
        "description": "CANARY",
        "address": PLACE,
        "telecom": SECRET_PHONE,
        "position": {"longitude": 108.25, "latitude": 16.07},
        **HIDDEN,
        **more,
    }


def service(*places: str, **more: Any) -> Resource:
    if places:
        more["location"] = [{"reference": each, "display": "CANARY"} for each in places]
    return {
        "resourceType": "HealthcareService",
        "active": True,
        "name": "Rooms",
        "category": violence(),
        "telecom": PHONE,
        "comment": "CANARY",
        **HIDDEN,
        **more,
    }


@pytest.fixture
async def house(world: World) -> Caller:
    """A shelter."""
    return await world.caller("house", "provider")


@pytest.fixture
async def network(house: Caller) -> dict[str, str]:
    """All that a shelter has in the directory, with CANARY wherever nobody may look."""
    found = await house.read("Organization/house")
    mine = {**found, "name": "House of Peace", "address": [PLACE], "telecom": PHONE, **HIDDEN}
    mine["contact"] = [{"name": {"text": "CANARY"}, "address": PLACE}]
    assert (await house.update({**mine, "meta": {**found["meta"], **HIDDEN["meta"]}})).status_code == 200
    made = {"organization": "Organization/house"}
    region = {"resourceType": "Location", "status": "active", "name": "North", "address": {"state": "North"}}
    made["region"] = reference(await house.create(region))
    made["place"] = reference(await house.create(location(partOf={"reference": made["region"]})))
    made["room"] = reference(await house.create(location(partOf={"reference": made["place"]})))
    areas = [{"reference": made["region"]}, {"reference": "#inside"}]
    inside = {"resourceType": "Location", "id": "inside", "address": PLACE}
    offered = service(
        made["place"], coverageArea=areas, contained=[inside], providedBy={"reference": "Organization/house"}
    )
    made["service"] = reference(await house.create(offered))
    who = await house.create({"resourceType": "Practitioner", "name": [{"family": "CANARY"}], "telecom": SECRET_PHONE})
    made["person"] = reference(who)
    role = {"practitioner": {"reference": made["person"], "display": "CANARY"}, "telecom": SECRET_PHONE}
    role["healthcareService"] = [{"reference": made["service"]}]
    made["role"] = reference(await house.create({"resourceType": "PractitionerRole", **role}))
    return made


async def test_others_see_name_category_area_and_a_channel(hospital: Caller, network: dict[str, str]) -> None:
    def bare(resource: Resource) -> Resource:
        assert resource.pop("meta")["tag"][0]["code"] == "SUBSETTED"
        return resource

    assert bare(await hospital.read(network["service"])) == {
        "resourceType": "HealthcareService",
        "id": network["service"].split("/")[1],
        "active": True,
        "name": "Rooms",
        "category": violence(),
        "telecom": PHONE,
        "coverageArea": [{"reference": network["region"]}],
        "providedBy": {"reference": "Organization/house"},
    }
    assert bare(await hospital.read(network["organization"])) == {
        "resourceType": "Organization",
        "id": "house",
        "active": True,
        "name": "House of Peace",
        "telecom": PHONE,
    }
    for each in ("place", "room"):
        shown = bare(await hospital.read(network[each]))
        assert shown == {"resourceType": "Location", "id": shown["id"], "status": "active", "name": "House of Peace"}
    for each in ("person", "role"):
        refused(await hospital.get(f"/{network[each]}"), 404)


def hidden_searches(network: dict[str, str]) -> list[str]:
    """What finds them, or puts them in order, by something that others do not see."""
    return [
        *(f"Location?{each}" for each in ("address=canary", "address-city=canary", "identifier=CANARY", "_tag=CANARY")),
        f"Location?partof={network['region']}",
        f"HealthcareService?location={network['place']}",
        "Organization?address=canary",
        "Organization?identifier=CANARY",
        "Practitioner?name=canary",
        "Practitioner?phone=CANARY 555",
        f"PractitionerRole?service={network['service']}",
        f"PractitionerRole?practitioner={network['person']}",
        "Location?name=house&address:missing=false",
        "Location?name=house&address-state:missing=true",
        "Location?name=house&_sort=address",
        "Location?name=house&_sort=-address-city",
        "Location?name=house&address:not=x",
    ]


async def test_no_door_leads_to_it(hospital: Caller, house: Caller, network: dict[str, str]) -> None:
    paths = ["/_history"]
    for each in network.values():
        name, key = each.split("/")
        paths += [f"/{each}", f"/{each}/_history", f"/{each}/_history/1", f"/{each}/_history/2", f"/{name}/_history"]
        paths += [
            f"/{name}?_id={key}",
            f"/{name}",
            f"/{name}?_include=*",
            f"/{name}?_elements=address,telecom,position",
        ]
    paths += [
        "/HealthcareService?_include=HealthcareService:location&_include=HealthcareService:organization",
        f"/Location?_id={network['region'].split('/')[1]}&_revinclude=Location:partof&_revinclude=HealthcareService:location",
        "/Organization?_id=house&_revinclude=Location:organization&_revinclude=PractitionerRole:organization",
    ]
    for path in paths:
        answer = await hospital.get(path)
        assert answer.status_code in (200, 400, 404), (path, answer.text)
        for secret in ("CANARY", "108.25", "16.07"):
            assert secret not in answer.text, path
    for path in hidden_searches(network):
        answer = await hospital.get(f"/{path}&_total=accurate")
        if answer.status_code == 200:
            assert (answer.json()["total"], answer.json().get("entry")) == (0, None), path
        else:
            refused(answer, 400)
    found = await hospital.find("Location?name=house&_sort=name")
    assert set(found) == {network["place"], network["room"]}
    every = [entry("GET", each) for each in network.values()]
    assert "CANARY" not in (await hospital.send("POST", "", bundle("batch", *every))).text
    assert "CANARY" in (await house.get("/Location?address=canary&_include=Location:partof")).text


async def test_an_include_ends_at_what_is_sheltered(hospital: Caller, network: dict[str, str]) -> None:
    key = network["service"].split("/")[1]
    found = await hospital.find(f"HealthcareService?_id={key}&_include=*")
    assert set(found) == {network["service"], network["region"], "Organization/house"}
    assert await hospital.find("Organization?_id=house&_revinclude=HealthcareService:organization") == [
        "Organization/house",
        network["service"],
    ]
    region = network["region"].split("/")[1]
    assert await hospital.find(f"Location?_id={region}&_revinclude=Location:partof") == [network["region"]]


async def test_it_shelters_its_own_alone(hospital: Caller, house: Caller, network: dict[str, str]) -> None:
    """Whoever names another's place as that of a shelter hides nothing from anybody."""
    clinic = reference(await hospital.create(location(description="x", name="Clinic")))
    await house.create(service(clinic))
    assert (await house.read(clinic))["address"] == PLACE
    open_service = await house.create(service(category=violence("food-insecurity")))
    assert (await hospital.read(reference(open_service)))["comment"] == "CANARY"


async def test_a_label_shelters_what_belongs_to_an_organisation(hospital: Caller, house: Caller) -> None:
    mine = {"reference": "Organization/house"}
    made = [
        reference(await house.create(each))
        for each in (
            location(managingOrganization=mine),
            service(category=violence("stress"), providedBy=mine),
            {"resourceType": "PractitionerRole", "organization": mine, "telecom": SECRET_PHONE},
        )
    ]
    assert "CANARY" in (await hospital.get(f"/{made[0]}")).text
    await change(house, "Organization/house", meta=RESTRICTED)
    for each in made:
        answer = await hospital.get(f"/{each}")
        assert "CANARY" not in answer.text
        assert answer.status_code == (404 if each.startswith("Pract") else 200)
    later = reference(await house.create(location(managingOrganization=mine)))
    assert "address" not in await hospital.read(later)
    await change(house, "Organization/house", meta={"security": [{"system": LEVEL, "code": "N"}]})
    for each in (*made, later):
        assert "CANARY" in (await hospital.get(f"/{each}")).text


async def test_shelter_comes_and_goes_with_the_service(
    hospital: Caller, house: Caller, network: dict[str, str]
) -> None:
    everything = ("organization", "place", "room", "person", "role", "service")

    async def sees() -> list[bool]:
        return ["CANARY" in (await hospital.get(f"/{network[each]}")).text for each in everything]

    assert await sees() == [False] * 6
    await change(house, network["service"], category=violence("stress"))
    assert await sees() == [True] * 6
    other = reference(await house.create(location()))
    await change(house, network["service"], category=violence("elder-abuse"), location=[{"reference": other}])
    assert await sees() == [False, True, True, False, False, False]
    assert "CANARY" not in (await hospital.get(f"/{other}")).text
    assert (await house.send("DELETE", f"/{network['service']}")).status_code == 204
    assert "CANARY" in (await hospital.get(f"/{other}")).text
    await change(house, network["place"], meta=RESTRICTED)
    # A place within it is sheltered too, and an update of either keeps it so.
    await change(house, network["room"], description="CANARY again")
    assert (await sees())[1:3] == [False, False]


async def test_a_shelter_can_be_given_a_referral(hospital: Caller, house: Caller, network: dict[str, str]) -> None:
    who = reference(await hospital.create({"resourceType": "Patient"}))
    asked = reference(await hospital.create(service_request(who)))
    for owner in ("Organization/house", network["service"]):
        sent = await hospital.create(task(who, asked, owner={"reference": owner}))
        assert (await house.read(reference(sent)))["owner"] == {"reference": owner}
    assert (await hospital.update(await hospital.read(network["place"]))).status_code == 422
    refused(await hospital.send("DELETE", f"/{network['place']}"), 403)


async def test_the_operator_sees_and_mends_the_directory(admin: Caller, network: dict[str, str]) -> None:
    found = await admin.read(network["place"])
    assert found["address"] == PLACE
    assert (await admin.update({**found, "name": "House"})).status_code == 200


async def test_a_place_too_deep_to_be_told_shows_nothing(house: Caller, world: World) -> None:
    """It may lie within a shelter; and places within each other end, and hide nobody by that alone."""
    stranger = await world.caller("elsewhere")
    inner: dict[str, Any] = {}
    made = []
    for _ in range(10):
        made.append(reference(await house.create(location(**inner))))
        inner = {"partOf": {"reference": made[-1]}}
    assert (await stranger.get(f"/{made[0]}")).json()["address"] == PLACE
    assert "CANARY" not in (await stranger.get(f"/{made[-1]}")).text
    first = await house.read(made[0])
    assert (await house.update({**first, "partOf": {"reference": made[1]}})).status_code == 200
    assert (await stranger.get(f"/{made[0]}")).json()["address"] == PLACE
