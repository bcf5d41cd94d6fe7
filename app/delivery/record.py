"""Records what became of attempts: those that end together in one statement, as a commit of the database does."""

import asyncio
import time
from dataclasses import dataclass, field

import asyncpg

from app.core.database import DATABASE_AWAY
from app.delivery.claim import Claim, Ended, Limits, Result, finish

RECORD_PAUSE = 0.5


@dataclass(eq=False)
class Record:
    """A result that waits to be written, until its lease ends at ``deadline``; ``done`` fails with what went wrong."""

    ended: Ended
    deadline: float
    done: asyncio.Future[None]


@dataclass
class Recorder:
    """While a statement is under way, results gather for the next one."""

    pool: asyncpg.Pool
    lease: float
    stop: asyncio.Event
    limits: Limits
    waiting: list[Record] = field(default_factory=list)
    running: asyncio.Task[None] | None = None

    async def record(self, claim: Claim, result: Result, claimed: float) -> None:
        """Returns once it is written, or is somebody else's. Raises what the database raised for too long.

        While the lease lasts it is tried again, also once a database that went away is back.
        """
        record = Record((claim, result), claimed + self.lease, asyncio.get_running_loop().create_future())
        self.waiting.append(record)
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self.run())
        await record.done

    async def run(self) -> None:
        while self.waiting:
            await asyncio.sleep(0)  # so that those of this turn of the loop go together
            batch, self.waiting = self.waiting, []
            try:
                await self.write(batch)
            except DATABASE_AWAY:
                await self.write_each(batch)

    async def write(self, batch: list[Record]) -> None:
        await finish(self.pool, [each.ended for each in batch], self.limits)
        for each in batch:
            each.done.set_result(None)

    async def write_each(self, batch: list[Record]) -> None:
        """One by one, so that one that cannot be written harms no other; each until its lease ends."""
        while batch:
            await asyncio.sleep(RECORD_PAUSE)
            for each in list(batch):
                try:
                    await self.write([each])
                except DATABASE_AWAY as error:
                    if not self.stop.is_set() and time.monotonic() + RECORD_PAUSE < each.deadline:
                        continue
                    each.done.set_exception(error)
                batch.remove(each)
