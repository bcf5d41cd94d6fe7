"""The role that serves adds to the trail and reads it, and can do nothing else to it; its owner drops old months."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from app.core.ids import new_id
from app.core.settings import Settings
from app.store.audit import RECORD, AuditRow, copy_rows
from app.store.audit_months import prune_audit
from app.store.roles import find_role, grant_role
from app.store.steps import run_steps
from tests.api import open_world

ROLE = "handoff_app"

FORBIDDEN = [
    "UPDATE audit SET client = 'x'",
    "UPDATE audit SET reason = reason WHERE false",
    "DELETE FROM audit",
    "DELETE FROM audit WHERE false",
    "TRUNCATE audit",
    "DROP TABLE audit",
    "ALTER TABLE audit ADD COLUMN x text",
    "ALTER TABLE audit DETACH PARTITION audit_month.other",
    "INSERT INTO audit SELECT * FROM audit ON CONFLICT (recorded, id) DO UPDATE SET client = 'x'",
    "MERGE INTO audit a USING audit b ON a.id = b.id WHEN MATCHED THEN DELETE",
    "SELECT * FROM audit FOR UPDATE",
    "CREATE RULE r AS ON INSERT TO audit DO INSTEAD NOTHING",
    "CREATE TRIGGER t BEFORE INSERT ON audit EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "DELETE FROM audit_month.other",
    "SELECT * FROM audit_month.other",
    "DROP SCHEMA audit_month CASCADE",
    "CREATE TABLE mine (x int)",
    "CREATE OR REPLACE FUNCTION make_audit_months() RETURNS void LANGUAGE sql AS ''",
    "UPDATE alembic_version SET version_num = 'x'",
    "DROP TABLE patient",
    "SET ROLE handoff",
]


@pytest.fixture
async def serving(database_url: str) -> str:
    """The address of this test's database for the role that serves."""
    url = database_url.replace("//handoff@", f"//{ROLE}@", 1)
    if url == database_url:
        pytest.skip("a PostgreSQL of one's own has roles of its own")
    await grant_role(database_url, ROLE)
    return url


def row_of(recorded: datetime) -> AuditRow:
    who = ("client", "org", "admin", None)
    return AuditRow(recorded, new_id(), *who, "read", "Task", "x", None, None, 200, None, 0, [])


async def test_the_role_that_serves_only_adds(serving: str) -> None:
    connection = await asyncpg.connect(serving)
    try:
        await run_steps(connection, [(RECORD, row_of(datetime.now(UTC)))])
        await copy_rows(connection, [row_of(datetime.now(UTC)), row_of(datetime(1999, 1, 1, tzinfo=UTC))])
        for statement in FORBIDDEN:
            with pytest.raises(asyncpg.PostgresError) as refusal:
                await connection.execute(statement)
            assert refusal.value.sqlstate in ("42501", "0A000"), (statement, refusal.value)
        assert await connection.fetchval("SELECT count(*) FROM audit") == 3
    finally:
        await connection.close()


async def test_the_server_needs_no_more(settings: Settings, serving: str) -> None:
    assert await find_role(serving) == ROLE
    async with open_world(settings.model_copy(update={"database_url": serving})) as world:
        hospital = await world.caller("hospital")
        patient = await hospital.create({"resourceType": "Patient", "gender": "female"})
        assert (await hospital.update({**patient, "gender": "male"})).status_code == 200
        assert await hospital.find("Patient?gender=male&_lastUpdated=gt2000") == [f"Patient/{patient['id']}"]
        assert (await hospital.send("DELETE", f"/Patient/{patient['id']}")).status_code == 204
        await world.pool.execute("SELECT make_audit_months()")


async def test_old_months_go_and_no_others(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        now = datetime.now(UTC)
        await connection.execute(
            """CREATE TABLE audit_month.m2001_02 PARTITION OF audit
            FOR VALUES FROM ('2001-02-01 00:00+00') TO ('2001-03-01 00:00+00')"""
        )
        moments = [datetime(2001, 2, 3, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC), now - timedelta(days=1), now]
        await copy_rows(connection, [row_of(each) for each in moments])
        assert await prune_audit(database_url, 400) == ["m2001_02"]
        assert await prune_audit(database_url, 400) == []
        kept = await connection.fetch("SELECT recorded FROM audit ORDER BY 1")
        assert [row[0] > now - timedelta(days=2) for row in kept] == [True, True]
    finally:
        await connection.close()


async def test_a_month_that_comes_late_takes_its_rows(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        now = datetime.now(UTC)
        month = f"m{now:%Y_%m}"
        await connection.execute(f"DROP TABLE audit_month.{month}")
        await copy_rows(connection, [row_of(now)])
        assert await connection.fetchval("SELECT count(*) FROM audit_month.other") == 1
        await connection.execute("SELECT make_audit_months()")
        assert await connection.fetchval("SELECT count(*) FROM audit_month.other") == 0
        assert await connection.fetchval(f"SELECT count(*) FROM audit_month.{month}") == 1
    finally:
        await connection.close()
