"""Who is in the tests: a hospital that refers, a partner, a stranger, the operator; and the endpoint of deliveries."""

from collections.abc import AsyncIterator

import pytest

from tests.api import Caller, World
from tests.integration.delivery.receiver import Receiver, open_receiver


@pytest.fixture
async def hospital(world: World) -> Caller:
    return await world.caller("hospital")


@pytest.fixture
async def ngo(world: World) -> Caller:
    return await world.caller("ngo", "provider")


@pytest.fixture
async def stranger(world: World) -> Caller:
    """An organisation that no referral names."""
    return await world.caller("stranger")


@pytest.fixture
async def admin(world: World) -> Caller:
    return await world.caller("operator", "admin")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as opened:
        yield opened
