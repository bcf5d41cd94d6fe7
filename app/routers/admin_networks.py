"""Operators' REST: the register of coordinators' networks, for role admin alone."""

from datetime import datetime
from typing import Literal, Self

from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.access import networks as registry
from app.core.errors import Invalid
from app.fhir.references import ID
from app.interactions import networks
from app.routers.admin import NOT_KEPT, answer, read_json, read_parameters
from app.routers.admin_bodies import Answer, Body
from app.routers.requests import find_caller, find_hub

router = APIRouter(prefix="/admin", tags=["Registry"])

REFERENCE = f"^Organization/{ID.pattern}$"


class NewMembership(Body):
    """An organisation to take into a coordinator's network, or another right over one that is in it."""

    coordinator: str = Field(pattern=REFERENCE, description="Whose network it is: Organization/id")
    member: str = Field(pattern=REFERENCE, description="Who is in it: Organization/id")
    may: Literal["sees", "acts"] = Field(description="acts: it also creates and changes on the member's behalf")


class Membership(Answer):
    """An organisation in a coordinator's network."""

    coordinator: str
    member: str
    may: Literal["sees", "acts"]
    since: datetime

    @classmethod
    def show(cls, each: registry.Membership) -> Self:
        return cls(
            coordinator=f"Organization/{each.coordinator}",
            member=f"Organization/{each.member}",
            may="acts" if each.acts else "sees",
            since=each.since,
        )


class Memberships(Answer):
    """Who is in whose network."""

    members: list[Membership]


@router.get("/networks")
async def list_networks(request: Request) -> Response:
    """Who is in whose network, by coordinator and member."""
    read_parameters(request)
    found = await networks.list_memberships(find_hub(request), await find_caller(request))
    return answer(Memberships(members=[Membership.show(each) for each in found]))


@router.put("/networks")
async def put_member(request: Request) -> Response:
    """Takes an organisation into a coordinator's network, or changes what may be done for it."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    body = await read_json(request, NewMembership)
    acts = body.may == "acts"
    return answer(Membership.show(await networks.put_membership(hub, caller, body.coordinator, body.member, acts=acts)))


@router.delete("/networks")
async def remove_member(request: Request) -> Response:
    """Takes an organisation out of a coordinator's network."""
    asked = read_parameters(request, "coordinator", "member")
    for name in ("coordinator", "member"):
        if name not in asked:
            raise Invalid(f"{name} says which, as Organization/ID", (name,))
    await networks.remove_membership(find_hub(request), await find_caller(request), **asked)
    return Response(None, 204, NOT_KEPT)
