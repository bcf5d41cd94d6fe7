"""Subscription/x/$resend: notifications go again, under the ids that they had (Backport 1.2, OperationDefinition)."""

from dataclasses import dataclass, replace
from datetime import datetime

from app.access.interaction_rules import authorize
from app.core.caller import Caller
from app.core.errors import BusinessRule, Invalid, Issue, TooCostly
from app.delivery.past_events import check_kept_since, count_past_events, find_span, read_number
from app.delivery.replay import Replay, replay
from app.delivery.standing import Standing
from app.interactions.deliveries import announce
from app.interactions.hub import Hub
from app.interactions.subscription_events import find_standing
from app.interactions.unit import Unit, run_unit
from app.search.dates import read_interval

MOST = 1_000
"""Events that one call sends again: who has missed more searches, or calls again."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which events: by number, by time, or by both; what is left out bounds nothing."""

    since_number: int | None
    until_number: int | None
    since: datetime | None
    until: datetime | None


def read_bounds(arguments: dict[str, list[str]]) -> Bounds:
    """The arguments of a call. Raises Invalid, also where nothing says where to begin."""
    given = {name: values[0] for name, values in arguments.items()}
    first, last = (read_number(given.get(name), name) for name in ("eventsSinceNumber", "eventsUntilNumber"))
    since, until = (read_instant(given.get(name), name) for name in ("eventsSinceInstant", "eventsUntilInstant"))
    if first is None and since is None:
        raise Invalid("Say from where on: eventsSinceNumber or eventsSinceInstant", ("eventsSinceNumber",))
    return Bounds(first, last, since, until)


def read_instant(text: str | None, name: str) -> datetime | None:
    """A moment. Raises Invalid."""
    try:
        return None if text is None else read_interval(text)[0]
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{name} is no instant", (name,)) from error


async def resend_events(hub: Hub, caller: Caller, subscription_id: str, bounds: Bounds) -> list[Issue]:
    """What is told of it. Raises NotFound, Gone, Forbidden, BusinessRule for one that is off, TooCostly."""
    authorize(caller, "update", "Subscription")

    async def work(unit: Unit) -> list[Issue]:
        standing = await find_standing(unit.connection, unit.scope, subscription_id)
        if standing.status == "off":
            raise BusinessRule("The Subscription is off: nothing is sent to it", ("Subscription.status",))
        span = await find_span(unit.connection, standing, bounds.since_number, bounds.until_number)
        span = replace(span, since=bounds.since, until=bounds.until)
        if bounds.since_number is None:
            await check_kept_since(unit.connection, standing.id, span)
        if await count_past_events(unit.connection, standing.id, span, MOST + 1) > MOST:
            raise TooCostly(f"These are more than {MOST} events: bound them, and call again for the rest")
        wanted = Replay(
            webhook_id=standing.id,
            from_number=span.first,
            until_number=span.last,
            since=span.since,
            until=span.until,
            delivered=True,
        )
        return tell_outcome(standing, *await replay(unit.connection, wanted))

    issues = await run_unit(hub, caller, work)
    await announce(hub)
    return issues


def tell_outcome(standing: Standing, again: int, hurried: int) -> list[Issue]:
    """How many events go again, and whether something holds them up."""
    issues = [Issue("information", "informational", f"{again} events go again; {hurried} were waiting and go now")]
    if standing.status != "active":
        issues.append(
            Issue("warning", "incomplete", f"The Subscription is {standing.status}: they wait until it is active")
        )
    return issues
