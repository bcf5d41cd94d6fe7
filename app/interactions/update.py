"""update, and conditional update (R4 http, update)."""

from typing import Any

from app.core.caller import Caller
from app.core.errors import Issue
from app.interactions.conditional import check_match_id, find_match
from app.interactions.hub import Hub
from app.interactions.unit import Unit, run_unit
from app.interactions.writing import Written, check_resource, check_same_id, check_whole, write_new, write_update


async def update_resource(
    hub: Hub, caller: Caller, resource: dict[str, Any], resource_id: str, if_match: int | None
) -> tuple[Written, list[Issue]]:
    """Replaces a resource by its next version. Raises what ``write_update`` does, and Unprocessable."""
    check_resource(resource)
    check_same_id(resource, resource_id)

    async def work(unit: Unit) -> tuple[Written, list[Issue]]:
        key = (resource["resourceType"], resource_id)
        return await write_update(unit, resource, key, if_match), unit.issues

    return await run_unit(hub, caller, work)


async def update_match(
    hub: Hub, caller: Caller, resource: dict[str, Any], query: str, if_match: int | None
) -> tuple[Written, list[Issue]]:
    """Conditional update: updates the one match, or creates where there is none. Raises MultipleMatches."""
    check_resource(resource)

    async def work(unit: Unit) -> tuple[Written, list[Issue]]:
        return await write_match(unit, resource, query, if_match), unit.issues

    return await run_unit(hub, caller, work)


async def write_match(unit: Unit, resource: dict[str, Any], query: str, if_match: int | None) -> Written:
    """The conditional update within a unit."""
    check_whole(resource)
    found = await find_match(unit, resource["resourceType"], query)
    check_match_id(resource, found)
    if found is None:
        return await write_new(unit, resource)
    return await write_update(unit, resource, found.key, if_match)
