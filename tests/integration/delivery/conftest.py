"""Who is in the tests of delivery, and the endpoint that it goes to."""

from collections.abc import AsyncIterator

import pytest

from tests.api import Caller, World
from tests.integration.delivery.receiver import Receiver, open_receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
async def hospital(world: World) -> Caller:
    return await world.caller("hospital")


@pytest.fixture
async def ngo(world: World) -> Caller:
    return await world.caller("ngo", "provider")
