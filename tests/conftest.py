"""A real PostgreSQL for each test process, and a database of its own for each test, cloned from a migrated template."""

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from app.core.database import open_pool
from app.core.embedded_postgres import RunningPostgres, start_postgres
from app.core.settings import Settings
from app.store.migrate import upgrade_database
from tests.api import World, open_world

OWN = os.environ.get("HANDOFF_TEST_DATABASE_URL")
MEMORY = Path("/dev/shm")
ROOM = 1 << 30
"""The bytes that must be free in memory: a few databases of about 15 MB, and what the longest tests write."""
COUNTER = itertools.count(1)


def name_database(kind: str) -> str:
    """A name that no other test process uses."""
    return f"handoff_{kind}_{os.getpid()}_{next(COUNTER)}"


def swap_database(url: str, name: str) -> str:
    """The same server, another database."""
    head, _, query = url.partition("?")
    address = f"{head.rsplit('/', 1)[0]}/{name}"
    return f"{address}?{query}" if query else address


@pytest.fixture(scope="session")
def memory() -> Iterator[Path | None]:
    """A directory in memory for the databases, where the machine has room; a clone there costs a fourth."""
    if OWN or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        yield None
        return
    with TemporaryDirectory(prefix="handoff-", dir=MEMORY) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory, memory: Path | None) -> Iterator[str]:
    """The address of a PostgreSQL: one's own by ``HANDOFF_TEST_DATABASE_URL``, else an embedded one."""
    if OWN:
        yield OWN
        return
    running = start_postgres(tmp_path_factory.mktemp("postgres"))
    # Nothing in this cluster outlives the run, and a clone for each test would wait for the disk most of the time. What
    # is said of durability is tested on servers of their own, with the settings as shipped (tests/conformance).
    run_sql(running.url, "ALTER SYSTEM SET fsync = off")
    # Plans are tested without statistics: that nobody gathers them is not to be luck.
    run_sql(running.url, "ALTER SYSTEM SET autovacuum = off")
    run_sql(running.url, "SELECT pg_reload_conf()")
    if memory:
        keep_in_memory(running, memory)
    try:
        yield running.url
    finally:
        running.destroy()


def keep_in_memory(running: RunningPostgres, memory: Path) -> None:
    """Puts every database that is made from now on into this directory: each goes where its template lies."""
    if running.layout.user:
        os.chown(memory, running.layout.user.pw_uid, running.layout.user.pw_gid)
    run_sql(running.url, f"CREATE TABLESPACE memory LOCATION '{memory}'")
    run_sql(running.url, "ALTER DATABASE template1 SET TABLESPACE memory")


@pytest.fixture(scope="session")
def template(postgres_url: str, memory: Path | None) -> Iterator[str]:
    """How a database is made that is migrated and empty: what follows ``CREATE DATABASE name``."""
    name = name_database("template")
    run_sql(postgres_url, f"CREATE DATABASE {name}")
    upgrade_database(swap_database(postgres_url, name))
    yield copy_of(name, memory)
    run_sql(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def copy_of(name: str, memory: Path | None) -> str:
    """What follows ``CREATE DATABASE name`` for a copy of another."""
    # To copy files takes two checkpoints: cheaper in memory, dearer on a disk.
    return f"TEMPLATE {name} STRATEGY {'file_copy' if memory else 'wal_log'}"


def run_sql(url: str, statement: str) -> None:
    """One statement outside any transaction, on a connection of its own."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture
async def database_url(postgres_url: str, template: str) -> AsyncIterator[str]:
    """A database for this test alone."""
    name = name_database("test")
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(f"CREATE DATABASE {name} {template}")
        yield swap_database(postgres_url, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on this test's database."""
    opened = await open_pool(database_url, size=10, application_name="handoff-test", statement_timeout=30)
    try:
        yield opened
    finally:
        opened.terminate()


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings for this test, whatever the environment says."""
    return Settings(
        database_url=database_url,
        data_dir=tmp_path,
        public_url="http://handoff.test",
        secret_key="dGVzdC10ZXN0LXRlc3QtdGVzdC10ZXN0LXRlc3QtdGU=",
        webhook_allowed_networks="127.0.0.0/8",
        webhook_allow_http=True,
        rate_limit=0,
    )


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    """The application on this test's database."""
    async with open_world(settings) as opened:
        yield opened
