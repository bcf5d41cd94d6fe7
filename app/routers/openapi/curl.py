"""A curl command for each operation of the OpenAPI document."""

import json
import shlex
from typing import Any
from urllib.parse import quote

from app.routers.openapi.parts import FORM

Json = dict[str, Any]

STAND_INS = {"id": "example", "vid": "1"}
QUERIES = ("identifier", "url", "code", "name", "status", "_id")
"""Search parameters to show a conditional update or delete by, the most telling first."""


def follow(document: Json, node: Json) -> Json:
    """The node itself, or what its $ref names."""
    while "$ref" in node:
        found: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def find_example(document: Json, media: Json) -> Any:
    """The first example of a media type; None for none."""
    if "example" in media:
        return media["example"]
    for each in media.get("examples", {}).values():
        return follow(document, each)["value"]
    return None


def write_curl(document: Json, origin: str, path: str, method: str, operation: Json) -> str:
    """The command, for a shell in which TOKEN is set."""
    parameters = [follow(document, each) for each in operation.get("parameters", ())]
    address = path
    for name, value in STAND_INS.items():
        address = address.replace(f"{{{name}}}", value)
    address += write_query(method, [each["name"] for each in parameters if each["in"] == "query"])
    words = ["curl"]
    if method != "get":
        words.append(f"-X {method.upper()}")
    words.append(shlex.quote(origin + address))
    if operation.get("security") != [{}]:
        words.append('-H "Authorization: Bearer $TOKEN"')
    needed = [each for each in parameters if each["in"] == "header" and each.get("required")]
    words += ["-H " + shlex.quote(f"{each['name']}: {each.get('example', '')}") for each in needed]
    return " \\\n  ".join([*words, *write_body(document, operation)])


def write_query(method: str, names: list[str]) -> str:
    """A query that shows how: a page of a search, or the condition of a write."""
    if method == "get":
        return "?_count=20" if "_count" in names else ""
    found = next((name for name in QUERIES if name in names), None)
    return f"?{quote(found)}=example" if found else ""


def write_body(document: Json, operation: Json) -> list[str]:
    """The options that send the example of the body."""
    words = []
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        example = find_example(document, content)
        if media == FORM:
            words += ["--data-urlencode " + shlex.quote(f"{name}={value}") for name, value in example.items()]
        else:
            words.append("-H " + shlex.quote(f"Content-Type: {media}"))
            words.append("-d " + shlex.quote(json.dumps(example, ensure_ascii=False)))
    return words
