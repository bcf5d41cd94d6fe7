"""The plans of searches: no scan of a table, and no more rows read than a page needs, however many match.

Under the generic plan, as the server's own sessions make it, and right after a bulk load, before any ANALYZE: for an
organisation that owns everything, and for one that owns half of the Tasks and sees half of everything.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.core.caller import Scope
from app.core.settings import Settings
from app.interactions.contact import plan_requests
from app.search.parse import parse_search
from app.search.plan import SearchPlan
from app.store import looks
from app.store.search import render_returning, render_search, search_resources
from app.store.statements import audience_parameter, read_statement, shape
from bench.load import HOSPITAL, PARTNERS, load_tasks
from tests.conftest import copy_of, name_database, run_sql, swap_database

HALF = PARTNERS[0]
"""It owns half of all Tasks."""
TASKS = 2_000
BASE = "http://bench/fhir"
PATIENT, NUMBER = "Patient/bench-patient-7", "00000007"
POLL = f"owner=Organization/{HALF}&status=requested"
HOT: list[tuple[str, str, int]] = [
    (f"Task?{POLL}&_sort=-_lastUpdated&_count=20", "task_by_owner_status", 45),
    (f"Task?{POLL}&_lastUpdated=gt2026-01-01&_sort=-_lastUpdated&_count=20", "task_by_owner_status", 45),
    (f"Task?{POLL}&_lastUpdated=gt2026-01-01&_sort=_lastUpdated", "task_by_owner_status", 45),
    (f"Task?patient={PATIENT}", "task_by_patient", 10),
    (f"Task?patient={PATIENT}&_sort=-_lastUpdated", "task_by_patient", 10),
    ("Task?focus=ServiceRequest/bench-request-7", "task_by_focus", 10),
    (f"ServiceRequest?patient={PATIENT}&status=active", "service_request_by_patient_status", 10),
    (f"Patient?identifier=urn:bench:record|R{NUMBER}", "search_token_value", 10),
    ("Patient?name=nguyen", "search_string_value", 400),
    ("Patient?name=nguyen&gender=male", "search_string_value", 800),
    (f"Observation?patient={PATIENT}", "observation_by_patient", 5),
    (f"Condition?patient={PATIENT}", "condition_by_patient", 5),
]
"""The hot queries, the index that each goes by, and the most rows that it may read from tables and indexes."""

WIDE: list[tuple[str, int]] = [
    (f"Task?{POLL}", 900),
    (f"Task?{POLL}&_lastUpdated=gt2026-01-01", 900),
    (f"Task?{POLL},accepted&_sort=-_lastUpdated", 900),
    (f"Task?owner=Organization/{HALF}&_sort=-_lastUpdated", 600),
    ("Task?_lastUpdated=gt2026-01-01", 600),
    ("Task?_sort=-_lastUpdated", 200),
    ("Task?code=fulfill", 600),
    ("Task?code=fulfill&_sort=-_lastUpdated", 600),
    (f"Task?code=fulfill&patient={PATIENT}", 300),
    (f"Task?{POLL}&code=fulfill&_sort=-_lastUpdated&_count=20", 600),
    ("Task?code:not=x", 400),
    ("Task?identifier:missing=false", 400),
    (f"Task?{POLL}&code:not=x&_sort=-_lastUpdated", 300),
    ("Task?identifier=none&code=fulfill", 300),
    ("Patient?name=nguyen,sok", 900),
    (f"Patient?name=nguyen&identifier=R{NUMBER}", 300),
    ("Patient?_id=bench-patient-7&name=nguyen", 30),
    ("Observation?component-code-value-quantity=8480-6$gt140", 5),
    ("Observation?code-value-concept=x$y&patient=Patient/x", 5),
]
"""What many match, and the most rows that may be read with looks of 100 ids."""


def write_literal(value: Any) -> str:
    """A value as SQL text."""
    if isinstance(value, list | tuple):
        return f"ARRAY[{', '.join(map(write_literal, value))}]::text[]"
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'::timestamptz"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


async def explain(pool: asyncpg.Pool, statement: str, values: Sequence[object]) -> dict[str, Any]:
    """The generic plan of a statement, run as the server's own sessions do."""
    async with pool.acquire() as connection:
        await connection.execute(f"PREPARE hot AS {statement}")
        try:
            arguments = ", ".join(map(write_literal, values))
            told = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE hot({arguments})")
        finally:
            await connection.execute("DEALLOCATE hot")
    found: dict[str, Any] = json.loads(told)[0]["Plan"]
    return found


def walk_plan(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of a plan."""
    yield plan
    for each in plan.get("Plans", ()):
        yield from walk_plan(each)


def count_rows(plan: dict[str, Any]) -> float:
    """The rows that its scans of tables and indexes read, those that a filter threw away too."""
    found = 0.0
    for each in walk_plan(plan):
        if "Relation Name" in each or "Index Name" in each:
            found += (each["Actual Rows"] + each.get("Rows Removed by Filter", 0)) * each["Actual Loops"]
    return found


def check_plan(query: str, plan: dict[str, Any], most: int) -> list[object]:
    """What is wrong with a plan."""
    scanned = [each["Relation Name"] for each in walk_plan(plan) if each["Node Type"] == "Seq Scan"]
    rows = count_rows(plan)
    return [(query, scanned, rows)] if scanned or rows > most else []


@pytest.fixture(scope="module")
def template(postgres_url: str, template: str, memory: Path | None) -> Iterator[str]:
    """A bulk load, and no statistics of it."""
    name = name_database("loaded")
    run_sql(postgres_url, f"CREATE DATABASE {name} {template}")
    asyncio.run(load(swap_database(postgres_url, name)))
    yield copy_of(name, memory)
    run_sql(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


async def load(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await load_tasks(connection, TASKS)
    finally:
        await connection.close()


def parse(query: str) -> SearchPlan:
    resource_type, _, pairs = query.partition("?")
    split = [(name, value) for name, _, value in (each.partition("=") for each in pairs.split("&"))]
    return parse_search(resource_type, split, Settings(), BASE)


async def explain_search(pool: asyncpg.Pool, query: str, organization: str) -> dict[str, Any]:
    return await explain(pool, *render_search(parse(query), Scope((organization,))))


async def test_hot_queries_go_by_their_index(pool: asyncpg.Pool) -> None:
    wrong = []
    for organization in (HALF, HOSPITAL):
        for query, index, most in HOT:
            plan = await explain_search(pool, query, organization)
            wrong += check_plan(query, plan, most)
            if index not in {each.get("Index Name") for each in walk_plan(plan)}:
                wrong.append((query, index))
    assert not wrong, "\n".join(map(str, wrong))


async def test_what_many_match_reads_no_more_than_a_page_needs(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "FEW", 100)
    wrong = []
    for organization in (HALF, HOSPITAL):
        for query, most in WIDE:
            wrong += check_plan(query, await explain_search(pool, query, organization), most)
    assert not wrong, "\n".join(map(str, wrong))


async def test_a_later_page_begins_where_the_index_does(pool: asyncpg.Pool) -> None:
    wrong = []
    for query, _, most in HOT:
        plan = parse(query)
        for _ in range(2):
            async with pool.acquire() as connection:
                page = await search_resources(connection, Scope((HALF,)), plan, 0)
            if page.following:
                plan = replace(plan, cursor=page.following)
        wrong += check_plan(query, await explain(pool, *render_search(plan, Scope((HALF,)))), most)
    assert not wrong, "\n".join(map(str, wrong))


RETURNING = (
    ("Patient?_revinclude=Task:patient&_revinclude=ServiceRequest:patient&_revinclude=Observation:patient", PATIENT),
    ("ServiceRequest?_revinclude=Task:focus", "ServiceRequest/bench-request-7"),
    ("Organization?_revinclude=ServiceRequest:performer", f"Organization/{PARTNERS[3]}"),
)


async def test_what_refers_to_a_match_is_found_by_its_index(pool: asyncpg.Pool) -> None:
    wrong = []
    for query, reference in RETURNING:
        statement, values = render_returning(parse(query), Scope((HALF,)), [reference], 50)
        wrong += check_plan(query, await explain(pool, statement, values), 250)
    assert not wrong, "\n".join(map(str, wrong))


async def test_the_requests_about_a_page_of_patients_go_by_their_index(pool: asyncpg.Pool) -> None:
    patients = [f"Patient/bench-patient-{n}" for n in range(50)]
    wrong = []
    for organization in (HALF, HOSPITAL):
        statement, values = render_search(plan_requests(patients, Settings(), BASE), Scope((organization,)))
        plan = await explain(pool, statement, values)
        wrong += check_plan(organization, plan, 500)
        assert "service_request_by_patient_status" in {each.get("Index Name") for each in walk_plan(plan)}
    assert not wrong, "\n".join(map(str, wrong))


async def test_a_read_goes_by_its_key(pool: asyncpg.Pool) -> None:
    scope = Scope((HALF,))
    told = await explain(pool, read_statement("Task", shape(scope)), ["bench-task-1", audience_parameter(scope)])
    assert [each.get("Index Name") for each in walk_plan(told)] == ["task_pkey"]
    assert count_rows(told) == 1


POOL = "Task?owner:missing=true&status=requested"
FILL_POOL = """
UPDATE task SET s_owner = NULL, assigned_org = NULL, shared_with = '{}', reduced = '{}',
    reduced_for = CASE WHEN n % 10 = 0 THEN '{helper}'::text[] ELSE '{another}'::text[] END
FROM (SELECT id AS number, row_number() OVER (ORDER BY id) AS n FROM task WHERE s_status = 'requested') AS each
WHERE task.id = number AND n % 2 = 0
"""


@pytest.mark.parametrize(
    "query",
    [
        f"{POOL}&_lastUpdated=gt2025-12-01&_sort=_lastUpdated&_count=10",
        f"{POOL}&_sort=-_lastUpdated&_count=10",
        f"{POOL}&_count=10",
        f"{POOL}&_lastUpdated=gt2025-12-01&_count=10",
    ],
)
async def test_the_pools_poll_reads_no_more_than_what_is_unassigned(pool: asyncpg.Pool, query: str) -> None:
    async with pool.acquire() as connection:
        await connection.execute(FILL_POOL)
        unassigned = await connection.fetchval("SELECT count(*) FROM task WHERE s_owner IS NULL")
        page = await search_resources(connection, Scope(("helper",)), parse(query), 0)
    assert len(page.matches) == 10
    assert {each.content for each in page.matches} == {"{}"}
    plan = await explain_search(pool, query, "helper")
    assert check_plan(query, plan, 2 * unassigned + 100) == []
    assert "task_by_owner_status" in {each.get("Index Name") for each in walk_plan(plan)}
    strange = await explain_search(pool, query, "stranger")
    assert strange["Actual Rows"] == 0
    assert check_plan(query, strange, 2 * unassigned + 100) == []
