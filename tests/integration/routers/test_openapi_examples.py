"""Every example of the OpenAPI document is sent to the server, and answered as the document says."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from app.access.interaction_rules import MAY_WRITE
from app.fhir.registry import TYPES
from app.routers.openapi.curl import write_query
from tests.api import Caller, World
from tests.json_schema import find_faults, resolve

Json = dict[str, Any]

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def document(world: World) -> Json:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url="http://handoff.test") as http:
        answer = await http.get("/openapi.json")
        assert answer.status_code == 200
        found: Json = answer.json()
        again = await http.get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        return found


def parameters_of(document: Json, operation: Json) -> list[Json]:
    given = operation.get("parameters", [])
    return [resolve(document, each["$ref"]) if "$ref" in each else each for each in given]


def list_requests(document: Json) -> Iterator[tuple[str, str, Json, str | None, Any]]:
    """(method, path, operation, media type, body) of every example of a body, and of what has none."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if not content:
                yield method, path, operation, None, None
            for media, told in content.items():
                examples = [told["example"]] if "example" in told else []
                examples += [resolve(document, each["$ref"])["value"] for each in told.get("examples", {}).values()]
                for example in examples:
                    yield method, path, operation, media, example


async def send(caller: Caller, document: Json, request: tuple[str, str, Json, str | None, Any]) -> httpx.Response:
    method, path, operation, media, body = request
    parameters = parameters_of(document, operation)
    headers = {"Content-Type": media} if media else {}
    headers |= {each["name"]: each["example"] for each in parameters if each["in"] == "header" and each.get("required")}
    if operation["security"] == [{}]:
        headers["Authorization"] = ""
    address = path.replace("{id}", "example").replace("{vid}", "1")
    address += write_query(method, [each["name"] for each in parameters if each["in"] == "query"])
    data = body if media == FORM else None
    sent = None if data or body is None else json.dumps(body).encode()
    given = caller.http.build_request(method.upper(), address, content=sent, data=data, headers=headers)
    if operation["security"] == [{}]:
        del given.headers["Authorization"]
    return await caller.http.send(given)


def check_answer(document: Json, operation: Json, answer: httpx.Response) -> None:
    """The status is one of the document, and so are the media type and the shape of the body."""
    told = operation["responses"].get(str(answer.status_code))
    assert told is not None, f"{operation['operationId']}: {answer.status_code} {answer.text}"
    told = resolve(document, told["$ref"]) if "$ref" in told else told
    if not answer.content:
        return
    media = answer.headers["content-type"].partition(";")[0]
    faults = find_faults(document, told["content"][media]["schema"], answer.json()) if media.endswith("json") else []
    assert faults == [], operation["operationId"]


async def test_every_example_is_answered_as_documented(world: World, document: Json) -> None:
    admin = await world.caller("operator", "admin")
    requests = list(list_requests(document))
    order = ("put", "post", "get", "delete")
    for request in sorted(requests, key=lambda each: order.index(each[0])):
        answer = await send(admin, document, request)
        assert answer.status_code < 500, f"{request[0]} {request[1]}: {answer.text}"
        check_answer(document, request[2], answer)


async def test_examples_of_writes_are_taken(world: World, document: Json) -> None:
    admin = await world.caller("operator", "admin")
    rights = MAY_WRITE["admin"]
    for name in TYPES:
        for method, path, right in (
            ("post", f"/fhir/{name}", rights["c"]),
            ("put", f"/fhir/{name}/{{id}}", rights["u"]),
        ):
            operation = document["paths"].get(path, {}).get(method)
            if operation is None or name not in right:
                continue
            content = operation["requestBody"]["content"]["application/fhir+json"]
            for each in content["examples"].values():
                body = resolve(document, each["$ref"])["value"]
                expected = 201
                if any(
                    each["name"] == "If-Match" and each.get("required") for each in parameters_of(document, operation)
                ):
                    made = await admin.send("PUT", path.removeprefix("/fhir").replace("{id}", "example"), body)
                    assert made.status_code == 201, f"{method} {path}: {made.text}"
                    expected = 200
                answer = await send(admin, document, (method, path, operation, "application/fhir+json", body))
                assert answer.status_code == expected, f"{method} {path}: {answer.text}"


async def test_a_referrer_posts_the_transaction(world: World, document: Json) -> None:
    hospital = await world.caller("example")
    body = document["components"]["examples"]["transaction"]["value"]
    answer = await hospital.send("POST", "", body)
    assert answer.status_code == 200, answer.text
    assert [each["response"]["status"] for each in answer.json()["entry"]] == ["201 Created"] * 3


class Page(HTMLParser):
    """Collects what a page would load, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[tuple[str, str]] = []
        self.links: set[str] = set()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if tag == "a" and name == "href":
                self.links.add(value or "")
            elif name in ("src", "href", "action", "srcset", "data", "poster") or name.startswith("on"):
                self.loaded.append((tag, value or ""))


async def read_page(caller: Caller, address: str) -> Page:
    answer = await caller.http.get(address)
    assert answer.status_code == 200, address
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self';")
    page = Page(answer.text)
    assert set(page.loaded) <= {("link", "/docs/page.css"), ("form", "/docs")}
    assert page.tags.isdisjoint({"script", "img", "iframe", "object", "style", "base", "meta http-equiv"})
    return page


async def test_the_page_loads_nothing_from_elsewhere_and_its_links_work(world: World, document: Json) -> None:
    anyone = await world.caller("anyone")
    style = await anyone.http.get("/docs/page.css")
    assert style.headers["content-type"].startswith("text/css")
    assert not re.search(r"url\(|@import|https?:", style.text)
    waiting, seen = ["/docs"], set[str]()
    while waiting:
        address = waiting.pop()
        seen.add(address)
        page = await read_page(anyone, address)
        for link in page.links:
            plain = link.partition("#")[0]
            if plain.startswith("/docs") and plain not in seen and plain not in waiting:
                waiting.append(plain)
            assert link.startswith(("/docs", "/openapi.json", "http://hl7.org/fhir/R4/")), link
    assert len(seen) > len(TYPES) + len(document["components"]["schemas"])


async def test_the_page_shows_every_operation_with_its_curl(world: World, document: Json) -> None:
    anyone = await world.caller("anyone")
    for tag in document["tags"]:
        text = (await anyone.http.get("/docs", params={"tag": tag["name"]})).text
        operations = [
            each for path in document["paths"].values() for each in path.values() if tag["name"] in each["tags"]
        ]
        for operation in operations:
            assert f'<section id="{operation["operationId"]}">' in text
        assert text.count("curl ") >= len(operations)


async def test_the_page_is_searched(world: World) -> None:
    anyone = await world.caller("anyone")
    found = (await anyone.http.get("/docs", params={"q": "task OWNER"})).text
    assert "searchTask" in found
    assert "searchPatient" not in found
    for hostile in ("<script>alert(1)</script>", '"><img src=x>'):
        text = (await anyone.http.get("/docs", params={"q": hostile})).text
        assert hostile not in text
        assert Page(text).tags.isdisjoint({"script", "img"})
    for unknown in ({"tag": "Nothing"}, {"schema": "Nothing"}):
        answer = await anyone.http.get("/docs", params=unknown)
        assert answer.status_code == 404
        assert answer.json()["resourceType"] == "OperationOutcome"
