"""create, and conditional create (R4 http, create)."""

from typing import Any

from app.core.caller import Caller
from app.core.errors import Issue
from app.interactions.conditional import find_match
from app.interactions.hub import Hub
from app.interactions.unit import Unit, run_unit
from app.interactions.writing import Written, check_resource, write_new


async def create_resource(
    hub: Hub, caller: Caller, resource: dict[str, Any], if_none_exist: str | None
) -> tuple[Written, list[Issue]]:
    """Creates a resource; with ``if_none_exist`` (a query) answers the one match instead, if there is one.

    Raises Unprocessable, BusinessRule, MultipleMatches, Forbidden.
    """
    check_resource(resource)

    async def work(unit: Unit) -> tuple[Written, list[Issue]]:
        if if_none_exist is not None:
            found = await find_match(unit, resource["resourceType"], if_none_exist)
            if found:
                return Written(found, created=False), unit.issues
        return await write_new(unit, resource), unit.issues

    return await run_unit(hub, caller, work)
