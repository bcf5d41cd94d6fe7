"""Indexing again: what the index holds afterwards is what the content says."""

from typing import Any

import asyncpg
import pytest

from app.core.database import Connection
from app.core.errors import Invalid
from app.models.search_rows import CHILD_TABLES
from app.search.extract import extractor
from app.store import reindex
from app.store.content import cut_content
from app.store.reindex import reindex_resources
from app.store.rows import Draft
from app.store.write import delete_resource
from tests.sessions import session


def patient(number: int) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:mrn", "value": f"{number:03}"}, {"value": f"B{number:03}"}],
        "name": [{"family": "Nguyễn", "given": ["Văn", f"An {number}"]}, {"text": "សុខា"}],
        "birthDate": "2019-04",
        "gender": "female",
        "multipleBirthInteger": 1,
        "extension": [{"url": "urn:weight", "valueDecimal": 3.10}],
    }


async def insert(connection: Connection, number: int) -> None:
    resource, name = patient(number), f"p{number:03}"
    entry = extractor("Patient")(resource)
    async with session(connection) as opened:
        await opened.insert(Draft("Patient", name, cut_content(resource, name), entry, "hospital"))


async def read_index(connection: Connection) -> list[Any]:
    """All that the database holds of patients, child rows too."""
    found = [tuple(row) for row in await connection.fetch("SELECT * FROM patient ORDER BY id")]
    for table in CHILD_TABLES:
        found += [tuple(row) for row in await connection.fetch(f"SELECT * FROM search_{table} t ORDER BY t")]
    return found


async def spoil_index(connection: Connection) -> None:
    """As if its columns were new and its rows of other parameters."""
    await connection.execute(
        "UPDATE patient SET s_birthdate_low = NULL, s_gender = NULL, s_deceased = NULL WHERE id < 'p004'"
    )
    await connection.execute("DELETE FROM search_token WHERE id > 'p002'")
    await connection.execute("UPDATE search_string SET folded = 'wrong', exact = 'wrong'")
    await connection.execute("INSERT INTO search_reference VALUES ('Patient', 'p001', 'gone', 'Organization/x')")


@pytest.fixture
async def connection(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(reindex, "BATCH", 3)
    async with pool.acquire() as connection:
        for number in range(8):
            await insert(connection, number)
        await delete_resource(connection, "Patient", "p005", 1)
        yield connection


async def test_the_index_is_as_it_was_written(connection: Connection) -> None:
    before = await read_index(connection)
    await spoil_index(connection)
    assert await read_index(connection) != before
    told: list[tuple[str, int, int, str]] = []
    assert await reindex_resources(connection, [], lambda *each: told.append(each)) == 7
    assert await read_index(connection) == before
    assert told == [("Patient", 3, 7, "p002"), ("Patient", 6, 7, "p006"), ("Patient", 7, 7, "p007")]


async def test_a_row_that_is_right_is_not_written(connection: Connection) -> None:
    before = await connection.fetch("SELECT id, ctid FROM patient WHERE id = 'p001'")
    await connection.execute("UPDATE patient SET s_birthdate_low = NULL WHERE id = 'p002'")
    await reindex_resources(connection, ["Patient"], lambda *_: None)
    rows = await connection.fetch("SELECT id, ctid FROM patient WHERE id = 'p001'")
    assert [row["ctid"] for row in rows] == [row["ctid"] for row in before]
    assert await connection.fetchval("SELECT s_birthdate_low FROM patient WHERE id = 'p002'") is not None


async def test_it_goes_on_where_it_stopped(connection: Connection) -> None:
    before = await read_index(connection)
    await spoil_index(connection)

    def stop_soon(name: str, done: int, total: int, last: str) -> None:
        raise InterruptedError(last)

    with pytest.raises(InterruptedError, match="p002"):
        await reindex_resources(connection, ["Patient"], stop_soon)
    assert await reindex_resources(connection, ["Patient"], lambda *_: None, ("Patient", "p002")) == 4
    assert await read_index(connection) == before


async def test_rows_of_a_new_kind_are_filled(connection: Connection) -> None:
    resource = {"resourceType": "Encounter", "length": {"value": 90, "unit": "min"}}
    draft = Draft("Encounter", "e", cut_content(resource, "e"), extractor("Encounter")(resource), "hospital")
    async with session(connection) as opened:
        await opened.insert(draft)
    before = await connection.fetch("SELECT * FROM search_quantity ORDER BY code")
    assert len(before) == 2
    await connection.execute("DELETE FROM search_quantity")
    await reindex_resources(connection, ["Encounter"], lambda *_: None)
    assert await connection.fetch("SELECT * FROM search_quantity ORDER BY code") == before


async def test_an_unknown_type_is_refused(connection: Connection) -> None:
    with pytest.raises(Invalid, match="Patience"):
        await reindex_resources(connection, ["Patience"], lambda *_: None)
