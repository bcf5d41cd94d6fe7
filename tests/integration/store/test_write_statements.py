"""What a write sends to the database: its locks, one look, one statement that writes; and each of them goes by keys."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from app.core.settings import Settings
from app.interactions.command import open_hub
from app.interactions.create import create_resource
from app.interactions.operate import ensure_organization
from app.interactions.transaction import run_transaction
from app.interactions.update import update_resource
from bench.cases import PARTNER, accepted_task, bundle_of_three, fresh_task
from bench.floor import SESSION, Statement
from bench.load import HOSPITAL, PARTNERS, load_tasks
from bench.recording import act_as, record_at

BASE = "https://bench.invalid/fhir"
ASKED = 13
"""A Task of ``PARTNER`` that is loaded as requested, and may be accepted."""
REFERRER, PROVIDER = act_as(HOSPITAL, "referrer"), act_as(PARTNER, "provider")
WRITES: dict[str, Any] = {
    "create": (REFERRER, lambda hub, who: create_resource(hub, who, fresh_task(2), None)),
    "update": (PROVIDER, lambda hub, who: update_resource(hub, who, accepted_task(ASKED), f"bench-task-{ASKED}", 1)),
    "transaction": (REFERRER, lambda hub, who: run_transaction(hub, who, bundle_of_three(4))),
}
SMALL = ("binary_content", "binary_resource", "webhook", "client")
"""Tables that hold nothing here: of an empty table any index is as good as the right one."""


@pytest.fixture
async def statements(request: pytest.FixtureRequest, settings: Settings, database_url: str) -> list[Statement]:
    """What one of the writes sends, on tables that were never analysed."""
    connection = await asyncpg.connect(database_url, server_settings=SESSION)
    await load_tasks(connection, 60)
    await connection.close()
    async with open_hub(settings, database_url) as hub:
        for name in (HOSPITAL, *PARTNERS[:4]):
            await ensure_organization(hub, f"Organization/{name}", name)
    caller, work = WRITES[request.param]
    return (await record_at(settings, database_url, BASE, caller, work))[0]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url, server_settings=SESSION)
    yield opened
    await opened.close()


def walk(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from walk(each)


@pytest.mark.parametrize("statements", WRITES, indirect=True)
async def test_a_write_is_its_locks_a_look_and_one_statement(statements: list[Statement]) -> None:
    texts = [text for text, _ in statements]
    assert len(texts) == 5, texts
    assert (texts[0], texts[4]) == ("BEGIN;", "COMMIT;")
    assert "FOR UPDATE" in texts[1]
    assert not any(word in texts[2] for word in ("INSERT", "UPDATE", "DELETE"))
    assert "INSERT INTO audit" in texts[3]


@pytest.mark.parametrize("statements", WRITES, indirect=True)
async def test_a_write_reads_rows_by_their_keys(statements: list[Statement], connection: asyncpg.Connection) -> None:
    """A join that reads a whole index costs more with each row that there is, and a plan outlives its small tables."""
    for n, (text, arguments) in enumerate(statements[1:4]):
        await connection.execute(f"PREPARE write_{n} AS {text}")
        nothing = ", ".join(["NULL"] * len(arguments))
        [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) EXECUTE write_{n}({nothing})")
        for node in walk(json.loads(row[0])[0]["Plan"]):
            if "Relation Name" in node and "Scan" in node["Node Type"] and node["Relation Name"] not in SMALL:
                assert "Index Cond" in node, (node["Relation Name"], node["Node Type"], text)
