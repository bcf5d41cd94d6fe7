"""The register of clients, for the operator alone; the audit trail tells which client each change was of."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from app.access import client_changes
from app.access import clients as registry
from app.access.clients import RegisteredClient
from app.access.interaction_rules import check_operator
from app.audit.access import note_interaction_of, note_success
from app.core.caller import Caller
from app.core.database import Connection
from app.core.errors import Invalid, NotFound
from app.core.outbound_url import find_fault
from app.core.settings import Settings
from app.interactions.hub import Hub
from app.interactions.operate import make_organization, read_organization
from app.interactions.read import reading
from app.interactions.unit import Unit, run_unit

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client to be registered: ``organization`` is ``Organization/ID``; a public key, or the URL of its keys."""

    id: str
    organization: str
    role: str
    scopes: str
    server_makes_tasks: bool = False
    public_jwk: str | dict[str, Any] | None = None
    jwks_url: str | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be another; None leaves a thing as it is. A ``rate`` of 0 is that of the settings."""

    role: str | None = None
    scopes: str | None = None
    server_makes_tasks: bool | None = None
    rate: float | None = None


async def list_clients(hub: Hub, caller: Caller) -> list[RegisteredClient]:
    """Every client by name. Raises Forbidden."""
    check_operator(caller)
    async with reading(hub, caller) as (connection, _):
        return await registry.list_clients(connection)


async def read_client(hub: Hub, caller: Caller, client_id: str) -> RegisteredClient:
    """One client. Raises Forbidden, NotFound."""
    check_operator(caller)
    async with reading(hub, caller) as (connection, _):
        return await find_client(connection, client_id)


async def register(hub: Hub, caller: Caller, new: NewClient) -> bool:
    """Registers a client; its Organization is made if it is missing: whether it was.

    Raises Forbidden, Invalid for what is malformed or a URL that may not be asked, Conflict for a name that is taken.
    """
    check_operator(caller)
    organization = read_organization(new.organization)
    if new.jwks_url is not None:
        check_jwks_url(new.jwks_url, hub.settings)

    async def work(unit: Unit) -> bool:
        await registry.register_client(
            await unit.session.settle(),
            client_id=new.id,
            organization=organization,
            role=new.role,
            scopes=new.scopes,
            server_makes_tasks=new.server_makes_tasks,
            public_jwk=new.public_jwk,
            jwks_url=new.jwks_url,
            rate=new.rate,
        )
        unit.subject = await make_organization(unit, organization, new.id)
        return unit.subject is not None

    return await change(hub, caller, new.id, work, 201)


async def update(hub: Hub, caller: Caller, client_id: str, wanted: Change) -> RegisteredClient:
    """Changes what a client may do; the client afterwards. Raises Forbidden, NotFound, Invalid."""

    async def work(connection: Connection) -> None:
        now = await client_changes.hold(connection, client_id)
        makes = now.server_makes_tasks if wanted.server_makes_tasks is None else wanted.server_makes_tasks
        await client_changes.change_client(
            connection,
            client_id,
            role=wanted.role or now.role,
            scopes=wanted.scopes or now.scopes,
            server_makes_tasks=makes,
            rate=now.rate if wanted.rate is None else wanted.rate or None,
        )

    return await change_one(hub, caller, client_id, work)


async def add_key(hub: Hub, caller: Caller, client_id: str, public_jwk: str | dict[str, Any]) -> RegisteredClient:
    """Adds a key. Raises Forbidden, NotFound, Invalid, Conflict."""
    return await change_one(hub, caller, client_id, lambda c: client_changes.add_key(c, client_id, public_jwk))


async def remove_key(hub: Hub, caller: Caller, client_id: str, kid: str) -> RegisteredClient:
    """Takes a key away. Raises Forbidden, NotFound, Conflict for the last one."""
    return await change_one(hub, caller, client_id, lambda c: client_changes.remove_key(c, client_id, kid))


async def use_jwks_url(hub: Hub, caller: Caller, client_id: str, url: str) -> RegisteredClient:
    """Takes the keys from a URL from now on. Raises Forbidden, NotFound, Invalid."""
    check_operator(caller)
    check_jwks_url(url, hub.settings)
    return await change_one(hub, caller, client_id, lambda c: client_changes.set_jwks_url(c, client_id, url))


async def disable(hub: Hub, caller: Caller, client_id: str) -> RegisteredClient:
    """Takes a client's access away, within 5 s. Raises Forbidden, NotFound."""
    return await change_one(hub, caller, client_id, lambda c: registry.disable_client(c, client_id))


async def enable(hub: Hub, caller: Caller, client_id: str) -> RegisteredClient:
    """Gives it back. Raises Forbidden, NotFound."""
    return await change_one(hub, caller, client_id, lambda c: registry.enable_client(c, client_id))


async def remove(hub: Hub, caller: Caller, client_id: str) -> None:
    """Forgets a client that is disabled. Raises Forbidden, NotFound, Conflict."""

    async def work(unit: Unit) -> None:
        await client_changes.remove_client(await unit.session.settle(), client_id)

    await change(hub, caller, client_id, work, 204)


async def change_one(
    hub: Hub, caller: Caller, client_id: str, work: Callable[[Connection], Awaitable[object]]
) -> RegisteredClient:
    """Does one change of one client; the client afterwards."""

    async def run(unit: Unit) -> RegisteredClient:
        connection = await unit.session.settle()
        await work(connection)
        return await find_client(connection, client_id)

    return await change(hub, caller, client_id, run)


async def change(
    hub: Hub, caller: Caller, client_id: str, work: Callable[[Unit], Awaitable[Result]], status: int = 200
) -> Result:
    """What ``work`` answers, in the transaction that records it, with this status. Raises Forbidden, Unavailable."""
    check_operator(caller)

    async def run(unit: Unit) -> Result:
        result = await work(unit)
        note_interaction_of(client_id)
        note_success(status)
        return result

    return await run_unit(hub, caller, run)


async def find_client(connection: Connection, client_id: str) -> RegisteredClient:
    """One client. Raises NotFound."""
    found = await registry.load_client(connection, client_id)
    if found is None:
        raise NotFound(f"There is no client named {client_id}")
    return found


def check_jwks_url(url: str, settings: Settings) -> None:
    """Raises Invalid where keys may not be fetched from this URL."""
    if fault := find_fault(url, settings, "The JWKS URL"):
        raise Invalid(fault, ("jwksUrl",))
