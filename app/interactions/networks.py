"""The register of coordinators' networks, kept by the operator alone: nobody enters one by its own word."""

from app.access import networks as registry
from app.access.interaction_rules import check_operator
from app.access.networks import Membership
from app.audit.access import note_interaction_of, note_success
from app.core.caller import Caller
from app.core.errors import Invalid
from app.interactions.hub import Hub
from app.interactions.operate import act_for, read_organization
from app.interactions.read import read_resource, reading
from app.interactions.unit import Unit, run_unit


async def list_memberships(hub: Hub, caller: Caller) -> list[Membership]:
    """Every membership. Raises Forbidden."""
    check_operator(caller)
    async with reading(hub, caller) as (connection, _):
        return await registry.list_memberships(connection)


async def put_membership(hub: Hub, caller: Caller, coordinator: str, member: str, *, acts: bool) -> Membership:
    """Takes an organisation into a network, each as ``Organization/ID``; takes effect within 5 s.

    Raises Forbidden, Invalid, NotFound for an organisation that there is not.
    """
    check_operator(caller)
    ids = (read_organization(coordinator, "coordinator"), read_organization(member, "member"))
    if ids[0] == ids[1]:
        raise Invalid("An organisation needs no network to see what is its own", ("member",))
    for each in ids:
        await read_resource(hub, act_for(each), "Organization", each)

    async def work(unit: Unit) -> Membership:
        made = await registry.put_membership(unit.connection, *ids, acts=acts)
        note_interaction_of(f"{ids[0]} {ids[1]} {'acts' if acts else 'sees'}")
        return made

    return await run_unit(hub, caller, work)


async def remove_membership(hub: Hub, caller: Caller, coordinator: str, member: str) -> None:
    """Takes an organisation out of a network, within 5 s. Raises Forbidden, Invalid, NotFound."""
    check_operator(caller)
    ids = (read_organization(coordinator, "coordinator"), read_organization(member, "member"))

    async def work(unit: Unit) -> None:
        await registry.delete_membership(unit.connection, *ids)
        note_interaction_of(" ".join(ids))
        note_success(204)

    await run_unit(hub, caller, work)
