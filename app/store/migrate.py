"""Brings a database to the schema that the program needs, and says where it differs."""

import asyncio
from pathlib import Path

import asyncpg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import SQLModel

import app.models  # noqa: F401 -- registers the tables
from app.store.audit import make_months

MIGRATIONS = Path(__file__).parents[2] / "alembic"


def build_config(url: str) -> Config:
    """Alembic's configuration, without a file. ``url`` is a PostgreSQL address as asyncpg takes it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def open_engine(url: str) -> AsyncEngine:
    """An engine whose connections asyncpg opens: it reads addresses (sslmode and all) as for the server's pool."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(url)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


def upgrade_database(url: str) -> None:
    """To the newest revision; of several processes at once, one migrates and the others wait."""
    command.upgrade(build_config(url), "head")
    asyncio.run(make_audit_months(url))


async def make_audit_months(url: str) -> None:
    """Those that are missing of this month and the next two."""
    connection = await asyncpg.connect(url)
    try:
        await make_months(connection)
    finally:
        await connection.close()


def downgrade_database(url: str, revision: str) -> None:
    """Back to a revision; ``base`` is an empty database."""
    command.downgrade(build_config(url), revision)


async def check_database(url: str) -> list[str]:
    """A line for each difference between the database and the program; none is well."""
    engine = open_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(list_differences)
    finally:
        await engine.dispose()


def list_differences(connection: Connection) -> list[str]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found = context.get_current_revision()
    newest = ScriptDirectory.from_config(build_config("")).get_current_head()
    if found != newest:
        return [f"the database is at revision {found}, the program at {newest}: run `handoff db upgrade`"]
    differences = compare_metadata(context, SQLModel.metadata)
    return [str(each) for each in differences]
