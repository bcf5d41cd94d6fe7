"""read and vread (R4 http, read and vread)."""

import asyncpg

from app.access.interaction_rules import authorize
from app.access.narrowing import may_see
from app.access.release import may_leave
from app.access.scope import scope_of
from app.core.caller import Caller, Scope
from app.core.database import Connection
from app.core.errors import Gone, NotFound, Unavailable
from app.interactions.hub import Hub
from app.store.read import read_resource as read_current
from app.store.read import read_version as read_one_version
from app.store.rows import Stored

AWAY = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)


def reading(hub: Hub, caller: Caller) -> "Reading":
    """A connection without a transaction, and the caller's scope. Raises Unavailable."""
    return Reading(hub, caller)


class Reading:
    """Lends a connection for as long as the block runs."""

    __slots__ = ("connection", "hub", "scope")

    def __init__(self, hub: Hub, caller: Caller) -> None:
        self.hub = hub
        self.scope = scope_of(caller, hub.settings)
        self.connection: asyncpg.pool.PoolConnectionProxy | None = None

    async def __aenter__(self) -> tuple[Connection, Scope]:
        try:
            self.connection = await self.hub.lender.take()
        except AWAY as error:
            raise Unavailable("The database cannot be reached; try again") from error
        return self.connection, self.scope

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        connection = self.connection
        if connection is None:
            return
        if error is None:
            await self.hub.lender.give(connection)
            return
        try:
            await self.hub.lender.drop(connection)
        except AWAY as worse:
            raise Unavailable("The database cannot be reached; try again") from worse
        if isinstance(error, asyncpg.QueryCanceledError):
            raise Unavailable("The database took too long; try again") from error
        if isinstance(error, AWAY):
            raise Unavailable("The database cannot be reached; try again") from error


async def read_resource(hub: Hub, caller: Caller, resource_type: str, resource_id: str) -> Stored:
    """The current version. Raises NotFound, also for what the caller may not see, and Gone."""
    authorize(caller, "read", resource_type, narrows=True)
    async with reading(hub, caller) as (connection, scope):
        stored = await read_current(connection, scope, resource_type, resource_id)
    if stored and not may_see(caller, stored, ("r",), hub.base_url):
        stored = None
    return check_present(stored, f"{resource_type}/{resource_id}")


async def read_version(hub: Hub, caller: Caller, resource_type: str, resource_id: str, version: int) -> Stored:
    """One version. Raises NotFound, and Gone where that version is a deletion."""
    authorize(caller, "vread", resource_type, narrows=True)
    async with reading(hub, caller) as (connection, scope):
        stored = await read_one_version(connection, scope, resource_type, resource_id, version)
        if stored and not (may_leave(stored, scope) and may_see(caller, stored, ("r",), hub.base_url)):
            stored = None
    return check_present(stored, f"{resource_type}/{resource_id}/_history/{version}")


def check_present(stored: Stored | None, name: str) -> Stored:
    """The version itself. Raises NotFound for none, Gone for a deletion."""
    if stored is None:
        raise NotFound(f"{name} is not known")
    if stored.deleted:
        raise Gone(f"{name} was deleted", headers={"ETag": f'W/"{stored.version}"'})
    return stored
