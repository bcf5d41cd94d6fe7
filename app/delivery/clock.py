"""The time that is put on messages: the middle of three clocks, so that one of them may be wrong."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass
class Clock:
    """This machine's clock, the database's at the last claim, and the database's at the first reading.

    The latter two go on by the seconds that have passed. A receiver refuses what is more than five minutes off, so a
    worker whose clock is wrong would have its messages refused until they are dead letters; so would all workers if
    the database's clock alone counted and were stepped back. ``first`` and ``last`` are seconds to add to the
    monotonic clock.
    """

    first: float | None = None
    last: float | None = None

    def read(self, database: datetime | None) -> datetime:
        """The time, in UTC; ``database`` is the database's, as it was told a moment ago."""
        own, passed = time.time(), time.monotonic()
        if database is not None:
            self.last = database.timestamp() - passed
            self.first = self.last if self.first is None else self.first
        if self.first is None or self.last is None:
            return datetime.fromtimestamp(own, UTC)
        return datetime.fromtimestamp(sorted((own, passed + self.first, passed + self.last))[1], UTC)
