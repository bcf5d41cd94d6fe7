"""Parameters that shape a search's answer: what is told beside the matches, and what must not leak by it (R4)."""

from typing import Any

from tests.api import Caller
from tests.integration.interactions.samples import bundle, entry, patient, refer, reference, refused, task
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
    body = (await hospital.get("/Patient?colour=red&identifier=1&name:text=x&_sort=colour", **LENIENT)).json()
    assert self_link(body) == f"{BASE}/Patient?identifier=1"
    assert modes(body) == ["match", "outcome"]
    assert body["entry"][0]["resource"] == made
    outcome = body["entry"][1]["resource"]
    assert outcome["resourceType"] == "OperationOutcome"
    told = [(each["severity"], each["code"], *each["expression"]) for each in outcome["issue"]]
    assert told == [("warning", "not-supported", key) for key in ("colour", "name", "_sort")]


async def test_lenient_handling_by_post_and_beside_another_preference(hospital: Caller) -> None:
    await hospital.create(patient())
    headers = {"Prefer": "return=minimal, handling=lenient", "Content_Type": FORM}
    body = (await hospital.send("POST", "/Patient/_search", "colour=red", **headers)).json()
    assert modes(body) == ["match", "outcome"]
    assert modes((await hospital.get("/Patient", **LENIENT)).json()) == ["match"]


async def test_handling_is_strict_unless_asked(hospital: Caller) -> None:
    """R4 search, Handling Errors; RFC 7240: a preference that is not known is left aside."""
    for prefer in ("handling=strict", "handling=perhaps", "return=minimal", "handling=strict, handling=lenient"):
        refused(await hospital.get("/Patient?colour=red", Prefer=prefer), 400, "not-supported")


async def test_lenient_handling_forgives_no_malformed_value(hospital: Caller) -> None:
    for query in ("birthdate=soon", "_count=x", "_total=some", "_cursor=x", "_id=1&_count=1&_count=2"):
        refused(await hospital.get(f"/Patient?{query}", **LENIENT), 400, "invalid")


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
