"""What every interaction needs: settings, pool, our own address, the audit trail, the way to wake the dispatcher."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property

import asyncpg

from app.audit.trail import Trail
from app.core.data_dir import load_secret_key
from app.core.database import Lender
from app.core.settings import Settings
from app.store.low_water import LowWater
from app.store.outbox import announce_events

GATHER = 0.01
"""Seconds between two NOTIFYs at least: the dispatcher lingers as long before it looks."""


@dataclass
class Announcer:
    """Tells the dispatcher of committed events: one NOTIFY for however many commits came meanwhile."""

    pool: asyncpg.Pool
    due: bool = False
    running: asyncio.Task[None] | None = None

    def announce(self) -> None:
        """Asks for a NOTIFY soon; returns at once."""
        self.due = True
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self.run())

    async def run(self) -> None:
        while self.due:
            self.due = False
            try:
                async with self.pool.acquire() as connection:
                    await announce_events(connection)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                # It was a hint: the dispatcher looks by itself too.
                return
            await asyncio.sleep(GATHER)

    async def close(self) -> None:
        """Waits for the last NOTIFY, before the pool is closed."""
        if self.running:
            await self.running


@dataclass
class Hub:
    """One running server. ``base_url`` is the FHIR base, without a slash at its end."""

    settings: Settings
    pool: asyncpg.Pool
    base_url: str
    announcer: Announcer = field(init=False)
    lender: Lender = field(init=False)
    trail: Trail = field(init=False)
    low_water: LowWater = field(default_factory=LowWater)

    def __post_init__(self) -> None:
        self.announcer = Announcer(self.pool)
        self.lender = Lender(self.pool)
        self.trail = Trail(self.pool, self.settings)

    @cached_property
    def secret_key(self) -> bytes:
        """What seals secrets at rest."""
        return load_secret_key(self.settings)
