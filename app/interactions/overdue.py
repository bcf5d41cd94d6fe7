"""Tells of referrals that are overdue: the rules are the referral's, the clock is the database's, the worker calls."""

import logging

from app.core.errors import HandoffError, Unavailable
from app.fhir.json_text import STORED_LIMITS, parse
from app.interactions.hub import Hub
from app.interactions.links import Links, read_content, referred_keys
from app.interactions.loop import add_events, find_own_request
from app.interactions.operate import act_for
from app.interactions.unit import SYSTEM, Unit, run_unit
from app.interactions.versions import parse_stored
from app.referral.clocks import read_hours, set_clock
from app.referral.events import overdue_events
from app.store.clocks import find_overdue, set_missing_clocks, take_overdue
from app.store.rows import Due

BATCH = 200

logger = logging.getLogger("handoff")


async def tell_overdue(hub: Hub) -> int:
    """Tells of each Task that has passed its deadline since, once for each deadline; how many were told.

    Any number of workers may do it at once, and be killed meanwhile: clock, mark and event are one transaction.
    """
    async with hub.pool.acquire() as connection:
        while await set_missing_clocks(connection, SYSTEM, lambda content: find_clock(hub, content), BATCH):
            pass
    told, found = 0, BATCH
    while found == BATCH:
        overdue = await find_overdue(hub.pool, SYSTEM, BATCH)
        found = len(overdue)
        told += sum([await try_task(hub, task_id, owner) for task_id, owner in overdue])
    return told


async def try_task(hub: Hub, task_id: str, owner: str) -> bool:
    """One of them; False where it could not be told: it comes again, and holds up no other. Raises Unavailable."""
    try:
        return await tell_task(hub, task_id, owner)
    except Unavailable:
        raise
    except HandoffError as error:
        logger.warning("That Task %s is overdue could not be told: %s", task_id, type(error).__name__)
        return False


def find_clock(hub: Hub, content: str) -> Due:
    """The clock of a stored Task."""
    settings = hub.settings
    clock = set_clock(parse(content.encode(), STORED_LIMITS), read_hours(settings.overdue_hours), settings.zone)
    return clock.at, clock.after, None


async def tell_task(hub: Hub, task_id: str, owner: str) -> bool:
    """One of them; False where somebody else was quicker, or the Task has moved on."""

    async def work(unit: Unit) -> bool:
        await unit.lock_referrals({("Task", task_id)})
        overdue = await take_overdue(unit.connection, SYSTEM, task_id)
        if overdue is None or not overdue.first:
            return False
        task = parse_stored(overdue.stored)
        links = Links(unit)
        await links.load(referred_keys(task, hub.base_url))
        focus = find_own_request(links, overdue.stored, task)
        request = read_content(focus) if focus else None
        events = overdue_events(task, request, overdue.deadline, version=overdue.stored.version)
        add_events(unit, overdue.stored, task, events)
        return True

    return await run_unit(hub, act_for(owner), work)
