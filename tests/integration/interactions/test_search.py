"""search-type: paging, order, criteria, includes, and what is refused (R4 search)."""

from tests.api import Caller, Resource, World
from tests.integration.interactions.samples import patient, refer, reference, refused, service_request

BASE = "http://handoff.test/fhir"
FORM = "application/x-www-form-urlencoded"


async def follow(caller: Caller, path: str) -> tuple[list[Resource], int]:
    """The entries of every page, and how many pages there were."""
    found: list[Resource] = []
    pages = 0
    following: str | None = path
    while following:
        answer = await caller.get(following)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["resourceType"], body["type"]) == ("Bundle", "searchset")
        found += body.get("entry", [])
        pages += 1
        links: dict[str, str] = {link["relation"]: link["url"] for link in body["link"]}
        following = links["next"].removeprefix(BASE) if "next" in links else None
    return found, pages


async def test_the_searchset(hospital: Caller) -> None:
    made = await hospital.create(patient("a b"))
    body = (await hospital.get("/Patient?identifier=a%20b&_format=json")).json()
    assert body["link"] == [{"relation": "self", "url": f"{BASE}/Patient?identifier=a+b"}]
    assert body["entry"] == [{"fullUrl": f"{BASE}/{reference(made)}", "resource": made, "search": {"mode": "match"}}]
    empty = (await hospital.get("/Patient?identifier=none")).json()
    assert "entry" not in empty


async def test_pages_neither_skip_nor_repeat_in_any_order(hospital: Caller) -> None:
    made = [await hospital.create(patient()) for _ in range(7)]
    await hospital.update(made[2])
    ids = sorted(each["id"] for each in made)
    times = [each["id"] for each in (*made[:2], *made[3:], made[2])]
    orders = {"": ids, "_id": ids, "-_id": ids[::-1], "_lastUpdated": times, "-_lastUpdated": times[::-1]}
    for order, wanted in orders.items():
        for count in (1, 2, 3, 7, 8):
            sort = f"&_sort={order}" if order else ""
            entries, pages = await follow(hospital, f"/Patient?_count={count}{sort}")
            assert [each["resource"]["id"] for each in entries] == wanted, (order, count)
            assert pages == -(-7 // count)


async def test_pages_of_equal_times(world: World, hospital: Caller) -> None:
    made = [await hospital.create(patient()) for _ in range(6)]
    await world.pool.execute("UPDATE patient SET last_updated = date_trunc('hour', now())")
    for sort, wanted in (("_lastUpdated", sorted), ("-_lastUpdated", lambda ids: sorted(ids, reverse=True))):
        entries, _ = await follow(hospital, f"/Patient?_count=2&_sort={sort}")
        assert [each["resource"]["id"] for each in entries] == wanted(each["id"] for each in made)


async def test_writes_between_pages_repeat_nothing_in_id_order(hospital: Caller) -> None:
    made = [await hospital.create(patient()) for _ in range(4)]
    first = (await hospital.get("/Patient?_count=2")).json()
    await hospital.update(made[0])
    await hospital.send("DELETE", f"/{reference(made[1])}")
    new = await hospital.create(patient())
    rest, _ = await follow(hospital, first["link"][1]["url"].removeprefix(BASE))
    assert [each["resource"]["id"] for each in rest] == sorted([made[2]["id"], made[3]["id"], new["id"]])


async def test_last_updated(hospital: Caller) -> None:
    made = [await hospital.create(patient()) for _ in range(3)]
    about = [reference(each) for each in made]
    moment = made[1]["meta"]["lastUpdated"]
    wanted = {"gt": about[2:], "ge": about[1:], "lt": about[:1], "le": about[:2], "eq": about[1:2]}
    wanted["ne"] = [about[0], about[2]]
    for prefix, found in wanted.items():
        assert await hospital.find(f"Patient?_lastUpdated={prefix}{moment}&_sort=_lastUpdated") == found, prefix
        assert await hospital.find(f"Patient?_lastupdated={prefix}{moment.replace('Z', '%2B00:00')}") == sorted(found)
    assert await hospital.find("Patient?_lastUpdated=lt2020") == []
    assert len(await hospital.find("Patient?_lastUpdated=gt2020&_lastUpdated=lt2100-01")) == 3
    assert await hospital.find("Patient?_lastUpdated=gt9999-12-31") == []
    assert len(await hospital.find("Patient?_lastUpdated=ge0001")) == 3


async def test_id(hospital: Caller) -> None:
    made = [reference(await hospital.create(patient())) for _ in range(3)]
    ids = [each.removeprefix("Patient/") for each in made]
    assert await hospital.find(f"Patient?_id={ids[1]}") == made[1:2]
    assert await hospital.find(f"Patient?_id={ids[0]},{ids[2]},none,%20") == sorted([made[0], made[2]])
    assert await hospital.find(f"Patient?_id={ids[0]}&_id={ids[1]}") == []


async def test_include(hospital: Caller, ngo: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    query = "Task?_include=Task:focus&_include=Task:patient&_include=Task:owner&_include=Task:requester"
    entries, _ = await follow(ngo, f"/{query}")
    names = [reference(each["resource"]) for each in entries]
    assert names == [tasked, "Organization/hospital", "Organization/ngo", who, asked]
    assert [each["search"]["mode"] for each in entries] == ["match", *["include"] * 4]
    await hospital.send("DELETE", f"/{who}")
    assert await ngo.find("Task?_include=Task:patient") == [tasked]


async def test_include_gives_only_what_the_scopes_let_one_read(world: World, hospital: Caller) -> None:
    narrow = await world.caller("hospital", scopes="system/Task.rs")
    who, _, tasked = await refer(hospital)
    assert await narrow.find("Task?_include=Task:patient") == [tasked]
    body = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Task?_include=Task:patient"}}],
    }
    answer = await narrow.send("POST", "", body)
    assert answer.status_code == 200
    assert tasked.removeprefix("Task/") in answer.text
    assert [each["search"]["mode"] for each in answer.json()["entry"][0]["resource"]["entry"]] == ["match"]
    assert f'"fullUrl":"{BASE}/{who}"' not in answer.text


async def test_a_search_by_post(hospital: Caller) -> None:
    made = [reference(await hospital.create(patient(str(n)))) for n in range(3)]
    answer = await hospital.send("POST", "/Patient/_search", "identifier=1&_count=5", Content_Type=FORM)
    assert [each["resource"]["id"] for each in answer.json()["entry"]] == [made[1].removeprefix("Patient/")]
    both = await hospital.send("POST", "/Patient/_search?_count=1", "_sort=-_id", Content_Type=FORM)
    assert len(both.json()["entry"]) == 1
    assert "next" in {link["relation"] for link in both.json()["link"]}
    whole = await hospital.send("POST", "/Patient/_search", None)
    assert len(whole.json()["entry"]) == 3
    refused(await hospital.send("POST", "/Patient/_search", "{}"), 415)
    refused(await hospital.send("POST", "/Patient/_search", b"name=\xff", Content_Type=FORM), 400)
    refused(await hospital.send("POST", "/Patient/_search", "nom=x", Content_Type=FORM), 400, "not-supported")


REFUSED = {
    "Patient": (
        "nom=x", "_total=yes", "_total=", "_total=none&_total=none",
        "_summary=maybe", "_elements=colour", "_elements=", "_summary=true&_elements=name",
        "_summary=true&_summary=data",
        "_contained=true", "_revinclude=Task:status", "_revinclude=*", "_revinclude=Task",
        "_has:Task:patient:status=x", "_text=x", "_content=x", "_list=x", "_filter=x", "_query=x", "_score=1",
        "_tag=", "_profile:below=x", "_security:in=x", "_tag:identifier=x",
        "_sort=nom", "_sort=_id,name,", "_sort=", "_count=-1",
        "_count=x", "_count=", "_count=1.5", "_id:not=x", "_lastUpdated=yesterday", "_lastUpdated=", "_lastUpdated:x=1",
        "_include=Patient:name", "_include=Patient:link:Task", "_include=", "_include:iterate=Patient:x", "_cursor=x",
        "_cursor=", "_cursor=WzEsIngiXQ", "identifier:of-type=x", "name:text=x", "name:missing=perhaps",
        "birthdate=soon", "birthdate=zz2020", "name=%00", "_id=%00", "identifier=" + ",".join("x" * 51),
        "_cursor=W251bGwsIlx1MDAwMCJd", "Name=x", "=x", "name:=x", "_sort=_id&_sort=-_id", "_count=1&_count=2",
    ),
    "Task": (
        "owner.name=x", "owner:Organization.name=x", "focus:identifier=", "_include=Task:status",
        "_include=Task:focus:ServiceRequest:x", "patient=Organization/x,", "status:above=x", "owner:missing=1",
    ),
}  # fmt: skip


async def test_what_is_not_understood_is_refused(hospital: Caller) -> None:
    allowed = []
    for name, queries in REFUSED.items():
        for query in queries:
            answer = await hospital.get(f"/{name}?{query}")
            if answer.status_code == 200:
                allowed.append(query)
            else:
                refused(answer, 400)
    assert allowed == []


async def test_more_than_a_page_is_never_given(world: World, hospital: Caller) -> None:
    for n in range(25):
        await hospital.create(service_request(f"Patient/{n}"))
    assert len(await hospital.find("ServiceRequest")) == world.settings.default_count == 20
    assert len(await hospital.find("ServiceRequest?_count=999999999")) == 25
