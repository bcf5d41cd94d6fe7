"""The OpenAPI 3.1 document, generated from the registry and built at the first request."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from app.fhir.openapi_examples import tell_meaning
from app.fhir.openapi_schemas import build_schemas
from app.fhir.openapi_search import (
    RESULT_MEANINGS,
    build_common_parameters,
    build_search_schemas,
    parameter_name,
)
from app.fhir.registry import COMMON_SEARCH, TYPES
from app.routers.openapi import admin_clients, admin_networks
from app.routers.openapi.admin import build_admin_parameters, build_admin_paths, build_admin_schemas
from app.routers.openapi.operations import (
    build_operation_examples,
    build_operation_paths,
    build_parameters_schema,
)
from app.routers.openapi.parts import HEADERS, PARAMETERS, build_errors
from app.routers.openapi.system import TAGS, build_system_examples, build_system_paths, build_system_schemas
from app.routers.openapi.types import HISTORY, INCLUDES, TypePaths, build_type_examples
from app.routers.openapi.webhooks import build_webhook_schemas, build_webhooks
from app.search.parse import SPECIAL

Json = dict[str, Any]

TITLE = "Warm Handoff"
VERSION = "0.1.0"
DESCRIPTION = (
    "A FHIR R4 (4.0.1) referral service for hospital social work. Get a token at `/oauth/token` (SMART Backend "
    "Services), then use the FHIR base `/fhir`. Every error is an OperationOutcome; what is not offered is refused, "
    "never ignored. A resource is answered as its sender wrote it."
)
EXAMPLE_BASE = "https://refer.example.org/fhir"


@dataclass(frozen=True)
class Document:
    """The document, its bytes, and their ETag."""

    content: Json
    body: bytes
    etag: str


@lru_cache(maxsize=2)
def load_document(public_url: str | None) -> Document:
    """The document of a server at this address; without one its addresses are relative to where it was read."""
    content = build_document(public_url)
    body = orjson.dumps(content)
    return Document(content, body, f'"{hashlib.sha256(body).hexdigest()[:24]}"')


def build_document(public_url: str | None) -> Json:
    """The document anew."""
    taken = {*SPECIAL, *(each.code for each in COMMON_SEARCH)}
    offered = [name for name in (*RESULT_MEANINGS, *INCLUDES) if name in taken]
    types = [TypePaths(kept, offered) for kept in TYPES.values()]
    paths = build_system_paths()
    for each in types:
        paths |= each.build()
    paths |= build_operation_paths() | build_admin_paths()
    paths |= build_admin_paths((*admin_clients.OPERATIONS, *admin_networks.OPERATIONS))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "externalDocs": {"url": "http://hl7.org/fhir/R4/http.html", "description": "FHIR R4, RESTful API"},
        "servers": [{"url": public_url or "/"}],
        "tags": build_tags(),
        "security": [{"oauth2": []}, {"bearer": []}],
        "paths": paths,
        "webhooks": build_webhooks(EXAMPLE_BASE),
        "components": build_components(types, offered, f"{public_url or ''}/oauth/token"),
    }


def build_tags() -> list[Json]:
    """The types, each with its meaning, then what belongs to none."""
    tags = [
        {
            "name": name,
            "description": tell_meaning(name),
            "externalDocs": {"url": f"http://hl7.org/fhir/R4/{name.lower()}.html"},
        }
        for name in TYPES
    ]
    more = {**TAGS, "Webhooks": "What is sent to the endpoints that the operator registered."}
    return [*tags, *({"name": name, "description": meaning} for name, meaning in more.items())]


def build_components(types: list[TypePaths], offered: list[str], token_url: str) -> Json:
    """All that is shared by $ref."""
    common = build_common_parameters({*offered, *HISTORY})
    parameters = {**PARAMETERS, **common, **build_admin_parameters()}
    examples = {**build_system_examples(EXAMPLE_BASE, VERSION), **build_operation_examples(EXAMPLE_BASE)}
    schemas = {**build_schemas(), **build_parameters_schema(), **build_search_schemas(), **build_system_schemas()}
    schemas |= {**build_webhook_schemas(), **build_admin_schemas(), **admin_clients.build_client_schemas()}
    schemas |= admin_networks.build_network_schemas()
    for each in types:
        parameters |= {parameter_name(each.kept, code): value for code, value in each.parameters.items()}
        examples |= build_type_examples(each.kept, EXAMPLE_BASE)
        schemas[f"search.{each.name}"] = each.build_form()
    return {
        "schemas": schemas,
        "parameters": parameters,
        "headers": HEADERS,
        "responses": build_errors(),
        "examples": examples,
        "securitySchemes": build_security(token_url),
    }


def build_security(token_url: str) -> Json:
    """How callers say who they are."""
    scopes = {"system/*.cruds": "Everything"}
    verbs = {"c": "Create", "r": "Read", "u": "Update", "d": "Delete", "s": "Search"}
    scopes |= {f"system/{name}.{letter}": f"{verb} {name}" for name in TYPES for letter, verb in verbs.items()}
    scopes["system/*.s"] = "Search, and the history of everything"
    return {
        "oauth2": {
            "type": "oauth2",
            "description": "SMART Backend Services: the client authenticates by a JWT that it signs (private_key_jwt).",
            "flows": {"clientCredentials": {"tokenUrl": token_url, "scopes": scopes}},
        },
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The access token"},
    }
