"""Runs migrations on one connection, one process at a time."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

import app.models  # noqa: F401 -- registers the tables

LOCK = 0x68616E64  # "hand"


def run_migrations(connection: Connection) -> None:
    """All of them in one transaction: a failed upgrade leaves the database as it was."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    context.configure(connection=connection, target_metadata=SQLModel.metadata, compare_type=True)
    context.run_migrations()


async def run_online() -> None:
    """Connects to the address that app.store.migrate passed in."""
    engine = create_async_engine(context.config.attributes["url"])
    async with engine.begin() as connection:
        await connection.run_sync(run_migrations)
    await engine.dispose()


asyncio.run(run_online())
