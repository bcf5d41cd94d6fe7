"""The operations of types in the OpenAPI document, from the table that serves them."""

from typing import Any

from app.access.interaction_rules import LETTERS
from app.fhir.openapi_examples import STAMP, stored_example
from app.fhir.operations import OPERATIONS, Operation, OperationParameter
from app.routers.openapi.parts import answer, ask, fail, secure, take

Json = dict[str, Any]

SHAPING = ("_format", "_pretty")
ANSWERS = (400, 401, 403, 404, 406, 409, 410, 412, 413, 415, 422, 429, 503)
_EXAMPLES: Json = {"id": "example", "code": "active", "instant": STAMP, "string": "1", "unsignedInt": 3600}
_PROFILE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-status-r4"


def build_operation_paths() -> dict[str, Json]:
    """Path, method, operation."""
    paths: dict[str, Json] = {}
    for each in OPERATIONS.values():
        for level in each.levels:
            place = f"/fhir/{each.resource_type}{'/{id}' if level == 'instance' else ''}/${each.code}"
            methods = ("get", "post") if each.reads_only else ("post",)
            paths[place] = {method: build_operation(each, level, method) for method in methods}
    return paths


def build_operation(operation: Operation, level: str, method: str) -> Json:
    """One operation on a type or an instance, by one method."""
    name = operation.resource_type
    words = "".join(word[0].upper() + word[1:] for word in operation.code.split("-"))
    many = "s" if level == "type" else ""
    path = take("id") if level == "instance" else []
    built: Json = {
        "tags": [name],
        "operationId": f"{method}{name}{many}{words}",
        "summary": operation.meaning,
        "externalDocs": {"url": operation.definition},
        "security": secure(f"system/{name}.{find_letter(operation, level)}"),
        "parameters": [*path, *take(*SHAPING)],
    }
    if operation.under_match:
        built["parameters"] += take("If-Match.required")
    if method == "get":
        built["parameters"] += [tell_parameter(each) for each in operation.parameters]
    elif operation.parameters:
        built["requestBody"] = {**ask("Parameters", f"{name}.{operation.code}"), "required": False}
    built["responses"] = {
        "200": answer(operation.meaning, operation.returns, f"{name}.{operation.code}.answer"),
        **fail(ANSWERS),
    }
    return built


def find_letter(operation: Operation, level: str) -> str:
    """The letter of the scope that it takes."""
    reads_all = level == "type" and operation.interaction == "read"
    return LETTERS["search-type" if reads_all else operation.interaction]


def tell_parameter(parameter: OperationParameter) -> Json:
    """A parameter in the query."""
    text = {"type": "string"}
    schema: Json = {"type": "array", "items": text} if parameter.many else text
    return {"name": parameter.name, "in": "query", "description": parameter.meaning, "schema": schema}


def build_parameters_schema() -> dict[str, Json]:
    """Parameters as an operation takes them: names and plain values."""
    values = {
        f"value{kind[0].upper()}{kind[1:]}": {"type": "integer" if kind == "unsignedInt" else "string"}
        for kind in sorted(_EXAMPLES)
    }
    one = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, **values},
        "additionalProperties": False,
    }
    return {
        "Parameters": {
            "type": "object",
            "required": ["resourceType"],
            "properties": {
                "resourceType": {"const": "Parameters"},
                "parameter": {"type": "array", "minItems": 1, "items": one},
            },
            "additionalProperties": False,
            "externalDocs": {"url": "http://hl7.org/fhir/R4/parameters.html"},
        }
    }


def build_operation_examples(base: str) -> Json:
    """A call and an answer of each."""
    built: Json = {}
    for each in OPERATIONS.values():
        key = f"{each.resource_type}.{each.code}"
        if each.parameters:
            first = each.parameters[0]
            value = f"value{first.type[0].upper()}{first.type[1:]}"
            given = {"name": first.name, value: _EXAMPLES[first.type]}
            built[key] = {"value": {"resourceType": "Parameters", "parameter": [given]}}
        built[f"{key}.answer"] = {"value": _ANSWERS[each.returns](each, base)}
    return built


def show_bundle(operation: Operation, base: str) -> Json:
    """A Bundle of one status."""
    subscription = f"{base}/Subscription/example"
    kind = "query-event" if operation.code == "events" else "query-status"
    status: Json = {
        "resourceType": "Parameters",
        "meta": {"profile": [_PROFILE]},
        "parameter": [
            {"name": "subscription", "valueReference": {"reference": subscription}},
            {"name": "status", "valueCode": "active"},
            {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": "1"},
        ],
    }
    entry: Json = {"fullUrl": "urn:uuid:6f9f2c1e-0000-4000-8000-000000000001", "resource": status}
    if kind == "query-status":
        return {"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [{**entry, "search": MATCH}]}
    status["parameter"].append({"name": "notification-event", "part": [{"name": "event-number", "valueString": "1"}]})
    request = {"method": "GET", "url": f"{subscription}/$status"}
    entry |= {"request": request, "response": {"status": "200"}}
    return {"resourceType": "Bundle", "type": "history", "entry": [entry]}


MATCH = {"mode": "match"}


def show_outcome(_operation: Operation, _base: str) -> Json:
    """An OperationOutcome that tells of a success."""
    told = {"severity": "information", "code": "informational", "diagnostics": "1 event goes again"}
    return {"resourceType": "OperationOutcome", "issue": [told]}


def show_secret(_operation: Operation, _base: str) -> Json:
    """Parameters that hold a secret, here one of nobody's."""
    secret = {"name": "secret", "valueString": "whsec_ZXhhbXBsZS1leGFtcGxlLWV4YW1wbGUtZXhhbXBsZS0="}
    return {"resourceType": "Parameters", "parameter": [secret]}


def show_task(_operation: Operation, _base: str) -> Json:
    """A Task."""
    return stored_example("Task")


_ANSWERS = {"Bundle": show_bundle, "OperationOutcome": show_outcome, "Parameters": show_secret, "Task": show_task}
