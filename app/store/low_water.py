"""The low-water mark below which a poller has seen everything (docs/decisions/0010-polling-low-water-mark.md)."""

import asyncio
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from app.core.database import Connection

REUSE = 0.01
"""Seconds for which all polls of one process share a reading."""

READINGS = 64
"""Earlier readings kept until their writers have ended."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class LowWater:
    """The mark of one process. A mark read before a search is right for it, however old: only later than need be."""

    reuse: float = REUSE
    mark: datetime = BEGINNING
    pending: deque[tuple[datetime, frozenset[str]]] = field(default_factory=lambda: deque(maxlen=READINGS))
    began: float = float("-inf")
    expired: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def expire(self) -> None:
        """After a commit of this process, so that its next poll sees it."""
        self.expired = monotonic()

    async def read(self, connection: Connection) -> datetime:
        """The mark for a search that begins after this. ``connection`` must be in no transaction.

        Whoever comes while a reading is under way waits for the next one, and shares it.
        """
        wanted = max(self.expired, monotonic() - self.reuse)
        async with self.lock:
            if self.began < wanted:
                began = monotonic()
                [(published, writers, oldest)] = await connection.fetch("SELECT * FROM publish_mark()")
                self.settle(published, writers, oldest)
                self.began = began
            return self.mark

    def settle(self, published: datetime, writers: Collection[str], oldest: datetime | None) -> None:
        """Raises the mark as far as a reading allows.

        No open writer stamps below its own start, nor below what was published before it began to write. The second
        matters when the clock was stepped back and starts mean nothing.
        """
        still_open = frozenset(writers)
        self.pending.append((published, still_open))
        reached = [mark for mark, were_open in self.pending if not were_open & still_open]
        self.mark = max(self.mark, *reached, min(published, oldest or published))
        self.pending = deque((each for each in self.pending if each[0] > self.mark), maxlen=READINGS)
