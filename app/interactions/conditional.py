"""Finds the one resource that a condition names, without a race: a lock stands for what does not exist yet."""

from typing import Any

from app.access.interaction_rules import acts_as, authorize
from app.core.errors import Invalid, MultipleMatches, PreconditionFailed, Unsupported
from app.interactions.unit import Unit
from app.search.parse import parse_search
from app.search.query_text import read_pairs
from app.store.locks import lock_condition
from app.store.rows import Stored
from app.store.search import search_resources

NO_CRITERIA = frozenset({"_sort", "_count", "_cursor", "_include", "_revinclude", "_total", "_summary", "_elements"})
"""Search parameters that shape an answer and cannot tell one resource from another."""


async def find_match(unit: Unit, resource_type: str, query: str) -> Stored | None:
    """The one match within the caller's scope, None for none. Raises MultipleMatches, PreconditionFailed.

    Holds a lock on the condition (organisation, type, query), one for each organisation that the caller writes for,
    until the transaction ends, so that of many conditional writers one creates and the others find.
    """
    authorize(unit.caller, "search-type", resource_type)
    pairs = sorted(read_pairs(query.removeprefix("?")))
    for name, _ in pairs:
        if name in NO_CRITERIA:
            raise Unsupported(f"A condition takes no {name}", (name,))
    plan = parse_search(resource_type, [*pairs, ("_count", "2")], unit.hub.settings, unit.hub.base_url)
    if not plan.criteria:
        raise PreconditionFailed("A condition needs at least one search parameter")
    # In one order, so that whoever acts for several waits for each of them and nobody for it.
    for organization in sorted(acts_as(unit.caller, resource_type)):
        await lock_condition(unit.connection, organization, resource_type, pairs)
    page = await search_resources(unit.connection, unit.scope, plan, 0)
    if len(page.matches) > 1:
        raise MultipleMatches(f"The condition matches more than one {resource_type}")
    return page.matches[0] if page.matches else None


def check_match_id(resource: dict[str, Any], found: Stored | None, root: str | None = None) -> None:
    """Raises Invalid where the body of a conditional update names an id that is not its match's (R4 http)."""
    place = (f"{root or resource['resourceType']}.id",)
    if found is None and "id" in resource:
        raise Invalid("Nothing matches, and a new resource gets its id from the server", place)
    if found is not None and resource.get("id", found.id) != found.id:
        raise Invalid(f"The body's id is not that of the match, {found.id}", place)
