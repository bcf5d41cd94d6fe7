"""What a test writes past the rules, in a transaction of its own or in the one that it has begun."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.database import Connection
from app.store.session import Session


@asynccontextmanager
async def session(connection: Connection) -> AsyncIterator[Session]:
    """What the block asks for is written at its end."""
    async with connection.transaction():
        opened = Session(connection)
        yield opened
        await opened.flush()
