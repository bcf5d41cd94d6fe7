"""A poll that would answer the same is answered 304, and never beyond what its caller may see now."""

from typing import Any

import pytest

from tests.api import Caller, World
from tests.integration.interactions.samples import patient, reference, service_request, task

EMPTY = "_lastUpdated=gt2099"
EVER = "_lastUpdated=gt2020"
POLLS = (f"/Patient?{EVER}", f"/Patient?{EMPTY}", "/Patient/_history?_since=2020", "/_history?_since=2099")
RESTRICTED = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}


async def tag_of(caller: Caller, path: str) -> str:
    """The ETag of a poll that must be answered in full."""
    answer = await caller.get(path)
    assert answer.status_code == 200, answer.text
    return answer.headers["etag"]


async def status(caller: Caller, path: str, tag: str) -> int:
    return (await caller.get(path, If_None_Match=tag)).status_code


@pytest.mark.parametrize("path", POLLS)
async def test_the_same_answer_again_is_304(hospital: Caller, path: str) -> None:
    await hospital.create(patient())
    tag = await tag_of(hospital, path)
    again = await hospital.get(path, If_None_Match=f'"x", {tag}')
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["cache-control"] == "private, no-cache"
    assert await status(hospital, path, '"x"') == 200


@pytest.mark.parametrize("path", [f"/Patient?{EVER}", "/Patient/_history?_since=2020"])
async def test_an_empty_poll_is_304_until_something_comes(hospital: Caller, path: str) -> None:
    tag = await tag_of(hospital, path)
    assert await status(hospital, path, tag) == 304
    made = await hospital.create(patient())
    filled = await hospital.get(path, If_None_Match=tag)
    assert [each["resource"]["id"] for each in filled.json()["entry"]] == [made["id"]]
    assert (await hospital.update(made)).status_code == 200
    assert await status(hospital, path, filled.headers["etag"]) == 200


async def test_a_tag_is_of_one_query_one_client_and_its_scopes(world: World, hospital: Caller, ngo: Caller) -> None:
    path = f"/Task?{EMPTY}"
    tag = await tag_of(hospital, path)
    colleague = await world.caller("hospital")
    narrower = await world.caller("hospital", scopes="system/Task.rs")
    assert [await status(each, path, tag) for each in (hospital, colleague, narrower, ngo)] == [304, 200, 200, 200]
    assert await status(hospital, f"{path}&status=requested", tag) == 200
    assert await status(hospital, "/Task/_history?_since=2099", tag) == 200


async def make_referral(hospital: Caller) -> tuple[str, dict[str, Any]]:
    who = reference(await hospital.create(patient()))
    asked = reference(await hospital.create(service_request(who)))
    return who, await hospital.create(task(who, asked))


@pytest.mark.parametrize("path", [f"/Patient?{EVER}", "/Patient/_history?_since=2020"])
async def test_a_package_that_opens_and_closes_changes_the_answer(hospital: Caller, ngo: Caller, path: str) -> None:
    empty = await tag_of(ngo, path)
    _, tasked = await make_referral(hospital)
    opened = await tag_of(ngo, path)
    assert opened != empty
    assert await status(ngo, path, opened) == 304
    assert (await hospital.update({**tasked, "status": "cancelled"})).status_code == 200
    closed = await ngo.get(path, If_None_Match=opened)
    assert closed.status_code == 200
    assert "entry" not in closed.json()


async def test_a_label_changes_the_answer_though_the_task_has_its_old_version(hospital: Caller, ngo: Caller) -> None:
    who, _ = await make_referral(hospital)
    path = f"/Task?{EVER}&_include=Task:patient"
    tag = await tag_of(ngo, path)
    assert await status(ngo, path, tag) == 304
    found = await hospital.read(who)
    assert (await hospital.update({**found, "meta": {**found["meta"], **RESTRICTED}})).status_code == 200
    answer = await ngo.get(path, If_None_Match=tag)
    assert answer.status_code == 200
    assert [each["resource"]["resourceType"] for each in answer.json()["entry"]] == ["Task"]


async def test_what_is_no_whole_poll_has_no_tag(hospital: Caller) -> None:
    for _ in range(2):
        await hospital.create(patient())
    for path in ("/Patient", f"/Patient?{EVER}&_count=1", "/_history", "/Patient/_history?_since=2020&_count=1"):
        answer = await hospital.get(path, If_None_Match="*")
        assert answer.status_code == 200
        assert "etag" not in answer.headers
        for link in answer.json()["link"]:
            if link["relation"] == "next":
                last = await hospital.get(link["url"].partition("/fhir")[2])
                assert "etag" not in last.headers
    form = {"content_type": "application/x-www-form-urlencoded", "If_None_Match": "*"}
    posted = await hospital.send("POST", "/Patient/_search", EVER, **form)
    assert posted.status_code == 200
    assert "etag" not in posted.headers
