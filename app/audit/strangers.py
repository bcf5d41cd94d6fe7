"""Bounds what refusals of strangers, and of those who call too often, make the trail grow by: many are only counted."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from app.audit.address import UNKNOWN
from app.core.ids import new_id
from app.store.audit import AuditRow

WINDOW = 10.0
"""Seconds."""
MOST_LISTED = 50
"""Refusals in one window of one process that have a row each."""
MOST_CALLERS = 10
"""Callers whose further refusals are counted apart; those of all others are counted together."""
Caller = tuple[str | None, str | None, str | None, str | None, int]
"""Client, organisation, role, address, and the status that they were refused with."""
OTHERS: Caller = (None, None, None, None, 401)
COUNTED = "not listed one by one"


class Strangers:
    """Counts the refusals of one process. ``clock`` tells seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._listed = 0
        self._counts: dict[Caller, int] = {}

    def admit(self, row: AuditRow) -> bool:
        """Whether this refusal has a row of its own; else it is counted."""
        now = self._clock()
        if now >= self._until:
            self._until, self._listed = now + WINDOW, 0
        if self._listed < MOST_LISTED:
            self._listed += 1
            return True
        caller = (row.client, row.organization, row.role, row.remote, row.status)
        known = caller in self._counts or len(self._counts) < MOST_CALLERS
        key = caller if known else OTHERS
        self._counts[key] = self._counts.get(key, 0) + 1
        return False

    def take(self) -> list[AuditRow]:
        """A row for each caller whose refusals were counted so far; counting begins anew."""
        counts, self._counts = self._counts, {}
        return [count_row(caller, number) for caller, number in counts.items()]


def count_row(caller: Caller, number: int) -> AuditRow:
    """The row that stands for so many refusals."""
    now = time.time_ns() // 1_000_000
    recorded = datetime.fromtimestamp(now / 1000, UTC)
    client, organization, role, remote, status = caller
    who = (client, organization, role, remote)
    return AuditRow(recorded, new_id(now), *who, UNKNOWN, None, None, None, None, status, COUNTED, number, [])
