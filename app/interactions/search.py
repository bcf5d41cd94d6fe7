"""search-type (R4 search)."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from app.access.interaction_rules import authorize
from app.access.narrowing import list_criteria, may_see
from app.core.caller import Caller, Scope
from app.core.database import Connection
from app.interactions.hub import Hub
from app.interactions.read import reading
from app.search.parse import parse_search
from app.search.plan import SearchPlan
from app.store.search import Page, search_resources


async def search_type(
    hub: Hub, caller: Caller, resource_type: str, query: Iterable[tuple[str, str]], *, lenient: bool = False
) -> tuple[SearchPlan, Page]:
    """One page of matches and what they include. Raises Invalid and Unsupported for what the query asks amiss.

    ``lenient`` is as for ``parse_search``.
    """
    authorize(caller, "search-type", resource_type, narrows=True)
    plan = parse_search(resource_type, query, hub.settings, hub.base_url, lenient=lenient)
    async with reading(hub, caller) as (connection, scope):
        mark = await hub.low_water.read(connection) if plan.polls else None
        most = hub.settings.max_includes
        return plan, await find_page(connection, scope, caller, plan, most, mark, hub.base_url)


async def find_page(
    connection: Connection,
    scope: Scope,
    caller: Caller,
    plan: SearchPlan,
    most_included: int,
    mark: datetime | None,
    base: str,
) -> Page:
    """One page; an include hands out only what the caller's scopes would let it read, or search and read.

    A search that narrows the scope on the type is one criterion more.

    ``mark`` is the polling mark, read before; it counts only where the search polls.
    """
    may_find = tuple(each for each in plan.revincludes if caller.may(each.type, "s"))
    narrowed = list_criteria(caller, plan.type, "s", base)
    if narrowed or plan.revincludes:
        plan = replace(plan, revincludes=may_find, criteria=(*plan.criteria, *narrowed))
    page = await search_resources(connection, scope, plan, most_included, mark if plan.polls else None)
    if not page.included:
        return page
    reversed_types = {each.type for each in may_find}
    return replace(
        page,
        included=[
            each
            for each in page.included
            if caller.may(each.type, "r")
            and may_see(caller, each, ("r", "s") if each.type in reversed_types else ("r",), base)
        ],
    )
