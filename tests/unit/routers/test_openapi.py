"""The OpenAPI document: well-formed, complete, true to the tables, small."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Match, Route

from app.core.settings import Settings
from app.fhir.openapi_examples import new_example, stored_example
from app.fhir.openapi_search import KIND_MEANINGS, RESULT_MEANINGS
from app.fhir.registry import TYPES
from app.main import create_app
from app.routers import admin, admin_clients, admin_networks, docs, fhir, health, metrics, oauth
from app.routers import operations as operation_routes
from app.routers.openapi.document import build_document, load_document
from app.routers.openapi.types import INCLUDES
from app.search.parse import SPECIAL
from tests.json_schema import find_errors, find_faults, resolve

Json = dict[str, Any]

URL = "https://refer.example.org"
MOST_BYTES = 2_000_000
METHODS = {"get", "post", "put", "delete"}
COMPONENT = re.compile(r"[A-Za-z0-9._-]+")


@pytest.fixture(scope="module")
def document() -> Json:
    return build_document(URL)


def list_operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def walk(node: Any) -> Iterator[Json]:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def test_it_is_small() -> None:
    assert len(load_document(URL).body) <= MOST_BYTES


def test_its_frame(document: Json) -> None:
    assert document["openapi"] == "3.1.0"
    assert {"title", "version"} <= document["info"].keys()
    assert document["servers"] == [{"url": URL}]
    for kind, components in document["components"].items():
        assert all(COMPONENT.fullmatch(name) for name in components), kind


def test_without_an_address_it_is_relative() -> None:
    relative = build_document(None)
    assert relative["servers"] == [{"url": "/"}]
    flows = relative["components"]["securitySchemes"]["oauth2"]["flows"]
    assert flows["clientCredentials"]["tokenUrl"] == "/oauth/token"


def test_every_reference_leads_somewhere(document: Json) -> None:
    pointers = {node["$ref"] for node in walk(document) if isinstance(node.get("$ref"), str)}
    assert pointers
    for pointer in pointers:
        assert resolve(document, pointer) is not None, pointer


def test_no_component_is_unused(document: Json) -> None:
    used = {node["$ref"] for node in walk(document) if isinstance(node.get("$ref"), str)}
    offered = {
        f"#/components/{kind}/{name}"
        for kind, components in document["components"].items()
        if kind != "securitySchemes"
        for name in components
    }
    assert offered - used <= {f"#/components/headers/{name}" for name in document["components"]["headers"]}


def test_operations_are_well_formed(document: Json) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    names = []
    for path, method, operation in list_operations(document):
        assert method in METHODS
        assert set(operation["tags"]) <= tags
        assert operation["summary"]
        names.append(operation["operationId"])
        parameters = [
            resolve(document, each["$ref"]) if "$ref" in each else each for each in list_parameters(operation)
        ]
        keys = [(each["name"], each["in"]) for each in parameters]
        assert len(keys) == len(set(keys)), (path, method)
        in_path = {each["name"] for each in parameters if each["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path)), path
        for status, answer in operation["responses"].items():
            assert re.fullmatch(r"[2-5]\d\d", status)
            assert (resolve(document, answer["$ref"]) if "$ref" in answer else answer)["description"]
    assert len(names) == len(set(names))


def list_parameters(operation: Json) -> list[Json]:
    found: list[Json] = operation.get("parameters", [])
    return found


def test_links_name_operations(document: Json) -> None:
    names = {operation["operationId"] for _, _, operation in list_operations(document)}
    for _, _, operation in list_operations(document):
        for answer in operation["responses"].values():
            assert {link["operationId"] for link in answer.get("links", {}).values()} <= names


def test_scopes_are_declared(document: Json) -> None:
    scopes = document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]["scopes"]
    for path, _, operation in list_operations(document):
        for each in operation["security"]:
            assert set(each.get("oauth2", ())) <= scopes.keys(), path


def test_every_interaction_is_there_and_no_other(document: Json) -> None:
    wanted = {
        "read": ("/{id}", "get"),
        "vread": ("/{id}/_history/{vid}", "get"),
        "update": ("/{id}", "put"),
        "delete": ("/{id}", "delete"),
        "history-instance": ("/{id}/_history", "get"),
        "history-type": ("/_history", "get"),
        "create": ("", "post"),
        "search-type": ("", "get"),
    }
    for name, kept in TYPES.items():
        for interaction, (path, method) in wanted.items():
            there = method in document["paths"].get(f"/fhir/{name}{path}", {})
            assert there == (interaction in kept.interactions), (name, interaction)


def test_every_route_is_in_the_document_and_every_operation_is_routed(document: Json) -> None:
    routes = [each for each in iterate_routes() if each.include_in_schema]
    documented = set()
    for path, method, _ in list_operations(document):
        address = path.replace("{id}", "example").replace("{vid}", "1")
        scope = {"type": "http", "method": method.upper(), "path": address, "root_path": "", "headers": []}
        found = next((route for route in routes if route.matches(scope)[0] == Match.FULL), None)
        assert found is not None, (method, path)
        documented.add((found.path, method.upper()))
    offered = {(route.path, method) for route in routes for method in (route.methods or set()) - {"HEAD"}}
    assert documented == offered


def iterate_routes() -> Iterator[Route]:
    fhir_routers = (oauth.router, operation_routes.router, fhir.router)
    admin_routers = (admin.router, admin_clients.router, admin_networks.router)
    for router in (*fhir_routers, health.router, metrics.router, *admin_routers, docs.router):
        yield from (route for route in router.routes if isinstance(route, Route))


def test_the_application_gives_it(document: Json) -> None:
    assert create_app(Settings(public_url=URL)).openapi() == document


def test_every_search_parameter_is_there(document: Json) -> None:
    for name, kept in TYPES.items():
        if "search-type" not in kept.interactions:
            continue
        operation = document["paths"][f"/fhir/{name}"]["get"]
        shown = {each["name"]: each for each in (resolve(document, ref["$ref"]) for ref in operation["parameters"])}
        assert {each.code for each in kept.search} <= shown.keys()
        for each in kept.search:
            assert each.expression in shown[each.code]["description"]
            assert each.kind in shown[each.code]["description"]
        wanted = {*SPECIAL, *INCLUDES} & shown.keys()
        assert SPECIAL.keys() - set(INCLUDES) <= wanted
        if kept.includes:
            assert shown["_include"]["schema"]["items"]["enum"] == [f"{name}:{code}" for code in kept.includes]


def test_every_parameter_has_its_meaning() -> None:
    assert SPECIAL.keys() <= {*RESULT_MEANINGS, *INCLUDES}
    assert {each.kind for kept in TYPES.values() for each in kept.search} <= KIND_MEANINGS.keys()


@pytest.mark.parametrize("name", TYPES)
def test_examples_of_types_are_valid(name: str, document: Json) -> None:
    for example in (new_example(name), stored_example(name)):
        assert find_errors(example) == []
        assert find_faults(document, {"$ref": f"#/components/schemas/{name}"}, example) == []


def test_examples_of_a_type_nobody_has_written_one_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.fhir.openapi_examples._load_lines", dict)
    for name in TYPES:
        errors = [each for each in find_errors(new_example(name)) if each.code != "invariant"]
        assert errors == [], name


def test_every_body_and_answer_fits_its_schema(document: Json) -> None:
    webhooks = [each["post"] for each in document["webhooks"].values()]
    checked = 0
    for operation in (*(each for _, _, each in list_operations(document)), *webhooks):
        answers = operation["responses"].values()
        bodies = [resolve(document, each["$ref"]) if "$ref" in each else each for each in answers]
        for body in (*bodies, operation.get("requestBody", {})):
            for media, content in body.get("content", {}).items():
                examples = [content["example"]] if "example" in content else []
                examples += [resolve(document, each["$ref"])["value"] for each in content.get("examples", {}).values()]
                for example in examples if media.endswith("json") else ():
                    assert find_faults(document, content["schema"], example) == []
                    checked += 1
    assert checked > 100


def test_answers_that_are_resources_are_valid(document: Json) -> None:
    examples = [each["value"] for each in document["components"]["examples"].values()]
    for answer in document["components"]["responses"].values():
        examples += [content["example"] for content in answer["content"].values()]
    for example in examples:
        assert find_errors(example) == []
