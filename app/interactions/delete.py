"""delete, and conditional delete of one match (R4 http, delete)."""

from app.core.caller import Caller
from app.interactions.conditional import find_match
from app.interactions.hub import Hub
from app.interactions.unit import Unit, run_unit
from app.interactions.writing import write_deletion
from app.store.rows import Stored


async def delete_resource(
    hub: Hub, caller: Caller, resource_type: str, resource_id: str, if_match: int | None
) -> Stored | None:
    """The tombstone; None where it was deleted already. Raises NotFound, Forbidden, PreconditionFailed."""

    async def work(unit: Unit) -> Stored | None:
        return await write_deletion(unit, (resource_type, resource_id), if_match)

    return await run_unit(hub, caller, work)


async def delete_match(hub: Hub, caller: Caller, resource_type: str, query: str) -> Stored | None:
    """Deletes the one match, if there is one. Raises MultipleMatches."""

    async def work(unit: Unit) -> Stored | None:
        found = await find_match(unit, resource_type, query)
        return await write_deletion(unit, found.key) if found else None

    return await run_unit(hub, caller, work)
