"""The register of coordinators' networks in the OpenAPI document."""

from typing import Any

from pydantic.json_schema import models_json_schema

from app.routers import admin_networks as bodies
from app.routers.openapi.admin import AT, Operation

Json = dict[str, Any]

PATH = "/admin/networks"
SENT: Json = {"coordinator": "Organization/example", "member": "Organization/example-partner", "may": "sees"}
MEMBERSHIP: Json = {**SENT, "since": AT}
OPERATIONS = (
    Operation(
        "get",
        PATH,
        "listNetworks",
        "Who is in which coordinator's network; for role admin, as what is below",
        "",
        "Memberships",
        {"members": [MEMBERSHIP]},
        tag="Registry",
    ),
    Operation(
        "put",
        PATH,
        "putNetworkMember",
        "Takes an organisation into a coordinator's network, or changes what may be done for it; within 5 s",
        "",
        "Membership",
        MEMBERSHIP,
        body="NewMembership",
        sent=SENT,
        errors=(404, 413, 415),
        tag="Registry",
    ),
    Operation(
        "delete",
        PATH,
        "removeNetworkMember",
        "Takes an organisation out of a coordinator's network; within 5 s",
        "",
        "",
        {},
        parameters=("coordinator", "member"),
        status="204",
        errors=(404,),
        tag="Registry",
    ),
)


def build_network_schemas() -> dict[str, Json]:
    """The schemas, made from the models that read and write the bodies."""
    _, schema = models_json_schema(
        [(bodies.NewMembership, "validation"), (bodies.Memberships, "serialization")],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Json] = schema["$defs"]
    return schemas
