"""Subscription/x/$events: past events, whatever became of their notifications (Backport, operation events)."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from app.access.interaction_rules import authorize
from app.core.caller import Caller, Scope
from app.core.database import Connection
from app.core.errors import Invalid, NotFound
from app.delivery.notification import build_query_events
from app.delivery.past_events import PastEvent, Span, find_span, list_past_events, read_number
from app.delivery.standing import Standing, list_standings
from app.delivery.telling import CONTENTS, ToldEvent, tell_event
from app.interactions.hub import Hub
from app.interactions.read import check_present, reading
from app.store.read import load_versions, read_resource


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events, by the numbers of the first and last, and how much of each; None is what is usual."""

    since: int | None
    until: int | None
    content: str | None


def read_wanted(arguments: dict[str, list[str]]) -> Wanted:
    """The arguments of a call. Raises Invalid."""
    since, until = (
        read_number(next(iter(arguments.get(name, ())), None), name)
        for name in ("eventsSinceNumber", "eventsUntilNumber")
    )
    content = next(iter(arguments.get("content", ())), None)
    if content not in (None, *CONTENTS):
        raise Invalid(f"content is {', '.join(CONTENTS)}", ("content",))
    return Wanted(since, until, content)


async def tell_events(hub: Hub, caller: Caller, subscription_id: str, wanted: Wanted) -> str:
    """The history Bundle of a page of them; its link ``next`` leads to the rest.

    Each is told as it would be sent now, so that what the organisation may not see any more has its number alone.
    Raises NotFound, Gone also for events that are not kept any more, Forbidden, Invalid.
    """
    authorize(caller, "read", "Subscription")
    async with reading(hub, caller) as (connection, scope):
        standing = await find_standing(connection, scope, subscription_id)
        span = await find_span(connection, standing, wanted.since, wanted.until)
        most = hub.settings.max_count
        events = await list_past_events(connection, standing.id, span, most)
        content = wanted.content or standing.content or "id-only"
        told = await tell_all(connection, caller, standing, events, content)
    return build_query_events(standing, told, list_links(hub, standing, wanted, span, events), hub.base_url)


async def find_standing(connection: Connection, scope: Scope, subscription_id: str) -> Standing:
    """A Subscription's delivery. Raises NotFound, also for one that the scope does not see, and Gone."""
    stored = await read_resource(connection, scope, "Subscription", subscription_id)
    check_present(stored, f"Subscription/{subscription_id}")
    found = await list_standings(connection, scope, [subscription_id])
    if not found:
        raise NotFound(f"Subscription/{subscription_id} has no deliveries")
    return found[0]


async def tell_all(
    connection: Connection, caller: Caller, standing: Standing, events: Sequence[PastEvent], content: str
) -> list[ToldEvent]:
    """Each event as far as the subscriber's organisation and the caller's token go. Raises Forbidden."""
    scope = Scope((standing.organization,), network=caller.network)
    if content == "empty":
        return [tell_event(each, None, scope, content) for each in events]
    for name in sorted({each.focus_type for each in events}):
        authorize(caller, "read", name)
    keys = {each.number: (each.focus_type, each.focus_id, each.focus_version) for each in events}
    versions = await load_versions(connection, scope, keys.values())
    return [tell_event(each, versions.get(keys[each.number]), scope, content) for each in events]


def list_links(
    hub: Hub, standing: Standing, wanted: Wanted, span: Span, events: Sequence[PastEvent]
) -> list[tuple[str, str]]:
    """self, and next where the span goes on."""
    address = f"{hub.base_url}/Subscription/{standing.id}/$events"

    def link(since: int | None) -> str:
        named = {"eventsSinceNumber": since, "eventsUntilNumber": wanted.until, "content": wanted.content}
        query = urlencode({name: value for name, value in named.items() if value is not None})
        return f"{address}?{query}" if query else address

    links = [("self", link(wanted.since))]
    if events and events[-1].number < span.last:
        links.append(("next", link(events[-1].number + 1)))
    return links
