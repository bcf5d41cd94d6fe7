"""The page that shows the OpenAPI document: plain HTML, without a script, without anything from elsewhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import quote

from app.routers.openapi.curl import find_example, follow, write_curl

Json = dict[str, Any]
Line = tuple[str, str, Json]
"""Path, method, operation."""


def list_operations(document: Json) -> Iterator[Line]:
    """Every operation, by tag and address."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def show_index(document: Json, query: str) -> str:
    """All operations, or those that hold every word of the query."""
    words = query.lower().split()
    found: dict[str, list[Line]] = {}
    for path, method, operation in list_operations(document):
        if not words or all(word in tell_all(document, path, method, operation) for word in words):
            found.setdefault(operation["tags"][0], []).append((path, method, operation))
    parts = []
    if not words:
        parts.append(f"<p>{escape(document['info']['description'])}</p>")
    elif not found:
        parts.append(f"<p>No operation holds “{escape(query)}”.</p>")
    for tag in document["tags"]:
        if tag["name"] in found:
            parts.append(show_tag_line(tag))
            parts.append(f"<ul>{''.join(map(show_line, found[tag['name']]))}</ul>")
    if not words:
        names = "".join(f"<li>{link_schema(name)}</li>" for name in document["components"]["schemas"])
        webhooks = "".join(show_webhook(document, name) for name in document["webhooks"])
        parts.append(f"<h2>Webhooks</h2>{webhooks}<h2>Schemas</h2><ul class=names>{names}</ul>")
    return show_page("Warm Handoff API", "".join(parts), query)


def tell_all(document: Json, path: str, method: str, operation: Json) -> str:
    """What a search looks into."""
    parameters = [follow(document, each) for each in operation.get("parameters", ())]
    told = [f"{each['name']} {each.get('description', '')}" for each in parameters]
    return " ".join((method, path, operation["summary"], operation["operationId"], *told)).lower()


def show_tag_line(tag: Json) -> str:
    name = tag["name"]
    return f'<h2><a href="/docs?tag={quote(name)}">{escape(name)}</a></h2><p>{escape(tag["description"])}</p>'


def show_line(line: Line) -> str:
    path, method, operation = line
    address = f"/docs?tag={quote(operation['tags'][0])}#{quote(operation['operationId'])}"
    shown = f"<b class={method}>{method.upper()}</b> <code>{escape(path)}</code>"
    return f'<li><a href="{address}">{shown}</a> {escape(operation["summary"])}</li>'


def show_tag(document: Json, name: str, origin: str) -> str | None:
    """The operations of one tag in full; None where there is no such tag."""
    tag = next((each for each in document["tags"] if each["name"] == name), None)
    if tag is None:
        return None
    lines = [line for line in list_operations(document) if name in line[2]["tags"]]
    parts = [f"<p>{escape(tag['description'])}</p>"]
    if name in document["components"]["schemas"]:
        parts.append(f"<p>Schema: {link_schema(name)}; FHIR: {link_out(tag['externalDocs']['url'])}</p>")
    parts.append(f"<ul>{''.join(map(show_line, lines))}</ul>")
    parts += [show_operation(document, line, origin) for line in lines]
    if name == "Webhooks":
        parts += [show_webhook(document, each) for each in document["webhooks"]]
    return show_page(name, "".join(parts))


def show_operation(document: Json, line: Line, origin: str) -> str:
    """One operation: what it takes, what it answers, how to try it."""
    path, method, operation = line
    scopes = [scope for each in operation["security"] for scope in each.get("oauth2", ())]
    parts = [
        f'<section id="{escape(operation["operationId"])}">',
        f"<h3><b class={method}>{method.upper()}</b> <code>{escape(path)}</code></h3>",
        f"<p>{escape(operation['summary'])}</p>",
        f"<p>Scope: <code>{escape(' '.join(scopes))}</code></p>" if scopes else "",
        show_parameters(document, operation),
        f"<pre>{escape(write_curl(document, origin, path, method, operation))}</pre>",
        show_body(document, operation.get("requestBody", {}), "Body"),
        "<h4>Answers</h4>",
    ]
    for status, answer in operation["responses"].items():
        parts.append(show_body(document, follow(document, answer), f"{status}: "))
    return "".join([*parts, "</section>"])


def show_webhook(document: Json, name: str) -> str:
    """One webhook: what the receiver gets."""
    operation = document["webhooks"][name]["post"]
    head = f"<section><h3><b class=post>POST</b> <code>{escape(name)}</code></h3><p>{escape(operation['summary'])}</p>"
    body = show_body(document, operation["requestBody"], "Body")
    return f"{head}<p>{escape(operation['description'])}</p>{show_parameters(document, operation)}{body}</section>"


def show_parameters(document: Json, operation: Json) -> str:
    """The parameters as a table."""
    rows = []
    for each in (follow(document, each) for each in operation.get("parameters", ())):
        needed = " <em>required</em>" if each.get("required") else ""
        name = f"<code>{escape(each['name'])}</code>{needed}"
        schema = each["schema"]
        rows.append(
            f"<tr><td>{name}<td>{escape(each['in'])}<td>{show_type(schema)}<td>{escape(each.get('description', ''))}"
        )
    if not rows:
        return ""
    return f"<table><tr><th>Parameter<th>In<th>Type<th>Meaning{''.join(rows)}</table>"


def show_body(document: Json, body: Json, title: str) -> str:
    """A body or an answer, its example folded away."""
    parts = [f"<p>{escape(title)}{escape(body.get('description', ''))}"]
    for media, content in body.get("content", {}).items():
        parts.append(f" <code>{escape(media)}</code> {show_type(content['schema'])}")
        example = find_example(document, content)
        if example is not None:
            shown = json.dumps(example, indent=2, ensure_ascii=False)
            parts.append(f"<details><summary>Example</summary><pre>{escape(shown)}</pre></details>")
    return "".join(parts)


def show_schema(document: Json, name: str) -> str | None:
    """One schema; None where there is no such one."""
    schema = document["components"]["schemas"].get(name)
    if schema is None:
        return None
    parts = [f"<p>{escape(schema.get('description', schema.get('title', '')))}</p>"]
    required = schema.get("required", ())
    rows = [
        f"<tr><td><code>{escape(key)}</code>{' <em>required</em>' if key in required else ''}"
        f"<td>{show_type(each)}<td>{escape(each.get('description', ''))}"
        for key, each in schema.get("properties", {}).items()
    ]
    if rows:
        parts.append(f"<table><tr><th>Element<th>Type<th>Meaning{''.join(rows)}</table>")
    if "enum" in schema:
        parts.append(f"<p>{', '.join(f'<code>{escape(each)}</code>' for each in schema['enum'])}</p>")
    shown = json.dumps(schema, indent=1, ensure_ascii=False)
    parts.append(f"<details><summary>JSON Schema</summary><pre>{escape(shown)}</pre></details>")
    return show_page(name, "".join(parts))


def show_type(schema: Json) -> str:
    """The type of a value in words, with a link where it has a name."""
    if "$ref" in schema:
        steps = schema["$ref"].split("/")
        return link_schema(steps[3]) if steps[2] == "schemas" else escape(steps[3])
    if schema.get("type") == "array":
        return f"list of {show_type(schema['items'])}"
    if "anyOf" in schema:
        return " or ".join(show_type(each) for each in schema["anyOf"])
    for key in ("const", "enum"):
        if key in schema:
            values = [schema[key]] if key == "const" else schema[key]
            return ", ".join(f"<code>{escape(str(each))}</code>" for each in values)
    kind = schema.get("type", "anything")
    return escape(kind if isinstance(kind, str) else " or ".join(kind))


def link_schema(name: str) -> str:
    return f'<a href="/docs?schema={quote(name)}">{escape(name)}</a>'


def link_out(url: str) -> str:
    return f'<a href="{escape(url)}" rel="noreferrer">{escape(url)}</a>'


def show_page(title: str, content: str, query: str = "") -> str:
    """The frame around every page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/docs/page.css"></head><body>'
        '<nav><a href="/docs">Warm Handoff API</a> <a href="/openapi.json">openapi.json</a>'
        '<form action="/docs" role="search"><input name="q" type="search" aria-label="Search the operations" '
        f'placeholder="owner, _history, token ..." value="{escape(query)}"><button>Search</button></form></nav>'
        f"<main><h1>{escape(title)}</h1>{content}</main></body></html>\n"
    )
