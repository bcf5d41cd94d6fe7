"""Knows, at most 5 s late and without a query for each request, who may call as what, and who is in which network."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from app.access.clients import reaching_database
from app.core.errors import HandoffError, Unavailable

logger = logging.getLogger("handoff.access")

REFRESH_AFTER = 2.0
"""Seconds after which the list is read again while it still serves."""
STALE_AFTER = 4.5
"""Seconds after which it serves no longer: disabling takes effect within 5 s (access.md, Audit)."""
PATIENCE = 5.0

ENABLED = "SELECT id, organization, role, scopes, server_makes_tasks, rate FROM client WHERE disabled_at IS NULL"
NETWORKS = """
SELECT coordinator, array_agg(member ORDER BY member),
       coalesce(array_agg(member ORDER BY member) FILTER (WHERE acts), '{}')
FROM network_member GROUP BY coordinator
"""

Network = tuple[tuple[str, ...], tuple[str, ...]]
"""(the members of a coordinator's network, those of them for whom it acts)"""
ALONE: Network = ((), ())


@dataclass(frozen=True, slots=True)
class Standing:
    """What an enabled client may be, now; a token that says otherwise is void."""

    organization: str
    role: str
    scopes: str
    server_makes_tasks: bool
    rate: float | None


class ClientWatch:
    """The enabled clients of the database and the networks, read by one task at a time."""

    def __init__(self, pool: asyncpg.Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._standings: dict[str, Standing] = {}
        self._networks: dict[str, Network] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    def recall(self, client_id: str) -> Standing | None:
        """How a client stood when the list was read, less than ``REFRESH_AFTER`` ago; None where that takes a look."""
        return self._standings.get(client_id) if self._age() < REFRESH_AFTER else None

    async def find(self, client_id: str) -> Standing | None:
        """How a client stands; None for one that is unknown or disabled.

        Raises Unavailable where nobody could say for too long.
        """
        await self._refresh()
        for _ in range(2):
            if client_id in self._standings:
                break
            # Whoever holds a token that we signed was registered: since the list was read, it may be. The reading
            # under way may have begun before that, hence twice.
            await asyncio.shield(self._start_reading())
        return self._standings.get(client_id)

    async def find_network(self, coordinator: str) -> Network:
        """Who is in the network of an organisation. Raises Unavailable where nobody could say for too long."""
        await self._refresh()
        return self._networks.get(coordinator, ALONE)

    async def _refresh(self) -> None:
        """Sees to it that what is known is not too old. Raises Unavailable."""
        age = self._age()
        if age >= REFRESH_AFTER:
            reading = self._start_reading()
            if age >= STALE_AFTER:
                # Shielded: that one request is given up must not end what the others wait for.
                await asyncio.shield(reading)
        if self._age() >= STALE_AFTER:
            raise Unavailable("Tokens cannot be checked at the moment; try again", headers={"Retry-After": "1"})

    def _age(self) -> float:
        return self._clock() - self._read_at

    def _start_reading(self) -> asyncio.Task[None]:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return self._reading

    async def _read(self) -> None:
        try:
            with reaching_database():
                async with asyncio.timeout(PATIENCE), self._pool.acquire() as connection:
                    # The list is as old as the moment before it was asked for, not as its arrival.
                    asked_at = self._clock()
                    rows = await connection.fetch(ENABLED)
                    networks = await connection.fetch(NETWORKS)
        except HandoffError as error:
            logger.warning("The list of clients cannot be read: %s", type(error.__cause__).__name__)
            return
        self._standings = {client_id: Standing(*standing) for client_id, *standing in rows}
        self._networks = {row[0]: (tuple(row[1]), tuple(row[2])) for row in networks}
        self._read_at = asked_at
