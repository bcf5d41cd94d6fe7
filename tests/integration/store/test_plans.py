"""The hot queries go by their indexes: under the generic plan, and right after a bulk load, before any ANALYZE."""

from datetime import datetime
from typing import Any

import asyncpg
import pytest

from app.core.caller import Scope
from app.core.settings import Settings
from app.search.parse import parse_search
from app.store.search import render_search
from app.store.statements import audience_parameter, read_statement, shape
from bench.load import HOSPITAL, PARTNERS, load_tasks

HALF = PARTNERS[0]
"""It owns half of all Tasks."""
OWNER = ("owner", f"Organization/{HALF}")
HOT: list[tuple[str, list[tuple[str, str]], str]] = [
    ("Task", [OWNER, ("status", "requested"), ("_sort", "-_lastUpdated"), ("_count", "20")], "task_by_owner_status"),
    (
        "Task",
        [OWNER, ("status", "requested"), ("_lastUpdated", "gt2026-01-01"), ("_sort", "-_lastUpdated")],
        "task_by_owner_status",
    ),
    ("Task", [("patient", "Patient/bench-patient-7")], "task_by_patient"),
    ("Task", [("focus", "ServiceRequest/bench-request-7")], "task_by_focus"),
    (
        "ServiceRequest",
        [("patient", "Patient/bench-patient-7"), ("status", "active")],
        "service_request_by_patient_status",
    ),
    ("Patient", [("identifier", "urn:bench:record|R00000007")], "search_token_value"),
    ("Patient", [("name", "nguyen")], "search_string_value"),
    ("Observation", [("patient", "Patient/bench-patient-7")], "observation_by_patient"),
    ("Condition", [("patient", "Patient/bench-patient-7")], "condition_by_patient"),
]


def write_literal(value: Any) -> str:
    """A value as SQL text."""
    if isinstance(value, list | tuple):
        return f"ARRAY[{', '.join(map(write_literal, value))}]::text[]"
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'::timestamptz"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


async def explain(pool: asyncpg.Pool, statement: str, values: list[Any]) -> str:
    """The generic plan of a statement, as the server's own sessions make it."""
    async with pool.acquire() as connection:
        await connection.execute(f"PREPARE hot AS {statement}")
        try:
            arguments = ", ".join(map(write_literal, values))
            rows = await connection.fetch(f"EXPLAIN EXECUTE hot({arguments})")
        finally:
            await connection.execute("DEALLOCATE hot")
    return "\n".join(row[0] for row in rows)


@pytest.fixture
async def loaded(pool: asyncpg.Pool) -> asyncpg.Pool:
    """A bulk load, and no statistics of it."""
    async with pool.acquire() as connection:
        await load_tasks(connection, 2_000)
    return pool


async def test_hot_queries_go_by_their_index(loaded: asyncpg.Pool) -> None:
    for organization in (HALF, HOSPITAL):
        for resource_type, query, index in HOT:
            plan = parse_search(resource_type, query, Settings(), "http://bench/fhir")
            told = await explain(loaded, *render_search(plan, Scope((organization,))))
            assert index in told, f"{resource_type} {query}:\n{told}"
            assert "Seq Scan" not in told, f"{resource_type} {query}:\n{told}"


async def test_a_read_goes_by_its_key(loaded: asyncpg.Pool) -> None:
    scope = Scope((HALF,))
    told = await explain(loaded, read_statement("Task", shape(scope)), ["bench-task-1", audience_parameter(scope)])
    assert "task_pkey" in told
