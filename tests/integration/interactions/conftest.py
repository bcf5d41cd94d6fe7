"""The organisations that the tests of the interactions are about."""

import pytest

from tests.api import Caller, World


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
