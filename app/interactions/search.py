"""search-type (R4 search)."""

from collections.abc import Iterable

from app.access.interaction_rules import authorize
from app.core.caller import Caller
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
        page = await search_resources(connection, scope, plan, hub.settings.max_includes)
    # An include hands out only what the caller's scopes would let it read.
    allowed = [each for each in page.included if caller.may(each.type, "r")]
    return plan, Page(page.matches, allowed, page.following)
