"""The schema goes up, says that it fits, and comes down again, with data in it."""

import asyncpg
import pytest

from app.store.migrate import check_database, downgrade_database, upgrade_database
from tests.conftest import name_database, run_sql, swap_database


@pytest.fixture
def empty_url(postgres_url: str) -> str:
    name = name_database("empty")
    run_sql(postgres_url, f"CREATE DATABASE {name}")
    return swap_database(postgres_url, name)


def test_up_down_and_up_again_with_data(empty_url: str) -> None:
    upgrade_database(empty_url)
    run_sql(empty_url, "INSERT INTO referral (id, sequence) VALUES ('Task/a', 1)")
    run_sql(
        empty_url,
        "INSERT INTO patient (id, version, last_updated, content, owner_org) VALUES ('p', 1, now(), '{}', 'o')",
    )
    upgrade_database(empty_url)
    downgrade_database(empty_url, "base")
    upgrade_database(empty_url)


async def test_the_template_fits_the_program(database_url: str) -> None:
    assert await check_database(database_url) == []


async def test_a_difference_is_told(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE patient DROP COLUMN s_birthdate_low")
    await connection.close()
    [difference] = await check_database(database_url)
    assert "s_birthdate_low" in difference


async def test_an_unmigrated_database_is_told(empty_url: str) -> None:
    [difference] = await check_database(empty_url)
    assert "handoff db upgrade" in difference
