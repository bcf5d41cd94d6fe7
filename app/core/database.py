"""The pool of PostgreSQL connections, and the retry of transactions that lost a race."""

import asyncio
import logging
import time
from contextlib import suppress

import asyncpg

logger = logging.getLogger("handoff")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
DATABASE_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a statement raises whose database went away, or would not have it."""


ABSENT = (OSError, asyncpg.CannotConnectNowError)
"""What connecting raises while a database is stopped or starting up."""
PATIENCE = 60.0
"""Seconds for which a server waits for its database: whoever ended at once would soon be given up by its supervisor."""
PAUSE = 0.5
"""Seconds between two attempts to reach it."""


async def await_database(url: str, stop: asyncio.Event | None = None, patience: float = PATIENCE) -> None:
    """Waits until the database takes connections, or ``stop``; after ``patience`` seconds raises what it got."""
    stop = stop or asyncio.Event()
    deadline, told = time.monotonic() + patience, False
    while not stop.is_set():
        try:
            connection = await asyncpg.connect(url)
        except ABSENT as error:
            if time.monotonic() > deadline:
                raise
            if not told:
                logger.warning("Waiting for the database: %s", type(error).__name__)
            told = True
        else:
            await connection.close()
            return
        try:
            await asyncio.wait_for(stop.wait(), PAUSE)
        except TimeoutError:
            continue


async def open_pool(url: str, *, size: int, application_name: str, statement_timeout: float) -> asyncpg.Pool:
    """A pool of prepared-statement connections.

    ``statement_timeout`` is in seconds. Every connection is in UTC, with JIT off: our statements are short.
    PostgreSQL's log gets no parameters of ours with an error; the rest of what it logs is for its owner to say
    (``log_risks``).
    """
    pool = await asyncpg.create_pool(
        url,
        min_size=min(2, size),
        max_size=size,
        max_inactive_connection_lifetime=0,
        statement_cache_size=1000,
        max_cached_statement_lifetime=0,
        reset=keep_session,
        server_settings={
            "application_name": application_name,
            "jit": "off",
            # A prepared plan outlives the day on which its table was empty and a sequential scan was cheapest.
            "enable_seqscan": "off",
            # Planning a statement of ours costs more than running it.
            "plan_cache_mode": "force_generic_plan",
            # A bitmap reads every match before it gives the first row; a page needs few.
            "enable_bitmapscan": "off",
            # Starting a parallel worker takes longer than most of our statements.
            "max_parallel_workers_per_gather": "0",
            "timezone": "UTC",
            "statement_timeout": str(int(statement_timeout * 1000)),
            "log_parameter_max_length_on_error": "0",
        },
    )
    assert pool is not None  # noqa: S101 -- create_pool returns None only inside a loop that is closing
    return pool


async def keep_session(_: object) -> None:
    """Saves the round trip that resets a session between two users of the pool.

    asyncpg itself rolls back an open transaction; whoever listens stops before giving the connection back.
    """


LINGER = 0.02
"""Seconds for which a connection that nobody wants stays with the lender."""


class Lender:
    """Hands connections of a pool from one reader to the next, without what asyncpg does between two users of one.

    That costs more than a read's own statement (docs/performance.md). It is for single statements: nothing of them
    is left in a session. What nobody asks for goes back to the pool soon, and at once what an error came over.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.idle: list[asyncpg.pool.PoolConnectionProxy] = []
        self.returning: asyncio.Task[None] | None = None

    async def take(self) -> asyncpg.pool.PoolConnectionProxy:
        """A connection, to be given back by ``give`` or ``drop``."""
        while self.idle:
            connection = self.idle.pop()
            if is_alive(connection):
                return connection
            await self.drop(connection)
        return await self.pool.acquire()

    async def give(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        """Takes back what may be lent again: half of the pool at the most, and none that the pool itself may want."""
        pool = self.pool
        wanted = pool.get_size() >= pool.get_max_size() and not pool.get_idle_size()
        if wanted or 2 * len(self.idle) >= pool.get_max_size():
            await self.drop(connection)
            return
        self.idle.append(connection)
        if self.returning is None or self.returning.done():
            self.returning = asyncio.create_task(self.empty())

    async def drop(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        """Takes back what goes to the pool, which puts it in order."""
        await self.pool.release(connection)

    async def empty(self) -> None:
        """After a while, gives the pool what is not lent just then."""
        await asyncio.sleep(LINGER)
        with suppress(*DATABASE_AWAY):  # a pool that is closed wants nothing back
            while self.idle:
                await self.drop(self.idle.pop())


def is_alive(connection: asyncpg.pool.PoolConnectionProxy) -> bool:
    """Whether a connection can be used; of one that died the pool has taken the handle away."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False


RISKS = {
    "log_error_verbosity": ("terse", "an error's DETAIL holds the row that broke a constraint"),
    "log_parameter_max_length": ("0", "a logged statement brings its parameters along"),
}
"""Of PostgreSQL's settings, the value under which its log holds nothing of patients, and why."""


async def log_risks(url: str) -> list[str]:
    """A line for each setting by which PostgreSQL may log what people wrote; only its owner changes them."""
    connection = await asyncpg.connect(url)
    try:
        return [
            f"{name} is {found}: {why}; let a superuser say ALTER ROLE {role} SET {name} = '{wanted}'"
            for name, (wanted, why) in RISKS.items()
            for found, role in await connection.fetch(
                "SELECT current_setting($1), quote_ident(current_user) WHERE current_setting($1) <> $2", name, wanted
            )
        ]
    finally:
        await connection.close()
