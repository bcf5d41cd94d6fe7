"""What is grown in SQL is what the server's own code would have written, row for row."""

import asyncpg

from bench.growth import PERIOD, drop_indexes, load_templates
from bench.load import TABLES, Row, build_rows

FIRST = range(40)
"""The Tasks of each period that are grown here; their rows depend on no other."""


def freeze_row(row: Row) -> Row:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


async def test_the_second_period_is_as_the_first(pool: asyncpg.Pool) -> None:
    wanted: dict[str, set[Row]] = {table: set() for table in TABLES}
    for n in (*FIRST, *(PERIOD + each for each in FIRST)):
        for table, row in build_rows(n):
            wanted[table].add(freeze_row(row))
    async with pool.acquire() as connection:
        statements = await load_templates(connection, FIRST)
        for statement in statements.values():
            await connection.execute(statement, 0, 1, 2 * PERIOD)
        for table, columns in TABLES.items():
            rows = await connection.fetch(f"SELECT {', '.join(columns)} FROM {table}")
            assert len(rows) == len(wanted[table]), table
            assert {freeze_row(tuple(row)) for row in rows} == wanted[table]
    assert len(wanted["task"]) == 2 * len(FIRST)


async def test_every_index_is_made_again(pool: asyncpg.Pool) -> None:
    count = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'"
    async with pool.acquire() as connection:
        before = await connection.fetchval(count)
        made = await drop_indexes(connection)
        assert await connection.fetchval(count) == before - len(made)
        assert len(made) > 10
        for statement in made:
            await connection.execute(statement)
        assert await connection.fetchval(count) == before
