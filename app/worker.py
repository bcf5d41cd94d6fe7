"""Front door: the background loop that delivers webhooks, until it is asked to end."""

import asyncio
import logging
import signal
import sys

import uvloop

from app.core.data_dir import load_secret_key
from app.core.database import open_pool
from app.core.errors import HandoffError
from app.core.operator_database import find_database
from app.core.process_guard import watch_parent
from app.core.settings import Settings
from app.delivery.worker import run_delivery

logger = logging.getLogger("handoff")


def main() -> None:
    """Runs until SIGTERM or SIGINT; started by `serve`, by `handoff worker`, or alone, any number of them."""
    watch_parent()
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        uvloop.run(run_worker(settings))
    except (HandoffError, OSError) as error:
        logger.error("The worker cannot run: %s", error)
        sys.exit(1)


async def run_worker(settings: Settings) -> None:
    """Delivers with a pool of its own; a signal lets the attempts under way come to their end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pool = await open_pool(
        find_database(settings),
        size=settings.pool_size,
        application_name="handoff-worker",
        statement_timeout=settings.statement_timeout,
    )
    try:
        await run_delivery(pool, settings, load_secret_key(settings), stop)
    finally:
        await pool.close()


if __name__ == "__main__":
    main()
