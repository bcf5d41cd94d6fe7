"""Parameters that shape a search's answer: what is told beside the matches, and what must not leak by it (R4)."""

from typing import Any

import pytest

from tests.api import Caller, World
from tests.integration.interactions.samples import (
    bundle,
    entry,
    patient,
    refer,
    reference,
    refused,
    service_request,
    task,
)
from tests.integration.interactions.test_search import BASE, FORM, follow

LENIENT = {"Prefer": "handling=lenient"}


def self_link(body: Any) -> str:
    return str(next(each["url"] for each in body["link"] if each["relation"] == "self"))


def modes(body: Any) -> list[str]:
    return [each["search"]["mode"] for each in body.get("entry", [])]


async def test_lenient_handling_ignores_what_is_not_offered_and_tells(hospital: Caller) -> None:
    """R4 search, Handling Errors: Prefer handling=lenient; the self link tells what was honoured."""
    made = await hospital.create(patient("1"))
    await hospital.create(patient("2"))
    body = (await hospital.get("/Patient?colour=red&identifier=1&_sort=colour", **LENIENT)).json()
    assert self_link(body) == f"{BASE}/Patient?identifier=1"
    assert modes(body) == ["match", "outcome"]
    assert body["entry"][0]["resource"] == made
    outcome = body["entry"][1]["resource"]
    assert outcome["resourceType"] == "OperationOutcome"
    told = [(each["severity"], each["code"], *each["expression"]) for each in outcome["issue"]]
    assert told == [("warning", "not-supported", key) for key in ("colour", "_sort")]


async def test_lenient_handling_by_post_and_beside_another_preference(hospital: Caller) -> None:
    await hospital.create(patient())
    headers = {"Prefer": "return=minimal, handling=lenient", "Content_Type": FORM}
    body = (await hospital.send("POST", "/Patient/_search", "colour=red", **headers)).json()
    assert modes(body) == ["match", "outcome"]
    assert modes((await hospital.get("/Patient", **LENIENT)).json()) == ["match"]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_lenient_handling_of_the_searches_in_a_bundle(hospital: Caller, kind: str) -> None:
    """The entries have no headers of their own: the Bundle's request says it for all."""
    await hospital.create(patient())
    asked = {"request": {"method": "GET", "url": "Patient?colour=red"}}
    body = {"resourceType": "Bundle", "type": kind, "entry": [asked]}
    answer = await hospital.send("POST", "", body, **LENIENT)
    assert answer.status_code == 200, answer.text
    [entry] = answer.json()["entry"]
    assert modes(entry["resource"]) == ["match", "outcome"]
    strict = await hospital.send("POST", "", body)
    told = strict.json()["entry"][0]["response"]["outcome"] if kind == "batch" else strict.json()
    assert told["issue"][0]["code"] == "not-supported"


async def test_handling_is_strict_unless_asked(hospital: Caller) -> None:
    """R4 search, Handling Errors; RFC 7240: a preference that is not known is left aside."""
    for prefer in ("handling=strict", "handling=perhaps", "return=minimal", "handling=strict, handling=lenient"):
        refused(await hospital.get("/Patient?colour=red", Prefer=prefer), 400, "not-supported")


async def test_lenient_handling_forgives_no_malformed_value(hospital: Caller) -> None:
    for query in ("birthdate=soon", "_count=x", "_total=some", "_cursor=x", "_id=1&_count=1&_count=2"):
        refused(await hospital.get(f"/Patient?{query}", **LENIENT), 400, "invalid")


async def test_lenient_handling_forgives_no_modifier(hospital: Caller) -> None:
    """R4 search, Modifiers: a server SHALL reject a modifier that it does not support."""
    for query in ("name:text=x", "colour:exact=red", "identifier:in=x"):
        refused(await hospital.get(f"/Patient?{query}", **LENIENT), 400, "not-supported")


async def test_warnings_stand_on_the_first_page_alone(hospital: Caller) -> None:
    for _ in range(3):
        await hospital.create(patient())
    first = (await hospital.get("/Patient?_count=2&colour=red", **LENIENT)).json()
    assert modes(first) == ["match", "match", "outcome"]
    rest, pages = await follow(hospital, first["link"][1]["url"].removeprefix(BASE))
    assert ([each["search"]["mode"] for each in rest], pages) == (["match"], 1)


async def test_a_condition_is_never_lenient(hospital: Caller) -> None:
    """A condition with a criterion ignored would find, change or delete another resource (R4 http)."""
    await hospital.create(patient("1"))
    refused(await hospital.send("DELETE", "/Patient?identifier=1&colour=red", **LENIENT), 400, "not-supported")
    refused(await hospital.send("DELETE", "/Patient?identifier=1&_total=accurate"), 400, "not-supported")


async def test_total(hospital: Caller) -> None:
    """R4 search, Bundle.total: matches on all pages, without what is included."""
    for n in range(5):
        await hospital.create(patient("even" if n % 2 == 0 else "odd"))
    for query, total in (("", 5), ("&identifier=even", 3), ("&identifier=none", 0)):
        for count in (1, 2, 5):
            for accuracy in ("accurate", "estimate"):
                body = (await hospital.get(f"/Patient?_total={accuracy}&_count={count}{query}")).json()
                while True:
                    assert body["total"] == total, (query, count)
                    links = {each["relation"]: each["url"] for each in body["link"]}
                    if "next" not in links:
                        break
                    body = (await hospital.get(links["next"].removeprefix(BASE))).json()
    assert "total" not in (await hospital.get("/Patient?_total=none")).json()
    assert "total" not in (await hospital.get("/Patient")).json()
    made = await hospital.read((await hospital.find("Patient?_count=1"))[0])
    await hospital.send("DELETE", f"/{reference(made)}")
    assert (await hospital.get("/Patient?_total=accurate")).json()["total"] == 4


async def test_a_count_of_nothing_only_counts(hospital: Caller) -> None:
    """R4 search, Page Count: _count=0 is the same as _summary=count."""
    for _ in range(3):
        await hospital.create(patient())
    body = (await hospital.get("/Patient?_count=0&_sort=-_lastUpdated&_lastUpdated=gt2020")).json()
    assert body == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 3,
        "link": [{"relation": "self", "url": f"{BASE}/Patient?_count=0&_sort=-_lastUpdated&_lastUpdated=gt2020"}],
    }
    answer = await hospital.send("POST", "", bundle("batch", entry("GET", "Patient?_count=0")))
    assert answer.json()["entry"][0]["resource"]["total"] == 3


async def test_a_total_counts_what_one_sees(hospital: Caller, ngo: Caller, stranger: Caller) -> None:
    """The organisation filter stands in the counting statement too."""
    who, _, _ = await refer(hospital)
    for _ in range(3):
        await hospital.create(patient())
    for query in (
        "_total=accurate",
        "_total=estimate&_count=1",
        "_count=0",
        f"_count=0&_id={who.removeprefix('Patient/')}",
    ):
        path = f"/Patient?{query}"
        assert (await ngo.get(path)).json()["total"] == 1
        assert (await stranger.get(path)).json()["total"] == 0
    assert (await hospital.get("/Patient?_count=0")).json()["total"] == 4
    draft = task(who, "ServiceRequest/none", status="draft")
    await hospital.create(draft)
    assert (await stranger.get("/Task?_count=0")).json()["total"] == 0


async def test_the_misspelt_include_of_the_guide(hospital: Caller, admin: Caller) -> None:
    place = await admin.create({"resourceType": "Location", "name": "The kitchen"})
    service = {"resourceType": "HealthcareService", "location": [{"reference": reference(place)}]}
    made = await admin.create(service)
    found = await hospital.find("HealthcareService?_include=HealthCareService:location")
    assert found == [reference(made), reference(place)]


TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


async def test_summary_and_elements_of_a_search(hospital: Caller) -> None:
    """R4 search, Summary and Elements."""
    made = await hospital.create(patient("1", birthDate="2001-02-03", maritalStatus={"text": "x"}))
    meta = {**made["meta"], "tag": [TAG]}
    for query, kept in (
        ("_summary=true", {"name", "identifier", "birthDate"}),
        ("_summary=text", set()),
        ("_summary=data", {"name", "identifier", "birthDate", "maritalStatus"}),
        ("_elements=birthDate,name", {"name", "birthDate"}),
    ):
        body = (await hospital.get(f"/Patient?{query}")).json()
        [found] = [each["resource"] for each in body["entry"]]
        wanted = {key: value for key, value in made.items() if key in kept | {"resourceType", "id"}}
        assert found == {**wanted, "meta": meta}, query
        assert (await hospital.get(f"/{reference(made)}?{query}")).json() == found
        assert (await hospital.get(f"/{reference(made)}/_history/1?{query}")).json() == found
        one = bundle("batch", entry("GET", f"{reference(made)}?{query}"))
        assert (await hospital.send("POST", "", one)).json()["entry"][0]["resource"] == found
    assert (await hospital.get("/Patient?_summary=false")).json()["entry"][0]["resource"] == made
    assert (await hospital.get(f"/{reference(made)}?_summary=false")).json() == made


async def test_summary_count(hospital: Caller) -> None:
    """R4 search, Summary: count gives the number of matches alone, whatever _count says."""
    await hospital.create(patient())
    for query in ("_summary=count&_count=5", "_count=5&_summary=count", "_summary=count&_total=none"):
        body = (await hospital.get(f"/Patient?{query}")).json()
        assert (body["total"], "entry" in body) == (1, False)


async def test_what_is_included_is_summarised_too(hospital: Caller) -> None:
    """R4 search, Summary: text does not go with _include."""
    _, _, tasked = await refer(hospital)
    body = (await hospital.get("/Task?_summary=data&_include=Task:patient")).json()
    assert [each["resource"]["meta"].get("tag") for each in body["entry"]] == [[TAG], [TAG]]
    body = (await hospital.get("/Task?_elements=status&_include=Task:patient")).json()
    assert [each["resource"]["meta"].get("tag") for each in body["entry"]] == [[TAG], None]
    refused(await hospital.get("/Task?_summary=text&_include=Task:patient"), 400, "invalid")
    assert await hospital.find("Task?_summary=text") == [tasked]


async def test_a_part_is_no_update(hospital: Caller) -> None:
    """R4 search, Elements: a part that is put back would delete the rest."""
    made = await hospital.create(patient("1", birthDate="2001-02-03"))
    part = (await hospital.get(f"/{reference(made)}?_summary=true")).json()
    issue = refused(await hospital.update(part), 422)
    assert issue["expression"] == ["Patient.meta.tag"]
    refused(await hospital.send("PUT", "/Patient?identifier=1", part), 422)
    answer = await hospital.send("POST", "", bundle("batch", entry("PUT", reference(made), part)))
    assert answer.json()["entry"][0]["response"]["status"].startswith("422")
    assert await hospital.read(reference(made)) == made


async def test_a_part_of_what_one_may_not_see(hospital: Caller, stranger: Caller) -> None:
    made = await hospital.create(patient("1"))
    for query in ("_summary=text", "_elements=name"):
        refused(await stranger.get(f"/{reference(made)}?{query}"), 404)
        assert await stranger.find(f"Patient?{query}") == []


async def test_revinclude(hospital: Caller) -> None:
    """R4 search, Including other resources: what refers to the matches, each once, after them."""
    who, asked, tasked = await refer(hospital)
    other = reference(await hospital.create(patient("other")))
    body = (await hospital.get("/Patient?_revinclude=Task:patient&_revinclude=ServiceRequest:patient&_count=9")).json()
    names = [reference(each["resource"]) for each in body["entry"]]
    assert names == [*sorted([who, other]), asked, tasked]
    assert modes(body) == ["match", "match", "include", "include"]
    both = "Patient?_id={}&_revinclude=Task:patient&_revinclude=Task:subject:Patient"
    assert await hospital.find(both.format(who.removeprefix("Patient/"))) == [who, tasked]
    assert await hospital.find(both.format(other.removeprefix("Patient/"))) == [other]
    everything = await hospital.find("ServiceRequest?_revinclude=Task:*&_include=*")
    assert (everything[0], tasked in everything, who in everything) == (asked, True, True)
    await hospital.send("DELETE", f"/{tasked}")
    assert await hospital.find("ServiceRequest?_revinclude=Task:focus") == [asked]


async def test_a_revinclude_by_rows(hospital: Caller) -> None:
    """A parameter with many values is kept as rows."""
    _, asked, _ = await refer(hospital)
    about = {"reference": asked}
    who = await hospital.create(patient())
    subject = {"reference": reference(who)}
    noted = await hospital.create(
        {"resourceType": "Communication", "status": "completed", "basedOn": [about], "subject": subject}
    )
    assert await hospital.find("ServiceRequest?_revinclude=Communication:based-on") == [asked, reference(noted)]


async def test_a_revinclude_gives_only_what_one_sees(
    world: World, hospital: Caller, ngo: Caller, stranger: Caller
) -> None:
    """Half of what refers to the Patient belongs to others: the filter is in the statement, and checked again."""
    who, asked, tasked = await refer(hospital)
    hidden = reference(await hospital.create(service_request(who)))
    query = f"Patient?_id={who.removeprefix('Patient/')}&_revinclude=ServiceRequest:patient&_revinclude=Task:patient"
    assert set(await hospital.find(query)) == {who, asked, hidden, tasked}
    assert set(await ngo.find(query)) == {who, asked, tasked}
    assert await stranger.find(query) == []
    theirs = reference(await stranger.create(service_request(who)))
    assert theirs not in await hospital.find(query)
    narrow = await world.caller("hospital", scopes="system/Patient.rs system/Task.r system/ServiceRequest.s")
    assert await narrow.find(query) == [who]
    public = await stranger.find("Organization?_id=ngo&_revinclude=Task:owner")
    assert public == ["Organization/ngo"]


async def test_a_revinclude_is_bounded(world: World, hospital: Caller) -> None:
    """More than HANDOFF_MAX_INCLUDES is refused, never cut."""
    world.hub.settings = world.settings.model_copy(update={"max_includes": 2})
    who = reference(await hospital.create(patient()))
    for n in range(3):
        assert len(await hospital.find("Patient?_revinclude=ServiceRequest:patient")) == 1 + n
        await hospital.create(service_request(who))
    refused(await hospital.get("/Patient?_revinclude=ServiceRequest:patient"), 400, "too-costly")


async def test_an_include_of_one_target_type(hospital: Caller, ngo: Caller) -> None:
    """R4 search, Including other resources: Type:code:TargetType."""
    _, asked, tasked = await refer(hospital)
    assert await hospital.find("Task?_include=Task:owner:Organization") == [tasked, "Organization/ngo"]
    assert await hospital.find("Task?_include=Task:owner:Practitioner") == [tasked]
    assert "Organization/ngo" in await ngo.find("Task?_include=Task:owner:Organization")
    assert await hospital.find("Task?_include=Task:focus:ServiceRequest") == [tasked, asked]
