"""The paths of the OpenAPI document that belong to no resource type."""

from typing import Any

from app.access.grants import ASSERTION_TYPE, GRANT_TYPE
from app.access.interaction_rules import LETTERS
from app.access.scopes import offered_scopes
from app.fhir.capability import capability_statement
from app.fhir.openapi_examples import batch_example, history_example, transaction_answer_example, transaction_example
from app.fhir.openapi_schemas import refer
from app.routers.openapi.parts import FORM, answer, ask, fail, secure, take
from app.routers.openapi.types import HISTORY, NOTHING_NEW, READING, SHAPING, WRITING

Json = dict[str, Any]

JSON = "application/json"
NOBODY: list[Json] = [{}]
"""The security of what is open to everyone."""

TAGS = {
    "System": "All types together: batch, transaction, history, and what the server can do.",
    "OAuth": "How a client gets an access token (SMART Backend Services).",
    "Delivery": "Webhooks and what is under way to them: for the operator all, for an organisation its own.",
    "Registry": "The register of clients, for the operator alone.",
    "Operations": "Whether the server lives and is ready.",
    "Documentation": "This document, and the page that shows it.",
}


def build_system_paths() -> dict[str, Json]:
    """Path, method, operation."""
    return {
        "/fhir": {"post": bundle_operation()},
        "/fhir/_history": {"get": history_operation()},
        "/fhir/metadata": {"get": metadata_operation()},
        "/fhir/.well-known/smart-configuration": {"get": configuration_operation()},
        "/oauth/token": {"post": token_operation()},
        "/healthz": {"get": health_operation("isAlive", "Whether the process answers")},
        "/readyz": {"get": health_operation("isReady", "Whether the database answers too", failing="503")},
        "/metrics": {"get": metrics_operation()},
        "/openapi.json": {"get": document_operation()},
        "/docs": {"get": page_operation()},
        "/docs/page.css": {"get": style_operation()},
    }


def bundle_operation() -> Json:
    """Batch and transaction; each entry takes the scope of what it does."""
    return {
        "tags": ["System"],
        "operationId": "processBundle",
        "summary": "Processes a batch, entry by entry, or a transaction, all of it or nothing",
        "security": [{"oauth2": []}, {"bearer": []}],
        "parameters": take("Prefer.Bundle", *SHAPING),
        "requestBody": ask("Bundle", "transaction", "batch"),
        "responses": {
            "200": answer("The answer to each entry, in their order", "Bundle", "transaction-response"),
            **fail(WRITING),
        },
    }


def history_operation() -> Json:
    """system history."""
    return {
        "tags": ["System"],
        "operationId": "listHistory",
        "summary": "Every version of everything that the caller sees, newest first",
        "security": secure(f"system/*.{LETTERS['history-system']}"),
        "parameters": take(*HISTORY),
        "responses": {"200": answer("A history", "Bundle", "history"), **NOTHING_NEW, **fail(READING)},
    }


def metadata_operation() -> Json:
    """capabilities."""
    return {
        "tags": ["System"],
        "operationId": "describeCapabilities",
        "summary": "What this server can do: the CapabilityStatement",
        "security": NOBODY,
        "parameters": take(*SHAPING),
        "responses": {
            "200": answer("The statement", "CapabilityStatement", "capabilities"),
            **fail((400, 406)),
        },
    }


def configuration_operation() -> Json:
    """Where clients learn of the token endpoint."""
    example = {
        "token_endpoint": "https://refer.example.org/oauth/token",
        "grant_types_supported": [GRANT_TYPE],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "scopes_supported": offered_scopes()[:2],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }
    content = {"schema": refer("oauth.configuration"), "example": example}
    return {
        "tags": ["OAuth"],
        "operationId": "describeAuthorization",
        "summary": "How a client gets a token here",
        "security": NOBODY,
        "responses": {"200": {"description": "The configuration", "content": {JSON: content}}},
    }


def token_operation() -> Json:
    """The token endpoint."""
    form = {
        "grant_type": GRANT_TYPE,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": "eyJhbGciOiJFUzM4NCJ9.eyJpc3MiOiJteS1laHIifQ.c2lnbmF0dXJl",
        "scope": "system/Task.rs system/ServiceRequest.r",
    }
    granted = {"access_token": "eyJhbGciOi...", "token_type": "bearer", "expires_in": 300, "scope": form["scope"]}
    refused = {"error": "invalid_client", "error_description": "Client authentication failed"}
    responses: Json = {
        "200": {
            "description": "A token",
            "content": {JSON: {"schema": refer("oauth.token"), "example": granted}},
        }
    }
    for status, meaning in (
        ("400", "The form or the scope is not right"),
        ("401", "The client is not known by this assertion"),
        ("503", "The database does not answer; try again"),
    ):
        shown = refused if status == "401" else {"error": OTHER_ERRORS[status]}
        content = {"schema": refer("oauth.error"), "example": shown}
        responses[status] = {"description": meaning, "content": {JSON: content}}
    return {
        "tags": ["OAuth"],
        "operationId": "getToken",
        "summary": "Gives a client an access token for an assertion that it signed",
        "security": NOBODY,
        "requestBody": {
            "required": True,
            "content": {FORM: {"schema": refer("oauth.request"), "example": form}},
        },
        "responses": responses,
    }


OTHER_ERRORS = {"400": "invalid_scope", "503": "temporarily_unavailable"}


def health_operation(name: str, summary: str, failing: str | None = None) -> Json:
    """A probe; ``failing`` is the status of one that fails, if it can."""
    content = {JSON: {"schema": refer("health"), "example": {"status": "ok"}}}
    responses: Json = {"200": {"description": "It does", "content": content}}
    if failing:
        shown = {"schema": refer("health"), "example": {"status": "the database does not answer"}}
        responses[failing] = {"description": "It does not", "content": {JSON: shown}}
    return {
        "tags": ["Operations"],
        "operationId": name,
        "summary": summary,
        "security": NOBODY,
        "responses": responses,
    }


def metrics_operation() -> Json:
    """Prometheus's scrape."""
    shown = {"schema": {"type": "string"}, "example": 'handoff_deliveries_queued{webhook="x"} 0.0\n'}
    return {
        "tags": ["Operations"],
        "operationId": "readMetrics",
        "summary": "Delivery in figures, for Prometheus; off unless HANDOFF_METRICS says who may read them",
        "security": [{"oauth2": []}, {"bearer": []}, {}],
        "responses": {
            "200": {
                "description": "In the text format, or as OpenMetrics where that is accepted",
                "content": {"text/plain": shown, "application/openmetrics-text": {"schema": {"type": "string"}}},
            },
            **fail((400, 401, 403, 404, 429, 503)),
        },
    }


def _open_operation(name: str, summary: str, media: str, schema: Json, *parameters: Json) -> Json:
    return {
        "tags": ["Documentation"],
        "operationId": name,
        "summary": summary,
        "security": NOBODY,
        **({"parameters": list(parameters)} if parameters else {}),
        "responses": {"200": {"description": "It", "content": {media: {"schema": schema}}}},
    }


def document_operation() -> Json:
    """This document."""
    operation = _open_operation("readOpenApi", "This document", JSON, {"type": "object"}, *take("If-None-Match"))
    operation["responses"]["304"] = {"description": "It has not changed"}
    return operation


def page_operation() -> Json:
    """The page that shows it."""
    told = {
        "tag": "Show the operations of one tag, such as a resource type.",
        "schema": "Show one schema.",
        "q": "Show the operations whose address, summary or parameters hold these words.",
    }
    parameters = [
        {"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}}
        for name, meaning in told.items()
    ]
    operation = _open_operation("showDocs", "This document as a page", "text/html", {"type": "string"}, *parameters)
    operation["responses"]["404"] = {"description": "There is no such tag or schema"}
    return operation


def style_operation() -> Json:
    """How it looks."""
    return _open_operation("readDocsStyle", "The style of that page", "text/css", {"type": "string"})


def build_system_schemas() -> dict[str, Json]:
    """The schemas of what is not FHIR."""
    text: Json = {"type": "string"}
    texts: Json = {"type": "array", "items": text}
    return {
        "oauth.request": {
            "type": "object",
            "required": ["grant_type", "client_assertion_type", "client_assertion"],
            "properties": {
                "grant_type": {"const": GRANT_TYPE},
                "client_assertion_type": {"const": ASSERTION_TYPE},
                "client_assertion": {**text, "description": "A JWT signed by the client's key (RFC 7523)"},
                "scope": {**text, "description": "SMART v2 scopes; without it, all that the client has"},
                "client_id": text,
            },
        },
        "oauth.token": {
            "type": "object",
            "required": ["access_token", "token_type", "expires_in", "scope"],
            "properties": {
                "access_token": text,
                "token_type": {"const": "bearer"},
                "expires_in": {"type": "integer", "description": "Seconds"},
                "scope": text,
            },
        },
        "oauth.error": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": text, "error_description": text},
        },
        "oauth.configuration": {
            "type": "object",
            "required": ["token_endpoint", "grant_types_supported", "capabilities"],
            "properties": {"token_endpoint": {**text, "format": "uri"}},
            "additionalProperties": texts,
        },
        "health": {"type": "object", "required": ["status"], "properties": {"status": text}},
    }


def build_system_examples(base: str, version: str) -> Json:
    """The examples of the Bundles of all types, and a CapabilityStatement cut short."""
    statement = capability_statement(base, version)
    rest = statement["rest"][0]
    statement["rest"] = [{**rest, "resource": rest["resource"][:1]}]
    return {
        "transaction": {"value": transaction_example()},
        "transaction-response": {"value": transaction_answer_example()},
        "batch": {"value": batch_example()},
        "history": {"value": history_example("Task", base)},
        "capabilities": {"value": statement, "summary": "Cut short after the first type"},
    }
