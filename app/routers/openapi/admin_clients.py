"""The register of clients in the OpenAPI document."""

from typing import Any

from pydantic.json_schema import models_json_schema

from app.routers import admin_client_bodies as bodies
from app.routers.openapi.admin import AT, Operation

Json = dict[str, Any]

KEY: Json = {
    "kty": "EC",
    "crv": "P-384",
    "x": "YcU7BRKu4ZTE8nqJo3UZTuLMW5o2GLzcrXxA5UquUDNp3_-K9xkvMfnyKe8WCbfn",
    "y": "FM5I8cMJ-a6Fc3ZDExrURZBGcQnE4zJNKiqPUXHtGd5JWTbiWfd2Xm5ZBsBKh03Y",
    "kid": "2026",
    "alg": "ES384",
    "use": "sig",
}
CLIENT: Json = {
    "id": "my-ehr",
    "organization": "Organization/example",
    "role": "referrer",
    "scopes": "system/*.cruds",
    "serverMakesTasks": False,
    "keys": [KEY],
    "jwksUrl": None,
    "ratePerSecond": None,
    "createdAt": AT,
    "disabledAt": None,
    "lastTokenAt": None,
}
URL = "https://ehr.example.org/jwks.json"
SENT: Json = {**{name: CLIENT[name] for name in ("id", "organization", "role", "scopes")}, "key": KEY}


def describe(
    method: str,
    path: str,
    name: str,
    summary: str,
    *,
    answer: str = "Client",
    example: Json = CLIENT,
    body: str | None = None,
    sent: Json | None = None,
    status: str = "200",
    parameters: tuple[str, ...] = (),
    errors: tuple[int, ...] = (404,),
) -> Operation:
    """One operation of the register, which takes no scope but a role."""
    taken = (*errors, 413, 415) if body else errors
    return Operation(
        method,
        f"/admin/clients{path}",
        name,
        summary,
        "",
        answer,
        example,
        body=body,
        sent=sent,
        parameters=parameters,
        status=status,
        errors=taken,
        tag="Registry",
    )


OPERATIONS = (
    describe(
        "get",
        "",
        "listClients",
        "Every client, disabled ones too, by name; for role admin, as all below",
        answer="Clients",
        example={"clients": [CLIENT]},
        errors=(),
    ),
    describe(
        "post",
        "",
        "addClient",
        "Registers a client with a public key or a JWKS URL; its Organization is made if it is missing",
        body="NewClient",
        sent=SENT,
        status="201",
        errors=(409, 422),
    ),
    describe("get", "/{id}", "readClient", "One client"),
    describe(
        "put",
        "/{id}",
        "changeClient",
        "Changes role, scopes, rate or who makes Tasks; tokens that say more count no longer",
        body="ChangedClient",
        sent={"scopes": CLIENT["scopes"], "ratePerSecond": 20},
        example={**CLIENT, "ratePerSecond": 20.0},
    ),
    describe(
        "delete",
        "/{id}",
        "removeClient",
        "Forgets a client that is disabled; the audit trail does not",
        answer="",
        status="204",
        errors=(404, 409),
    ),
    describe(
        "post",
        "/{id}/keys",
        "addClientKey",
        "Adds a public key beside the others, or in place of a JWKS URL",
        body="NewKey",
        sent={"key": KEY},
        errors=(404, 409),
    ),
    describe(
        "delete",
        "/{id}/keys",
        "removeClientKey",
        "Takes a public key away; tokens that were got by it live out their 300 s",
        parameters=("kid",),
        errors=(404, 409),
    ),
    describe(
        "put",
        "/{id}/jwks-url",
        "useJwksUrl",
        "From now on the client's keys are those at this URL",
        body="KeysAt",
        sent={"jwksUrl": URL},
        example={**CLIENT, "keys": [], "jwksUrl": URL},
    ),
    describe(
        "post",
        "/{id}/disable",
        "disableClient",
        "No new tokens at once, and within 5 s no use of those it holds; its webhooks pause",
        example={**CLIENT, "disabledAt": AT},
    ),
    describe("post", "/{id}/enable", "enableClient", "Takes that back"),
)


def build_client_schemas() -> dict[str, Json]:
    """The schemas, made from the models that read and write the bodies."""
    sent = (bodies.NewClient, bodies.ChangedClient, bodies.NewKey, bodies.KeysAt)
    modes: list[Any] = [(each, "validation") for each in sent]
    _, schema = models_json_schema(
        [*modes, (bodies.Clients, "serialization")], by_alias=True, ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Json] = schema["$defs"]
    return schemas
