"""Takes a backup of the database and what must be known beside it, checks it, and loads it into an empty database."""

import asyncio
import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import asyncpg
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from app.core.database import Connection
from app.core.errors import HandoffError
from app.core.postgres_tools import dump_database, load_dump, read_dump
from app.store.migrate import build_config

FORMAT = 1
DUMP, MANIFEST = "database.dump", "manifest.json"
PIECE = 1 << 20
TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables t
WHERE schemaname IN ('public', 'audit_month') ORDER BY 1
"""
MENDED = ("REVOKE ALL ON FUNCTION make_audit_months() FROM PUBLIC", "SELECT make_audit_months()", "ANALYZE")
"""What a dump without privileges and statistics leaves out."""


@dataclass(frozen=True)
class Manifest:
    """What is known of a backup.

    ``rows`` counts each table's; ``key`` is the fingerprint of the secret key, which is not in the backup; ``settings``
    are the names of those that were set.
    """

    format: int
    program: str
    revision: str
    postgresql: str
    taken: str
    sha256: str
    rows: dict[str, int]
    key: str
    settings: list[str]


def take_backup(url: str, directory: Path, key: str, settings: list[str]) -> Manifest:
    """Writes a new directory, whole or not at all, while the server may run. ``url`` is the owner's.

    Raises HandoffError where there is such a directory, and where the database is not of this program.
    """
    if directory.exists():
        raise HandoffError(f"{directory} is there already; it was left as it is")
    making = directory.with_name(f"{directory.name}.partial")
    if making.exists():
        raise HandoffError(f"{making} is what a backup has left that was stopped, or one under way: take it away first")
    making.mkdir(mode=0o700, parents=True)
    facts, rows = asyncio.run(dump_snapshot(url, making / DUMP))
    read_dump(making / DUMP)
    digest = digest_file(making / DUMP)
    manifest = Manifest(FORMAT, version("warm-handoff"), *facts, digest, rows, key, settings)
    (making / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    making.rename(directory)
    return manifest


async def dump_snapshot(url: str, file: Path) -> tuple[tuple[str, str, str], dict[str, int]]:
    """(revision, PostgreSQL's version, time) and the rows of each table, as the dump has them.

    One snapshot serves for both: so a restore knows that nothing is missing.
    """
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
                raise HandoffError("The database holds no revision: it is not this program's")
            [facts] = await connection.fetch(
                "SELECT version_num, current_setting('server_version'), clock_timestamp() FROM alembic_version"
            )
            rows = await count_rows(connection)
            await asyncio.to_thread(dump_database, url, snapshot, file)
    finally:
        await connection.close()
    return (facts[0], facts[1], facts[2].isoformat(timespec="seconds")), rows


async def count_rows(connection: Connection) -> dict[str, int]:
    """How many rows each of our tables has."""
    names = [row[0] for row in await connection.fetch(TABLES)]
    return {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in names}


def digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_backup(directory: Path) -> Manifest:
    """What a backup says of itself, once it was read to its end.

    Raises HandoffError where it is none, is damaged, or is of a later program than this one.
    """
    try:
        manifest = Manifest(**json.loads((directory / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError):
        raise HandoffError(f"{directory} is no backup: it needs {MANIFEST} and {DUMP}") from None
    if manifest.format != FORMAT or not knows(manifest.revision):
        raise HandoffError(f"The backup is of program {manifest.program}: restore it with that one or a later one")
    try:
        found = digest_file(directory / DUMP)
    except OSError as error:
        raise HandoffError(f"{directory / DUMP} cannot be read: {error.strerror}") from error
    if found != manifest.sha256:
        raise HandoffError(f"{directory / DUMP} is not what was written: it was damaged or changed")
    read_dump(directory / DUMP)
    return manifest


def knows(revision: str) -> bool:
    """Whether this program's migrations lead on from a revision."""
    try:
        return ScriptDirectory.from_config(build_config("")).get_revision(revision) is not None
    except CommandError:
        return False


async def check_empty(url: str) -> None:
    """Raises HandoffError where a database holds any table of ours, or somebody else's."""
    connection = await asyncpg.connect(url)
    try:
        names = [row[0] for row in await connection.fetch(TABLES)]
    finally:
        await connection.close()
    if names:
        raise HandoffError(
            f"The database is not empty (it holds {names[0]} and {len(names) - 1} more tables); it was left as it is. "
            "Restore into a new one: another HANDOFF_DATABASE_URL, or another HANDOFF_DATA_DIR"
        )


async def load_backup(url: str, directory: Path, manifest: Manifest) -> None:
    """Loads a backup that was checked into an empty database, as its owner. Raises HandoffError."""
    await check_empty(url)
    await asyncio.to_thread(load_dump, url, directory / DUMP)
    connection = await asyncpg.connect(url)
    try:
        found = await count_rows(connection)
        missing = {name for name, number in manifest.rows.items() if found.get(name) != number}
        if missing:
            raise HandoffError(
                f"{len(missing)} tables do not hold what the backup counts: {', '.join(sorted(missing))}"
            )
        for statement in MENDED:
            await connection.execute(statement)
    finally:
        await connection.close()


async def publish_again(url: str) -> None:
    """Raises the mark of polls to the clock: nothing is stamped below what pollers were told before."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT publish_mark()")
    finally:
        await connection.close()
