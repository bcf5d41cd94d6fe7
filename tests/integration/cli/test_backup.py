"""`handoff backup` and `handoff restore`: all comes back, nothing is overwritten, and what is damaged is refused."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from app.core.embedded_postgres import start_postgres
from app.core.postgres_tools import split_password
from app.store.backup import DUMP, MANIFEST, TABLES
from app.store.migrate import check_database
from tests.api import World
from tests.conftest import name_database, swap_database
from tests.integration.cli.conftest import Attempt, Command
from tests.integration.delivery.test_delivery import make_webhook
from tests.integration.interactions.samples import move, refer

PRIVILEGES = "SELECT proname, proacl::text LIKE '%{=X/%' FROM pg_proc WHERE proname LIKE '%audit_months%'"
MARKS = "SELECT (SELECT last_value FROM published_mark), (SELECT last_value FROM reserved_mark)"


@pytest.fixture
async def empty(postgres_url: str) -> AsyncIterator[str]:
    """The address of an empty database."""
    name = name_database("restored")
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield swap_database(postgres_url, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
async def written(world: World) -> World:
    """A referral that has moved, a document, a webhook whose deliveries wait."""
    hospital, ngo = await world.caller("hospital"), await world.caller("ngo", "provider")
    await make_webhook(world.pool, world.settings, "http://127.0.0.1:1/")
    _, _, given = await refer(hospital, description="Bữa ăn \\ 'x' \t", priority="asap")
    assert (await move(ngo, given, "accepted")).status_code == 200
    assert (await hospital.send("POST", "/Binary", os.urandom(500_000), Content_Type="image/png")).status_code == 201
    assert (await hospital.get("/Task?_lastUpdated=gt2020-01-01")).status_code == 200
    await world.hub.trail.flush()
    return world


async def read_all(url: str) -> dict[str, list[str]]:
    """Every row of every table, as text; what the commands themselves record is left out."""
    connection = await asyncpg.connect(url)
    try:
        found = {}
        for name in [row[0] for row in await connection.fetch(TABLES)]:
            rows = await connection.fetch(f"SELECT t::text FROM {name} t ORDER BY 1")
            found[name] = [row[0] for row in rows if "handoff " not in row[0]]
        return found
    finally:
        await connection.close()


async def ask(url: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_all_comes_back(
    written: World, handoff: Command, attempt: Attempt, empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, place = written.settings.database_url or "", tmp_path / "backup"
    before, [marks] = await read_all(url), await ask(url, MARKS)
    said = await handoff("backup", str(place))
    assert "fingerprint" in said
    assert "HANDOFF_SECRET_KEY" in said
    assert place.stat().st_mode & 0o077 == 0
    assert sorted(each.name for each in place.iterdir()) == [DUMP, MANIFEST]
    assert (written.settings.secret_key or "x") not in (place / MANIFEST).read_text()
    monkeypatch.setenv("HANDOFF_DATABASE_URL", empty)
    monkeypatch.setenv("HANDOFF_SECRET_KEY", "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q=")
    done = await attempt("restore", str(place))
    assert "every table holds what the backup counts" in done.stdout
    assert "The secret key here is another one" in done.stderr
    assert await read_all(empty) == before
    assert await check_database(empty) == []
    [after] = await ask(empty, MARKS)
    assert all(new >= old for new, old in zip(after, marks, strict=True))  # type: ignore[operator]
    assert await ask(empty, PRIVILEGES) == await ask(url, PRIVILEGES) == [("make_audit_months", False)]
    assert len(await ask(empty, "SELECT 1 FROM audit WHERE interaction IN ('handoff backup', 'handoff restore')")) == 2


async def test_nothing_is_overwritten(written: World, handoff: Command, attempt: Attempt, tmp_path: Path) -> None:
    url, place = written.settings.database_url or "", tmp_path / "backup"
    await handoff("backup", str(place))
    kept = (place / MANIFEST).read_bytes()
    assert (await attempt("backup", str(place))).exit_code == 1
    assert (place / MANIFEST).read_bytes() == kept
    before = await read_all(url)
    refused = await attempt("restore", str(place))
    assert "not empty" in str(refused.exception)
    assert await read_all(url) == before


async def test_what_is_damaged_is_refused(
    written: World, handoff: Command, attempt: Attempt, empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "backup"
    await handoff("backup", str(place))
    assert "of 20" in await handoff("restore", "--check", str(place))
    monkeypatch.setenv("HANDOFF_DATABASE_URL", empty)
    dump = (place / DUMP).read_bytes()
    middle = len(dump) // 2
    (place / DUMP).write_bytes(dump[:middle] + bytes([dump[middle] ^ 1]) + dump[middle + 1 :])
    assert "damaged" in str((await attempt("restore", str(place))).exception)
    (place / DUMP).write_bytes(dump)
    manifest = (place / MANIFEST).read_text()
    (place / MANIFEST).write_text(manifest.replace('"revision": "', '"revision": "9'))
    assert "a later one" in str((await attempt("restore", str(place))).exception)
    (place / MANIFEST).unlink()
    assert "is no backup" in str((await attempt("restore", str(place))).exception)
    assert await read_all(empty) == {}


@pytest.mark.soak
async def test_into_an_embedded_database_and_with_another_key(
    written: World, handoff: Command, attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, data_dir = tmp_path / "backup", tmp_path / "new"
    await handoff("backup", str(place))
    monkeypatch.delenv("HANDOFF_DATABASE_URL")
    monkeypatch.delenv("HANDOFF_SECRET_KEY")
    monkeypatch.setenv("HANDOFF_DATA_DIR", str(data_dir))
    result = await attempt("restore", str(place))
    assert result.exit_code == 0, result.exception
    assert "There was no secret key here" in result.stderr
    assert "HANDOFF_DATABASE_URL" in result.stderr
    running = start_postgres(data_dir)
    try:
        assert await check_database(running.url) == []
        assert await ask(running.url, "SELECT count(*) FROM task") == [(1,)]
    finally:
        running.destroy()


@pytest.mark.parametrize(
    ("url", "place", "password"),
    [
        ("postgresql://u:p%40s@h:5/d?sslmode=require", "postgresql://u@h:5/d?sslmode=require", "p@s"),
        ("postgresql://u@/d?host=%2Ftmp&password=x%26", "postgresql://u@/d?host=%2Ftmp", "x&"),
        ("postgresql://h/d", "postgresql://h/d", None),
    ],
)
def test_no_password_is_an_argument(url: str, place: str, password: str | None) -> None:
    assert split_password(url) == (place, password)
