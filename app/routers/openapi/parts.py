"""What the operations of the OpenAPI document share: headers, parameters, answers, errors."""

from collections.abc import Iterable
from typing import Any

from app.fhir.openapi_examples import outcome_example
from app.fhir.openapi_schemas import refer

Json = dict[str, Any]

FHIR_JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"
READ, SEARCH, CREATE, UPDATE, DELETE = "r", "s", "c", "u", "d"

ERRORS: dict[int, tuple[str, Json]] = {
    400: (
        "The request is malformed, or asks for what is not offered",
        outcome_example("not-supported", "Task has no search parameter 'colour' here", "colour"),
    ),
    401: (
        "No access token, or one that does not count any more",
        outcome_example("login", "This address takes an access token: Authorization: Bearer ..."),
    ),
    403: (
        "The token's scopes, the client's role or the resource's owner do not allow it",
        outcome_example("forbidden", "A client of role provider may not create a Patient"),
    ),
    404: ("There is none, or none that the caller may see", outcome_example("not-found", "Task/x is not known")),
    406: (
        "An answer in another format than JSON was wanted",
        outcome_example("not-supported", "This server speaks JSON: _format=json", "_format"),
    ),
    409: (
        "Other writers were faster; try again",
        outcome_example("conflict", "Other writers kept changing the same resources; try again"),
    ),
    410: ("It was deleted", outcome_example("deleted", "Task/x was deleted")),
    412: (
        "It has another version than If-Match says, or If-Match is missing, or a condition matches several",
        outcome_example("conflict", "Task/x is at version 3, not 2: read it again"),
    ),
    413: ("The body is too long", outcome_example("too-long", "The body is longer than 1048576 bytes")),
    415: (
        "The body is in another format",
        outcome_example("not-supported", "Send Content-Type: application/fhir+json"),
    ),
    422: (
        "The body is not valid FHIR, or breaks a rule of the referral",
        outcome_example("required", "Task needs intent", "Task.intent"),
    ),
    429: (
        "The client makes too many requests; Retry-After says when to go on",
        outcome_example("throttled", "This client sends more than 200 requests a second; wait 1 s"),
    ),
    503: (
        "The database does not answer; try again",
        outcome_example("transient", "The database took too long; try again"),
    ),
}
"""What each status of an error means, with an example (R4 http, 3.1.0.1.5)."""

_CHALLENGE = {"WWW-Authenticate": {"$ref": "#/components/headers/WWW-Authenticate"}}

HEADERS: Json = {
    "ETag": {"description": "The version, as If-Match wants it", "schema": {"type": "string"}, "example": 'W/"1"'},
    "Last-Modified": {
        "description": "When the version was written",
        "schema": {"type": "string"},
        "example": "Mon, 05 Jan 2026 02:00:00 GMT",
    },
    "Location": {"description": "The address of the version that was written", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "What would be accepted (RFC 6750)", "schema": {"type": "string"}},
}

_ETAG = r'^(W/)?"[0-9]{1,18}"$'


def _header(name: str, meaning: str, schema: Json, example: str, *, required: bool = False) -> Json:
    parameter = {"name": name, "in": "header", "description": meaning, "schema": schema, "example": example}
    return {**parameter, "required": True} if required else parameter


_IF_MATCH = 'Update only the version that was read: W/"version".'
_DATE = "Mon, 05 Jan 2026 02:00:00 GMT"

PARAMETERS: Json = {
    "id": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The resource's logical id.",
        "schema": refer("id"),
    },
    "vid": {
        "name": "vid",
        "in": "path",
        "required": True,
        "description": "The version, a whole number.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    },
    "_format": {
        "name": "_format",
        "in": "query",
        "description": "Instead of Accept, where that cannot be set.",
        "schema": {"enum": ["json", "application/json", FHIR_JSON]},
    },
    "_pretty": {
        "name": "_pretty",
        "in": "query",
        "description": "Whether the JSON is laid out for people.",
        "schema": {"enum": ["true", "false"]},
    },
    "If-Match": _header("If-Match", _IF_MATCH, {"type": "string", "pattern": _ETAG}, 'W/"1"'),
    "If-Match.required": _header("If-Match", _IF_MATCH, {"type": "string", "pattern": _ETAG}, 'W/"1"', required=True),
    "X-Break-Glass-Reason": _header(
        "X-Break-Glass-Reason",
        "Why this request is to see what no referral shares; takes the scope break-glass, and is for one patient.",
        {"type": "string", "maxLength": 500},
        "Unconscious in the emergency room",
    ),
    "If-None-Match": _header(
        "If-None-Match",
        "Answer 304 where this version, or a poll's answer, still holds.",
        {"type": "string"},
        'W/"1"',
    ),
    "If-Modified-Since": _header(
        "If-Modified-Since", "Answer 304 where nothing was written since.", {"type": "string"}, _DATE
    ),
    "If-None-Exist": _header(
        "If-None-Exist",
        "Create only where this search of the same type matches none; the one match is answered instead.",
        {"type": "string"},
        "identifier=urn:example:warm-handoff|REF-1",
    ),
    "X-Security-Context": _header(
        "X-Security-Context",
        "A resource of your organisation: whoever sees it sees the content too, and nobody else.",
        {"type": "string"},
        "DocumentReference/example",
    ),
    "Prefer": _header(
        "Prefer",
        "What a write answers: return=minimal (no body), return=representation or return=OperationOutcome.",
        {"type": "string"},
        "return=representation",
    ),
    "Prefer.handling": _header(
        "Prefer",
        "handling=lenient ignores search parameters that are not offered, each with a warning in the answer.",
        {"type": "string"},
        "handling=lenient",
    ),
    "Prefer.Bundle": _header(
        "Prefer",
        "What the writes answer (return=...), and whether the searches ignore parameters that are not offered "
        "(handling=lenient).",
        {"type": "string"},
        "return=representation, handling=lenient",
    ),
}


def take(*names: str) -> list[Json]:
    """References to parameters by their names among the components."""
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def show(*names: str) -> Json:
    """References to headers of an answer."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def build_errors() -> Json:
    """Every answer that is an error, by its name among the components."""
    built: Json = {}
    for status, (meaning, example) in ERRORS.items():
        built[f"error.{status}"] = {
            "description": meaning,
            "content": {FHIR_JSON: {"schema": refer("OperationOutcome"), "example": example}},
        }
        if status in (401, 403):
            built[f"error.{status}"]["headers"] = _CHALLENGE
    return built


def fail(statuses: Iterable[int]) -> Json:
    """References to the answers that are errors, by status."""
    return {str(status): {"$ref": f"#/components/responses/error.{status}"} for status in statuses}


def answer(meaning: str, schema: str, example: str, *headers: str) -> Json:
    """An answer of FHIR JSON; ``example`` names one among the components."""
    content = {"schema": refer(schema), "examples": {"example": {"$ref": f"#/components/examples/{example}"}}}
    built: Json = {"description": meaning, "content": {FHIR_JSON: content}}
    return {**built, "headers": show(*headers)} if headers else built


def ask(schema: str, *examples: str) -> Json:
    """A request body of FHIR JSON, with examples from among the components."""
    named = {each.replace(".", "-"): {"$ref": f"#/components/examples/{each}"} for each in examples}
    return {"required": True, "content": {FHIR_JSON: {"schema": refer(schema), "examples": named}}}


def secure(scope: str) -> list[Json]:
    """What an operation takes: a token with this scope."""
    return [{"oauth2": [scope]}, {"bearer": []}]
