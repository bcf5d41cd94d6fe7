"""What the operator does without a token: makes organisations, puts a demonstration network in place."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import resources
from typing import Any

from app.core.caller import Caller, Scope
from app.core.errors import Gone, Invalid, NotFound
from app.interactions.hub import Hub
from app.interactions.read import read_resource
from app.interactions.unit import Unit
from app.interactions.update import update_resource
from app.interactions.writing import check_resource, write_new
from app.store.rows import Stored

EVERYTHING = (("*", frozenset("cruds")),)


def act_for(organization: str) -> Caller:
    """The operator, acting for an organisation: what is made belongs to it."""
    return Caller("operator", organization, "admin", EVERYTHING)


OPERATOR = act_for("operator")
"""For what concerns no organisation."""


async def put_missing(hub: Hub, organization: str, resource: dict[str, Any]) -> bool:
    """Creates a resource under its own id; False where there is one of that id already, deleted or not."""
    caller = act_for(organization)
    try:
        await read_resource(hub, caller, resource["resourceType"], resource["id"])
    except NotFound as error:
        if isinstance(error, Gone):
            return False
    else:
        return False
    await update_resource(hub, caller, resource, resource["id"], None)
    return True


def read_organization(reference: str, where: str = "organization") -> str:
    """The id of ``Organization/ID``, which stands ``where`` is told. Raises Invalid for another reference."""
    kind, _, organization = reference.partition("/")
    if kind != "Organization" or not organization:
        raise Invalid(f"{reference!r} is not Organization/ID", (where,))
    return organization


def new_organization(organization: str, name: str) -> dict[str, Any]:
    """An Organization of which no more is known than its name."""
    return {"resourceType": "Organization", "id": organization, "active": True, "name": name}


async def ensure_organization(hub: Hub, reference: str, name: str) -> bool:
    """Makes ``Organization/ID`` where it is missing; whether it was. Raises Invalid for another reference."""
    organization = read_organization(reference)
    return await put_missing(hub, organization, new_organization(organization, name))


async def make_organization(unit: Unit, organization: str, name: str) -> Stored | None:
    """The same within a transaction: the version that was made, if one was."""
    key = ("Organization", organization)
    if await unit.session.find_rows([key]):
        return None
    resource = new_organization(organization, name)
    check_resource(resource)
    acting = replace(unit, caller=act_for(organization), scope=Scope((organization,)))
    return (await write_new(acting, resource, organization)).stored


async def seed_network(hub: Hub) -> AsyncIterator[tuple[str, bool]]:
    """Puts the demonstration network in place: (reference, whether it was missing) of each resource, in turn."""
    text = resources.files("app.interactions").joinpath("demo_network.json").read_text("utf-8")
    for line in json.loads(text):
        made = await put_missing(hub, line["organization"], line["resource"])
        yield f"{line['resource']['resourceType']}/{line['resource']['id']}", made
