"""Waits for a condition, never for luck."""

import asyncio
from collections.abc import Awaitable, Callable

TURN = 0.01
PATIENCE = 30


async def until(condition: Callable[[], Awaitable[bool]], patience: float = PATIENCE, turn: float = TURN) -> None:
    """Looks every ``turn`` seconds until the condition holds; fails after ``patience`` seconds."""
    never = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(patience):
        while not await condition():
            await asyncio.wait([never], timeout=turn)
