"""Reads the trail of a test's database, as its owner."""

from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from tests.api import World


@dataclass
class Reader:
    """What the trail holds; ``take`` gives each row once."""

    world: World
    seen: int = 0

    async def take(self) -> list[asyncpg.Record]:
        """The rows since the last time, in the order of their writing."""
        await self.world.hub.trail.flush()
        rows = await self.world.pool.fetch("SELECT * FROM audit ORDER BY recorded, id OFFSET $1", self.seen)
        self.seen += len(rows)
        return list(rows)

    async def one(self) -> dict[str, Any]:
        """The one row since the last time."""
        [row] = await self.take()
        return dict(row)


@pytest.fixture
async def trail(world: World) -> Reader:
    return Reader(world)
