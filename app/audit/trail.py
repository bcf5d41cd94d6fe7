"""The trail of one process: rows wait in a bounded queue, which one task empties by COPY.

What nothing is lost by (a read, a search) goes on at once, and is written at most ``LINGER`` later. What must stand
before its answer leaves waits for the same COPY, which then begins at once. Nobody passes a full queue.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import asyncpg

from app.audit.hashing import Hasher
from app.audit.strangers import WINDOW, Strangers
from app.core.data_dir import load_secret_key
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.store.audit import AuditRow, copy_rows

logger = logging.getLogger("handoff.audit")

LINGER = 0.15
"""Seconds from the first row of a batch to its COPY: with the COPY itself, under 200 ms."""
PATIENCE = 5.0
"""Seconds that a request waits for a place in the queue, or to be written."""
PAUSE = 0.5
"""Seconds until a COPY that failed is tried again."""
MOST = 100_000
"""How many rows and references may wait; some 10 MB."""
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@dataclass
class Batch:
    """Rows that are written together; ``weight`` counts them and their references."""

    rows: list[AuditRow] = field(default_factory=list)
    weight: int = 0
    written: asyncio.Event = field(default_factory=asyncio.Event)


class Trail:
    """Where accesses are recorded. ``HANDOFF_AUDIT=synchronous`` has every one wait until it is written."""

    def __init__(self, pool: asyncpg.Pool, settings: Settings) -> None:
        self.pool = pool
        self.settings = settings
        self.synchronous = settings.audit == "synchronous"
        self.batch = Batch()
        self.under_way = Batch()
        self.hurry = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.closing = False
        self.strangers = Strangers()
        self.summing: asyncio.TimerHandle | None = None

    @cached_property
    def hasher(self) -> Hasher:
        """Made when first needed: not every process that records hashes."""
        return Hasher(load_secret_key(self.settings))

    async def record(self, row: AuditRow, *, wait: bool) -> None:
        """Takes a row; with ``wait`` returns once it is written. Raises Unavailable where that takes too long."""
        while self.batch.weight + self.under_way.weight >= MOST:
            self.hurry.set()
            await self.wait_for(self.under_way if self.under_way.rows else self.batch)
        batch = self.put(row)
        if wait or self.synchronous:
            self.hurry.set()
            await self.wait_for(batch)

    async def record_stranger(self, row: AuditRow) -> None:
        """Takes a refusal of the kind that comes in floods, which are only counted."""
        if self.strangers.admit(row):
            await self.record(row, wait=True)
        elif self.summing is None:
            self.summing = asyncio.get_running_loop().call_later(WINDOW, self.sum_up)

    def sum_up(self) -> None:
        """A row for each caller whose refusals were only counted."""
        self.summing = None
        for row in self.strangers.take():
            self.put(row)

    def put(self, row: AuditRow) -> Batch:
        """The batch that the row now waits in."""
        batch = self.batch
        batch.rows.append(row)
        batch.weight += 1 + len(row.given)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self.empty())
        return batch

    async def wait_for(self, batch: Batch) -> None:
        try:
            await asyncio.wait_for(batch.written.wait(), PATIENCE)
        except TimeoutError:
            raise Unavailable("The audit trail cannot be written; try again", headers={"Retry-After": "1"}) from None

    async def empty(self) -> None:
        """Writes batch after batch until none is left."""
        while self.batch.rows:
            if not self.closing:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.hurry.wait(), LINGER)
            self.hurry.clear()
            self.under_way, self.batch = self.batch, Batch()
            await self.write(self.under_way)
            self.under_way.written.set()
            self.under_way = Batch()

    async def write(self, batch: Batch) -> None:
        """Writes a batch, as often as it takes; a process that ends gives up after ``PATIENCE``."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                async with self.pool.acquire() as connection:
                    await copy_rows(connection, batch.rows)
                return
            except asyncpg.UniqueViolationError:
                return  # an earlier try was committed, and its acknowledgement lost: a COPY stands whole or not at all
            except AWAY as error:
                logger.warning("The audit trail cannot be written: %s", type(error).__name__)
            if self.closing and loop.time() - began > PATIENCE:
                logger.error("%d rows of the audit trail are lost", len(batch.rows))
                return
            await asyncio.sleep(PAUSE)

    async def flush(self) -> None:
        """Returns once everything taken so far is written."""
        if self.task and not self.task.done():
            self.hurry.set()
            last = self.batch if self.batch.rows else self.under_way
            await last.written.wait()

    async def close(self) -> None:
        """Writes what waits, before the pool is closed."""
        if self.summing:
            self.summing.cancel()
            self.sum_up()
        self.closing = True
        self.hurry.set()
        if self.task:
            await self.task
