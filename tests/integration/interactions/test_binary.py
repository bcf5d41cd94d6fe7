"""Binary: content as it came, in JSON and in its own type, and only for those who see what names it."""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api import Caller, World, open_world
from tests.integration.interactions.samples import (
    bundle,
    entry,
    move,
    patient,
    refer,
    reference,
    refused,
    service_request,
    task,
)

SCAN = bytes(range(256)) * 3000
"""More than one piece, and not a whole number of them."""
FHIR = {"Accept": "application/fhir+json"}
RESTRICTED = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}


async def upload(who: Caller, content: bytes = SCAN, **headers: str) -> str:
    """The reference of a new Binary."""
    answer = await who.send("POST", "/Binary", content, **{"Content_Type": "application/pdf", **headers})
    assert answer.status_code == 201, answer.text
    assert answer.content == b""
    return "/".join(answer.headers["location"].split("/fhir/")[1].split("/")[:2])


async def test_content_comes_back_as_it_went(hospital: Caller) -> None:
    about = await upload(hospital)
    answer = await hospital.get(f"/{about}", Accept="*/*")
    assert (answer.status_code, answer.content) == (200, SCAN)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-length"] == str(len(SCAN))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["etag"] == 'W/"1"'
    assert (await hospital.get(f"/{about}", If_None_Match='W/"1"')).status_code == 304
    found = (await hospital.get(f"/{about}", **FHIR)).json()
    assert base64.b64decode(found["data"]) == SCAN
    assert found["contentType"] == "application/pdf"
    assert found["id"] == about.split("/")[1]
    assert found["meta"]["versionId"] == "1"
    pretty = await hospital.get(f"/{about}?_format=json&_pretty=true")
    assert pretty.json() == found
    assert pretty.text.startswith('{\n  "resourceType"')


async def test_a_binary_in_json_comes_back_as_content(hospital: Caller) -> None:
    sent = {"resourceType": "Binary", "contentType": "text/plain; charset=utf-8", "data": "V2FybSBoYW5k b2Zm"}
    answer = await hospital.send("POST", "/Binary", sent, **FHIR)
    assert answer.status_code == 201
    made = answer.json()
    assert {key: made[key] for key in ("resourceType", "contentType", "data")} == {**sent, "data": "V2FybSBoYW5kb2Zm"}
    content = await hospital.get(f"/Binary/{made['id']}", Accept="text/plain")
    assert (content.content, content.headers["content-type"]) == (b"Warm handoff", "text/plain; charset=utf-8")
    changed = await hospital.send("PUT", f"/Binary/{made['id']}", {**made, "data": "SGk="}, If_Match='W/"1"')
    assert changed.status_code == 200
    assert (await hospital.get(f"/Binary/{made['id']}", Accept="*/*")).content == b"Hi"


async def test_json_that_is_no_binary_is_content(hospital: Caller) -> None:
    for media in ("application/json", "application/fhir+json"):
        about = await upload(hospital, b'{"resourceType": "Basic"}', Content_Type=media)
        answer = await hospital.get(f"/{about}", Accept="*/*")
        assert (answer.content, answer.headers["content-type"]) == (b'{"resourceType": "Basic"}', media)
    about = await upload(hospital, b"{not JSON", Content_Type="application/json")
    assert (await hospital.get(f"/{about}", Accept="*/*")).content == b"{not JSON"
    refused(await hospital.send("POST", "/Binary", b"{not JSON"), 400)


async def test_nothing_is_content_too(hospital: Caller) -> None:
    about = await upload(hospital, b"")
    assert (await hospital.get(f"/{about}", Accept="*/*")).content == b""
    assert "data" not in (await hospital.get(f"/{about}", **FHIR)).json()


async def test_versions_and_deletion(hospital: Caller) -> None:
    about = await upload(hospital)
    answer = await hospital.send("PUT", f"/{about}", b"second", Content_Type="text/plain", If_Match='W/"1"')
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    refused(await hospital.send("PUT", f"/{about}", b"x", Content_Type="text/plain", If_Match='W/"1"'), 412)
    first = await hospital.get(f"/{about}/_history/1", Accept="*/*")
    second = await hospital.get(f"/{about}/_history/2", Accept="*/*")
    assert (first.content, first.headers["content-type"]) == (SCAN, "application/pdf")
    assert (second.content, second.headers["content-type"]) == (b"second", "text/plain")
    assert (await hospital.send("DELETE", f"/{about}")).status_code == 204
    refused(await hospital.get(f"/{about}", Accept="*/*"), 410)
    assert (await hospital.get(f"/{about}/_history/1", Accept="*/*")).content == SCAN
    for path in (f"/{about}/_history", "/Binary/_history"):
        entries = (await hospital.get(path)).json()["entry"]
        assert [each["request"]["method"] for each in entries] == ["DELETE", "PUT", "POST"]
        for each in entries[1:]:
            assert "data" not in each["resource"]
            assert each["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_search_by_id_and_time_alone_and_no_bundle(hospital: Caller) -> None:
    about = await upload(hospital)
    assert await hospital.find(f"Binary?_id={about.split('/')[1]}") == [about]
    assert await hospital.find("Binary?_lastUpdated=gt2020-01-01") == [about]
    refused(await hospital.get("/Binary?contenttype=application/pdf"), 400)
    found = (await hospital.get("/Binary")).json()["entry"][0]["resource"]
    refused(await hospital.send("PUT", f"/{about}", found), 422)
    for each in (entry("GET", about), entry("POST", "Binary", {"resourceType": "Binary", "contentType": "a/b"})):
        refused(await hospital.send("POST", "", bundle("transaction", each)), 400, "not-supported")


async def test_conditional_writes(hospital: Caller) -> None:
    about = await upload(hospital)
    condition = f"_id={about.split('/')[1]}"
    answer = await hospital.send("POST", "/Binary", b"x", Content_Type="text/plain", If_None_Exist=condition)
    assert (answer.status_code, answer.headers["location"].split("/fhir/")[1]) == (200, f"{about}/_history/1")
    answer = await hospital.send("PUT", f"/Binary?{condition}", b"x", Content_Type="text/plain")
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert (await hospital.get(f"/{about}", Accept="*/*")).content == b"x"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": ""}, 415),
        ({"Content_Type": "text"}, 422),
        ({"Content_Type": "text/plain", "Content_Encoding": "gzip"}, 415),
        ({"Content_Type": "text/plain", "X_Security_Context": "Patient/none"}, 422),
        ({"Content_Type": "text/plain", "X_Security_Context": "Organization/hospital"}, 422),
        ({"Content_Type": "text/plain", "Accept": "application/fhir+xml"}, 406),
    ],
)
async def test_what_is_refused_leaves_nothing(
    world: World, hospital: Caller, headers: dict[str, str], status: int
) -> None:
    refused(await hospital.send("POST", "/Binary", b"x", **headers), status)
    for table in ("binary_resource", "binary_content", "binary_chunk"):
        assert await world.pool.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_a_content_type_cannot_bring_headers(hospital: Caller) -> None:
    for media in ("text/plain\nX-Evil: 1", "text/plain\r\nX-Evil: 1", "té/xt", "text/html, text/plain"):
        refused(await hospital.send("POST", "/Binary", {"resourceType": "Binary", "contentType": media}), 422)


async def stream_zeros(size: int) -> AsyncIterator[bytes]:
    """A body without a length."""
    for start in range(0, size, 65_536):
        yield bytes(min(65_536, size - start))


async def test_20_mib_go_in_and_out_in_pieces(hospital: Caller) -> None:
    size = 20 * 1024 * 1024
    answer = await hospital.http.post(
        "/fhir/Binary", content=stream_zeros(size), headers={"Content-Type": "application/octet-stream"}
    )
    assert answer.status_code == 201, answer.text
    digest, total = hashlib.sha256(), 0
    async with hospital.http.stream("GET", answer.headers["location"]) as response:
        async for piece in response.aiter_bytes():
            digest.update(piece)
            total += len(piece)
    assert (total, digest.digest()) == (size, hashlib.sha256(bytes(size)).digest())


async def test_one_byte_over_the_limit_is_too_long(world: World, hospital: Caller) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    size = world.settings.max_binary + 1
    bodies: list[Any] = [stream_zeros(size), bytes(size)]
    for body in bodies:
        refused(await hospital.http.post("/fhir/Binary", content=body, headers=headers), 413, "too-long")
    long = {"resourceType": "Binary", "contentType": "a/b", "data": "A" * world.settings.max_body}
    refused(await hospital.send("POST", "/Binary", long), 413, "too-long")
    assert await world.pool.fetchval("SELECT count(*) FROM binary_chunk") == 0


async def test_the_limit_is_a_setting(world: World) -> None:
    async with open_world(world.settings.model_copy(update={"max_binary": 3})) as small:
        who = await small.caller("hospital")
        await upload(who, b"abc")
        refused(await who.send("POST", "/Binary", b"abcd", Content_Type="a/b"), 413, "too-long")


async def sees(who: Caller, about: str) -> bool:
    """Whether a caller reads a Binary; all doors must say the same."""
    single = [f"/{about}", f"/{about}/_history/1"]
    answers = [await who.get(path, Accept=accept) for path in single for accept in ("*/*", FHIR["Accept"])]
    lists = [f"/{about}/_history", f"/Binary?_id={about.split('/')[1]}", "/Binary", "/Binary/_history"]
    answers += [await who.get(path) for path in (*lists, "/_history?_count=200")]
    assert {each.status_code for each in answers} <= {200, 404}
    found = {shows(each, about) for each in answers}
    assert len(found) == 1, [(str(each.url), each.status_code) for each in answers]
    return found.pop()


def shows(answer: httpx.Response, about: str) -> bool:
    """Whether an answer is the Binary, or a Bundle with it."""
    if answer.status_code == 404 or answer.content == SCAN:
        return answer.status_code == 200
    body = answer.json()
    resources = (
        [each.get("resource", {}) for each in body.get("entry", [])] if body["resourceType"] == "Bundle" else [body]
    )
    return about in [f"{each.get('resourceType')}/{each.get('id')}" for each in resources]


async def document(who: Caller, subject: str, about: str | None, **more: Any) -> str:
    made = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": subject},
        "content": [{"attachment": {"url": about} if about else {"title": "none"}}],
        **more,
    }
    return reference(await who.create(made))


async def test_a_strangers_put_delete_and_guess_find_nothing(hospital: Caller, stranger: Caller) -> None:
    about = await upload(hospital)
    assert not await sees(stranger, about)
    refused(await stranger.send("PUT", f"/{about}", b"x", Content_Type="a/b"), 404)
    refused(await stranger.send("DELETE", f"/{about}"), 404)
    refused(await stranger.send("POST", "/Binary", b"x", Content_Type="a/b", X_Security_Context=about), 422)
    assert await sees(hospital, about)


async def test_the_package_brings_the_documents_binary_and_takes_it_away(
    hospital: Caller, ngo: Caller, stranger: Caller
) -> None:
    about, other = await upload(hospital), await upload(hospital)
    who = reference(await hospital.create(patient()))
    letter = await document(hospital, who, about)
    asked = reference(await hospital.create(service_request(who, supportingInfo=[{"reference": letter}])))
    assert not await sees(ngo, about)
    tasked = reference(await hospital.create(task(who, asked)))
    assert await sees(ngo, about)
    assert not await sees(ngo, other)
    assert not await sees(stranger, about)
    refused(await ngo.send("PUT", f"/{about}", b"x", Content_Type="a/b"), 403)
    assert (await move(hospital, tasked, "cancelled")).status_code == 200
    assert not await sees(ngo, about)
    assert await sees(hospital, about)


async def test_a_document_that_changes_takes_its_binaries_along(hospital: Caller, ngo: Caller) -> None:
    first, second = await upload(hospital), await upload(hospital)
    who = reference(await hospital.create(patient()))
    letter = await document(hospital, who, first)
    asked = reference(await hospital.create(service_request(who, supportingInfo=[{"reference": letter}])))
    await hospital.create(task(who, asked))
    found = await hospital.read(letter)
    found["content"] = [{"attachment": {"url": f"http://handoff.test/fhir/{second}"}}]
    assert (await hospital.update(found)).status_code == 200
    assert (await sees(ngo, first), await sees(ngo, second)) == (False, True)
    found = await hospital.read(letter)
    assert (await hospital.update({**found, "meta": {**found["meta"], **RESTRICTED}})).status_code == 200
    assert not await sees(ngo, second)


async def test_a_deleted_document_takes_its_binary_along(hospital: Caller, ngo: Caller) -> None:
    about = await upload(hospital)
    who = reference(await hospital.create(patient()))
    letter = await document(hospital, who, about)
    asked = reference(await hospital.create(service_request(who, supportingInfo=[{"reference": letter}])))
    await hospital.create(task(who, asked))
    assert await sees(ngo, about)
    assert (await hospital.send("DELETE", f"/{letter}")).status_code == 204
    assert not await sees(ngo, about)


async def test_a_security_context_rules(hospital: Caller, ngo: Caller, stranger: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    private = reference(await hospital.create({"resourceType": "Basic", "code": {"text": "x"}}))
    seen = await upload(hospital, X_Security_Context=who)
    hidden = await upload(hospital, X_Security_Context=private)
    answer = await hospital.get(f"/{seen}", Accept="*/*")
    assert answer.headers["x-security-context"] == who
    letters = [await document(hospital, who, each) for each in (seen, hidden)]
    found = await hospital.read(asked)
    found["supportingInfo"] = [{"reference": each} for each in [*letters, hidden]]
    assert (await hospital.update(found)).status_code == 200
    assert (await sees(ngo, seen), await sees(ngo, hidden), await sees(stranger, seen)) == (True, False, False)
    moved = await hospital.send(
        "PUT", f"/{hidden}", SCAN, Content_Type="application/pdf", X_Security_Context=f"http://handoff.test/fhir/{who}"
    )
    assert moved.status_code == 200
    back = await hospital.send("PUT", f"/{seen}", SCAN, Content_Type="application/pdf", X_Security_Context=private)
    assert back.status_code == 200
    assert (await ngo.get(f"/{hidden}", Accept="*/*")).content == SCAN
    refused(await ngo.get(f"/{seen}", Accept="*/*"), 404)
    assert (await move(ngo, tasked, "rejected")).status_code == 200
    refused(await ngo.get(f"/{hidden}", Accept="*/*"), 404)


async def test_a_context_from_before_the_task_brings_its_binary(hospital: Caller, ngo: Caller) -> None:
    who = reference(await hospital.create(patient()))
    about = await upload(hospital, X_Security_Context=who)
    labelled = {"resourceType": "Binary", "contentType": "a/b", "securityContext": {"reference": who}}
    secret = reference((await hospital.send("POST", "/Binary", {**labelled, "meta": RESTRICTED}, **FHIR)).json())
    asked = reference(await hospital.create(service_request(who)))
    tasked = reference(await hospital.create(task(who, asked)))
    assert (await sees(ngo, about), await sees(ngo, secret)) == (True, False)
    assert (await move(hospital, tasked, "entered-in-error")).status_code == 200
    assert not await sees(ngo, about)


async def test_a_partner_sends_a_scan_back(hospital: Caller, ngo: Caller, stranger: Caller) -> None:
    who, _, _ = await refer(hospital)
    about = await upload(ngo)
    assert not await sees(hospital, about)
    letter = await document(ngo, who, about)
    assert (await sees(hospital, about), await sees(stranger, about)) == (True, False)
    found = await ngo.read(letter)
    found["content"] = [{"attachment": {"title": "none"}}]
    assert (await ngo.update(found)).status_code == 200
    assert not await sees(hospital, about)


async def test_anothers_document_does_not_open_a_binary(hospital: Caller, stranger: Caller) -> None:
    about = await upload(hospital)
    who = reference(await stranger.create(patient()))
    await document(stranger, who, about)
    assert not await sees(stranger, about)
