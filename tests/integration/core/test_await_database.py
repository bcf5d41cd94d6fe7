"""A server waits for its database, for a while: one that ends at once is soon given up by its supervisor."""

import asyncio
from typing import Any

import asyncpg
import pytest

from app.core import database
from app.core.database import await_database


@pytest.fixture
def absences(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """What connecting raises, one after the other, before it reaches the database."""
    monkeypatch.setattr(database, "PAUSE", 0)
    coming: list[Exception] = []
    connect = asyncpg.connect

    async def reach(*arguments: Any, **options: Any) -> Any:
        if coming:
            raise coming.pop(0)
        return await connect(*arguments, **options)

    monkeypatch.setattr(asyncpg, "connect", reach)
    return coming


async def test_it_waits_until_the_database_is_there(database_url: str, absences: list[Exception]) -> None:
    absences += [ConnectionRefusedError(), FileNotFoundError(), asyncpg.CannotConnectNowError("starting up")]
    await await_database(database_url)
    assert absences == []


async def test_not_for_ever(database_url: str, absences: list[Exception]) -> None:
    absences += [ConnectionRefusedError(), ConnectionRefusedError()]
    with pytest.raises(ConnectionRefusedError):
        await await_database(database_url, patience=-1)


async def test_not_after_a_signal(database_url: str, absences: list[Exception]) -> None:
    stop = asyncio.Event()
    stop.set()
    absences.append(ConnectionRefusedError())
    await await_database(database_url, stop)
    assert len(absences) == 1


async def test_what_waiting_does_not_mend_is_told_at_once(database_url: str) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await await_database(database_url.replace("/handoff_test", "/no_such"))
