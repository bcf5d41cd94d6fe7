"""The pool of PostgreSQL connections, and the retry of transactions that lost a race."""

import asyncpg

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
DATABASE_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a statement raises whose database went away, or would not have it."""


async def open_pool(url: str, *, size: int, application_name: str, statement_timeout: float) -> asyncpg.Pool:
    """A pool of prepared-statement connections.

    ``statement_timeout`` is in seconds. Every connection is in UTC, with JIT off: our statements are short.
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
        },
    )
    assert pool is not None  # noqa: S101 -- create_pool returns None only inside a loop that is closing
    return pool


async def keep_session(_: object) -> None:
    """Saves the round trip that resets a session between two users of the pool.

    asyncpg itself rolls back an open transaction; whoever listens stops before giving the connection back.
    """
