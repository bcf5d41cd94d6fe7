"""Runs migrations on one connection, one process at a time."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, text
from sqlmodel import SQLModel

from app.store.migrate import open_engine

LOCK = 0x68616E64  # "hand"


def run_migrations(connection: Connection) -> None:
    """All of them in one transaction: a failed upgrade leaves the database as it was."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    context.configure(connection=connection, target_metadata=SQLModel.metadata, compare_type=True)
    context.run_migrations()


async def run_online() -> None:
    """Connects to the address that app.store.migrate passed in; the command `alembic` takes it from the settings."""
    engine = open_engine(context.config.attributes.get("url") or os.environ["HANDOFF_DATABASE_URL"])
    try:
        async with engine.begin() as connection:
            await connection.run_sync(run_migrations)
    finally:
        await engine.dispose()


asyncio.run(run_online())
