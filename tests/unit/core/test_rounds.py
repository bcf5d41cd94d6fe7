"""Rounds go on, whatever goes wrong in one."""

import asyncio
import logging

import pytest

from app.core.errors import NotFound
from app.core.rounds import repeat


async def test_a_round_that_fails_is_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    stop = asyncio.Event()
    wrong = [NotFound("x"), OSError("away"), KeyError("a mistake"), None, None]

    async def look() -> bool:
        error = wrong.pop(0)
        if not wrong:
            stop.set()
        if error is not None:
            raise error
        return True

    await repeat(look, 0.001, stop, "Something")
    assert wrong == []
    assert [each.levelno for each in caplog.records] == [logging.WARNING, logging.WARNING, logging.ERROR]
    assert "KeyError" in caplog.text


async def test_it_ends_while_it_waits() -> None:
    stop, looked = asyncio.Event(), asyncio.Event()

    async def look() -> bool:
        looked.set()
        return False

    running = asyncio.create_task(repeat(look, 3600, stop, "Something"))
    await looked.wait()
    stop.set()
    await running
