"""What a worker does again and again, whatever goes wrong in one round."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from app.core.database import DATABASE_AWAY
from app.core.errors import HandoffError

logger = logging.getLogger("handoff")


async def repeat(look: Callable[[], Awaitable[bool]], pause: float, stop: asyncio.Event, what: str) -> None:
    """Until ``stop`` is set, every ``pause`` seconds, and at once where ``look`` says that there is more to do.

    What goes wrong is logged and tried again at the next round: it must end neither this nor anything beside it.
    """
    while not stop.is_set():
        try:
            if await look():
                continue
        except (HandoffError, *DATABASE_AWAY) as error:
            logger.warning("%s: not this time: %s", what, type(error).__name__)
        except Exception:
            logger.exception("%s: not this time", what)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
