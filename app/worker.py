"""Front door: the background loop that delivers webhooks, until it is asked to end."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import asyncpg
import uvloop

from app.audit.upkeep import keep_months
from app.core.data_dir import load_secret_key
from app.core.database import ABSENT, await_database, open_pool
from app.core.errors import HandoffError
from app.core.logs import configure_logging
from app.core.operator_database import find_database
from app.core.process_guard import watch_parent
from app.core.rounds import repeat
from app.core.settings import Settings
from app.delivery.overview import list_changed
from app.delivery.retention import keep_young
from app.delivery.worker import run_delivery
from app.interactions.hub import Hub
from app.store.clocks import has_work
from app.store.grounds import find_due
from app.store.history_retention import keep_history_young

logger = logging.getLogger("handoff")

CLOCK_PAUSE = 1.0
"""Seconds between two looks whether a referral has become overdue."""
SHOW_PAUSE = 5.0
"""Seconds between two looks whether a Subscription shows what has become of its webhook."""
WEIGH_PAUSE = 0.4
"""Seconds between two looks whether a package's time has come."""


def main() -> None:
    """Runs until SIGTERM or SIGINT; started by `serve`, by `handoff worker`, or alone, any number of them."""
    watch_parent()
    settings = Settings()
    os.nice(settings.worker_nice)
    configure_logging(settings.log_level)
    try:
        uvloop.run(run_worker(settings))
    except (HandoffError, *ABSENT) as error:
        logger.error("The worker cannot run: %s", error)
        sys.exit(1)


async def run_worker(settings: Settings) -> None:
    """Delivers with a pool of its own; a signal lets the attempts under way come to their end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    url = find_database(settings)
    await await_database(url, stop)
    if stop.is_set():
        return
    pool = await open_pool(
        url,
        size=settings.pool_size,
        application_name="handoff-worker",
        statement_timeout=settings.statement_timeout,
    )
    loops = [
        asyncio.create_task(each)
        for each in (
            keep_statuses_shown(pool, settings, stop),
            keep_clocks(pool, settings, stop),
            keep_packages_weighed(pool, settings, stop),
            keep_months(pool, stop),
            keep_young(pool, settings, stop),
            keep_history_young(pool, settings.history_retention_days, stop),
        )
    ]
    try:
        await run_delivery(pool, settings, load_secret_key(settings), stop)
    finally:
        stop.set()
        await asyncio.gather(*loops)
        await pool.close()


async def keep_statuses_shown(pool: asyncpg.Pool, settings: Settings, stop: asyncio.Event) -> None:
    """Shows at each Subscription what has become of its webhook, until ``stop`` is set."""

    async def look() -> bool:
        if await list_changed(pool):
            show_statuses = await asyncio.to_thread(import_show_statuses)
            await show_statuses(make_hub(pool, settings))
        return False

    await repeat(look, SHOW_PAUSE, stop, "The statuses of webhooks")


async def keep_clocks(pool: asyncpg.Pool, settings: Settings, stop: asyncio.Event) -> None:
    """Tells of referrals that have become overdue, until ``stop`` is set."""

    async def look() -> bool:
        if await has_work(pool):
            tell_overdue = await asyncio.to_thread(import_tell_overdue)
            await tell_overdue(make_hub(pool, settings))
        return False

    await repeat(look, CLOCK_PAUSE, stop, "Overdue referrals")


def make_hub(pool: asyncpg.Pool, settings: Settings) -> Hub:
    """What the interactions need that the worker calls."""
    return Hub(settings, pool, settings.base_url)


def import_tell_overdue() -> Callable[[Hub], Awaitable[int]]:
    """Only where it is wanted, as below."""
    from app.interactions.overdue import tell_overdue

    return tell_overdue


async def keep_packages_weighed(pool: asyncpg.Pool, settings: Settings, stop: asyncio.Event) -> None:
    """Until ``stop`` is set: closes what a Consent that has ended does not permit any more, within a second."""

    async def look() -> bool:
        async with pool.acquire() as connection:
            due = await find_due(connection, 1)
        if due:
            review_due = await asyncio.to_thread(import_review_due)
            await review_due(make_hub(pool, settings))
        return False

    await repeat(look, WEIGH_PAUSE, stop, "The packages that are due")


def import_review_due() -> Callable[[Hub], Awaitable[int]]:
    """Only where it is wanted, as below."""
    from app.interactions.package_clock import review_due

    return review_due


def import_show_statuses() -> Callable[[Hub], Awaitable[int]]:
    """Only where it is wanted: resources and their rules cost a worker a second and much memory."""
    from app.interactions.webhook_status import show_statuses

    return show_statuses


if __name__ == "__main__":
    main()
