"""The schema goes up, says that it fits, and comes down again, with data in it."""

import asyncio
import json
import subprocess
import sys

import asyncpg
import pytest
from sqlmodel import SQLModel

from app.store.migrate import check_database, downgrade_database, open_engine, upgrade_database
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
    run_sql(
        empty_url,
        "INSERT INTO webhook (id, organization, url, topics, content) "
        "VALUES ('s', 'o', 'https://ehr.example/hook', '{task-version}', 'id-only')",
    )
    run_sql(
        empty_url,
        "INSERT INTO task (id, version, last_updated, content, owner_org, referral, requester_org, due_at) "
        "VALUES ('a', 1, now(), '{}', 'o', 'Task/a', 'o', now())",
    )
    run_sql(empty_url, "INSERT INTO followed (webhook_id, type, criteria, since) VALUES ('s', 'Task', 'Task', now())")
    run_sql(empty_url, "INSERT INTO follow_cursor (type, last_updated, id) VALUES ('Task', now(), '')")
    run_sql(empty_url, "INSERT INTO overdue (task_id, deadline, told_at) VALUES ('a', now(), now())")
    run_sql(empty_url, "INSERT INTO binary_content (id, version, size) VALUES ('b', 1, 1)")
    run_sql(empty_url, "INSERT INTO binary_chunk (id, version, position, data) VALUES ('b', 1, 0, 'x')")
    upgrade_database(empty_url)
    downgrade_database(empty_url, "base")
    upgrade_database(empty_url)


def test_headers_that_lay_open_are_taken_away(empty_url: str) -> None:
    upgrade_database(empty_url)
    downgrade_database(empty_url, "0012_audit")
    line = 'Authorization: Bearer \\"of-the-ehr\\"'
    content = f'{{"resourceType":"Subscription","channel":{{"header":["X-Tenant: one","{line}"]}}}}'
    run_sql(
        empty_url,
        "INSERT INTO webhook (id, organization, url, topics, content, headers) VALUES "
        "('s', 'o', 'https://ehr.example/hook', '{task-version}', 'id-only', "
        "ARRAY['X-Tenant: one', 'Authorization: Bearer \"of-the-ehr\"'])",
    )
    former = content.replace("of-the-ehr", "of-last-year").replace("X-Tenant: one", "X-Tenant:\\u0020one")
    for key, version, text, table, columns, values in (
        ("s", 2, content, "subscription", "owner_org", "'o'"),
        ("s", 1, former, "resource_history", "type, deleted", "'Subscription', false"),
        ("deleted", 1, former, "resource_history", "type, deleted", "'Subscription', false"),
    ):
        run_sql(
            empty_url,
            f"INSERT INTO {table} (id, version, last_updated, content, {columns}) "
            f"VALUES ('{key}', {version}, now(), '{text}', {values})",
        )
    upgrade_database(empty_url)

    async def look() -> list[str]:
        connection = await asyncpg.connect(empty_url)
        try:
            rows = await connection.fetch(
                "SELECT content FROM subscription UNION ALL SELECT content FROM resource_history "
                "UNION ALL SELECT status || ' ' || error FROM webhook"
            )
            return [row[0] for row in rows]
        finally:
            await connection.close()

    *texts, state = asyncio.run(look())
    for text in texts:
        assert json.loads(text)["channel"]["header"] == ["X-Tenant: ***", "Authorization: ***"]
    assert state.startswith("error its headers were taken away")


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


CATALOG = """
SELECT 'column', table_name, column_name, data_type, udt_name, collation_name, is_nullable, column_default,
    identity_generation, datetime_precision::text
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
UNION ALL SELECT 'index', tablename, indexname, indexdef, '', '', '', '', '', ''
FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', '', '', '', ''
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> to_regclass('alembic_version')
ORDER BY 1, 2, 3, 4
"""


async def read_catalog(url: str) -> list[tuple[str | None, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(CATALOG)]
    finally:
        await connection.close()


async def test_the_migrations_make_what_the_models_say_to_the_letter(
    postgres_url: str, pool: asyncpg.Pool, database_url: str
) -> None:
    name = name_database("models")
    async with pool.acquire() as connection:
        await connection.execute(f"CREATE DATABASE {name}")
        url = swap_database(postgres_url, name)
        engine = open_engine(url)
        async with engine.begin() as made:
            await made.run_sync(SQLModel.metadata.create_all)
            await made.exec_driver_sql("CREATE TABLE alembic_version ()")
        await engine.dispose()
        wanted = await read_catalog(url)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert len(wanted) > 200
    assert await read_catalog(database_url) == wanted


def test_of_several_processes_at_once_one_migrates_in_silence(empty_url: str) -> None:
    code = "import sys; from app.store.migrate import upgrade_database; upgrade_database(sys.argv[1])"
    command = [sys.executable, "-W", "error", "-c", code, empty_url]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(each.communicate(timeout=60), each.returncode) for each in started] == [((b"", b""), 0)] * 4
