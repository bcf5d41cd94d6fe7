"""search-type (R4 search)."""

from collections.abc import Iterable

from app.access.interaction_rules import authorize
from app.core.caller import Caller, Scope
from app.core.database import Connection
from app.interactions.hub import Hub
from app.interactions.read import reading
from app.search.parse import parse_search
from app.search.plan import SearchPlan
from app.store.search import Page, search_resources


async def search_type(
    hub: Hub, caller: Caller, resource_type: str, query: Iterable[tuple[str, str]]
) -> tuple[SearchPlan, Page]:
    """One page of matches and what they include. Raises Invalid and Unsupported for what the query asks amiss."""
    authorize(caller, "search-type", resource_type)
    plan = parse_search(resource_type, query, hub.settings, hub.base_url)
    async with reading(hub, caller) as (connection, scope):
        return plan, await find_page(connection, scope, caller, plan, hub.settings.max_includes)


async def find_page(connection: Connection, scope: Scope, caller: Caller, plan: SearchPlan, most_included: int) -> Page:
    """One page; an include hands out only what the caller's scopes would let it read."""
    page = await search_resources(connection, scope, plan, most_included)
    allowed = [each for each in page.included if caller.may(each.type, "r")]
    return Page(page.matches, allowed, page.following)
