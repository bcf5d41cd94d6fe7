"""history of an instance, a type and the system: order, paging, _since (R4 http, history)."""

from tests.api import Caller, Resource, World
from tests.integration.interactions.samples import patient, refer, reference, refused

BASE = "http://handoff.test/fhir/"


async def follow(caller: Caller, path: str) -> tuple[list[Resource], int]:
    """The entries of every page, and how many pages there were."""
    found: list[Resource] = []
    pages = 0
    following: str | None = path
    while following:
        answer = await caller.get(following)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["resourceType"], body["type"]) == ("Bundle", "history")
        found += body.get("entry", [])
        pages += 1
        links: dict[str, str] = {link["relation"]: link["url"] for link in body["link"]}
        assert links["self"].startswith("http://handoff.test/fhir/")
        following = links["next"].removeprefix("http://handoff.test/fhir") if "next" in links else None
    return found, pages


def versions(entries: list[Resource]) -> list[str]:
    """Type/id/version of each entry."""
    return [f"{each['fullUrl'].removeprefix(BASE)} {each['response']['etag']}" for each in entries]


async def write_some(caller: Caller) -> list[Resource]:
    """Three Patients of three versions, the second deleted after."""
    made = [await caller.create(patient(str(n))) for n in range(3)]
    for _ in range(2):
        made = [(await caller.update(each)).json() for each in made]
    await caller.send("DELETE", f"/{reference(made[1])}")
    return made


async def test_history_of_an_instance(hospital: Caller) -> None:
    made = await write_some(hospital)
    entries, _ = await follow(hospital, f"/{reference(made[1])}/_history")
    assert [each["request"] for each in entries] == [
        {"method": "DELETE", "url": reference(made[1])},
        {"method": "PUT", "url": reference(made[1])},
        {"method": "PUT", "url": reference(made[1])},
        {"method": "POST", "url": "Patient"},
    ]
    assert [each["response"]["status"] for each in entries] == ["204", "200", "200", "201"]
    assert [each["response"]["etag"] for each in entries] == [f'W/"{n}"' for n in (4, 3, 2, 1)]
    assert entries[1]["resource"] == made[1]
    assert entries[1]["response"]["lastModified"] == made[1]["meta"]["lastUpdated"]
    refused(await hospital.get("/Patient/nothing/_history"), 404)


async def test_pages_neither_skip_nor_repeat(hospital: Caller) -> None:
    made = await write_some(hospital)
    for path, own in (("/Patient/_history", 10), ("/_history", 11), (f"/{reference(made[1])}/_history", 4)):
        whole, _ = await follow(hospital, f"{path}?_count=200")
        assert len(whole) == own
        stamps = [each["response"]["lastModified"] for each in whole]
        assert stamps == sorted(stamps, reverse=True)
        for count in (1, 2, 3):
            entries, pages = await follow(hospital, f"{path}?_count={count}")
            assert versions(entries) == versions(whole)
            assert pages == -(-own // count)


async def test_since(hospital: Caller) -> None:
    made = await write_some(hospital)
    whole, _ = await follow(hospital, "/Patient/_history")
    moment = made[0]["meta"]["lastUpdated"]
    wanted = [
        each for each in versions(whole) if whole[versions(whole).index(each)]["response"]["lastModified"] >= moment
    ]
    assert 1 < len(wanted) < len(whole)
    entries, pages = await follow(hospital, f"/Patient/_history?_since={moment}&_count=1")
    assert versions(entries) == wanted
    assert pages == len(wanted)
    zoned = moment.replace("Z", "+00:00")
    for since in (zoned, zoned.replace("+", "%2B")):
        assert versions((await follow(hospital, f"/Patient/_history?_since={since}"))[0]) == wanted
    assert (await follow(hospital, "/Patient/_history?_since=2100"))[0] == []


async def test_what_is_written_meanwhile_disturbs_no_page(hospital: Caller) -> None:
    made = await write_some(hospital)
    whole, _ = await follow(hospital, "/Patient/_history")
    first = (await hospital.get("/Patient/_history?_count=3")).json()
    await hospital.update(made[0])
    rest, _ = await follow(hospital, first["link"][1]["url"].removeprefix("http://handoff.test/fhir"))
    # The version that was superseded meanwhile is still there, once.
    assert versions(first["entry"] + rest) == versions(whole)


REFUSED = ("_count=0", "_count=-1", "_count=x", "_since=yesterday", "_since=", "_at=2020", "name=x", "_sort=_id")
CURSORS = ("x", "", "e30", "WzEsMl0", "💥", "WzEsIlBhdGllbnQiLCJcdTAwMDAiLDFd", "WzEsIlgiLCJhIiwxXQ")


async def test_what_is_not_understood_is_refused(hospital: Caller) -> None:
    for query in REFUSED:
        issue = refused(await hospital.get(f"/Patient/_history?{query}"), 400)
        assert issue["expression"] == [query.partition("=")[0]]
    for cursor in CURSORS:
        refused(await hospital.get(f"/_history?_cursor={cursor}"), 400, "invalid")


async def test_count_is_clamped(world: World, hospital: Caller) -> None:
    assert (await hospital.get("/Patient/_history?_count=999999999999")).status_code == 200


async def test_nothing_of_another_organisation(hospital: Caller, ngo: Caller, stranger: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    hidden = await hospital.create(patient())
    for path in ("/_history", "/Patient/_history", "/Task/_history", "/ServiceRequest/_history"):
        entries, _ = await follow(stranger, f"{path}?_count=1")
        assert {each["fullUrl"].split("/")[-2] for each in entries} <= {"Organization"}
    for about in (who, asked, tasked, reference(hidden)):
        answer = await stranger.get(f"/{about}/_history")
        assert refused(answer, 404)["diagnostics"] == f"{about} is not known"
    seen, _ = await follow(ngo, "/_history")
    names = {each["fullUrl"].removeprefix("http://handoff.test/fhir/") for each in seen}
    assert {who, asked, tasked} <= names
    assert reference(hidden) not in names
