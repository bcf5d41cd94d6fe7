"""`handoff db`: the database, brought up to date, checked, indexed again."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from app.core.database import log_risks
from app.core.errors import HandoffError
from app.core.operator_database import application_url, reach_database
from app.core.progress import tell, when_slow
from app.core.settings import Settings
from app.store.audit_months import prune_audit
from app.store.roles import find_role, grant_role

if TYPE_CHECKING:
    from app.interactions.hub import Hub

RETENTIONS = ("audit_retention_days", "history_retention_days", "event_retention_days", "attempt_retention_days")

commands = typer.Typer(no_args_is_help=True, help="The database: bring it up to date, check it, index it again.")


@commands.command()
def upgrade() -> None:
    """Bring the database to the schema of this program."""
    from app.store.migrate import upgrade_database

    settings = Settings()
    with reach_database(settings) as url, when_slow("Bringing the database up to date"):
        upgrade_database(url)
        asyncio.run(grant_role(url, asyncio.run(find_role(application_url(settings, url)))))
    typer.echo("The database is up to date.")


@commands.command()
def prune() -> None:
    """Delete now what is older than the settings say: audit trail, versions, events, attempts."""
    from app.interactions.command import run_command

    settings = Settings()
    days = {name: getattr(settings, name) for name in RETENTIONS if getattr(settings, name) is not None}
    if not days:
        named = ", ".join(f"HANDOFF_{name.upper()}" for name in RETENTIONS)
        raise HandoffError(f"None of {named} is set: everything is kept for good")
    with reach_database(settings) as url, when_slow("Deleting"):
        if settings.audit_retention_days is not None:
            dropped = asyncio.run(prune_audit(url, settings.audit_retention_days))
            typer.echo(f"Dropped {len(dropped)} months{': ' if dropped else ''}{', '.join(dropped)}.")
        for name, number in run_command(settings, prune_tables).items():
            typer.echo(f"Deleted {number} {name}.")


async def prune_tables(hub: "Hub") -> dict[str, int]:
    """How much was deleted of what the role that serves may delete."""
    from app.delivery.retention import delete_attempts, delete_old
    from app.store.history_retention import delete_versions

    settings, stop, deleted = hub.settings, asyncio.Event(), {}
    if settings.history_retention_days is not None:
        deleted["versions"] = await delete_versions(hub.pool, settings.history_retention_days, stop)
    if settings.attempt_retention_days is not None:
        deleted["attempts"] = await delete_attempts(hub.pool, settings.attempt_retention_days, stop)
    if settings.event_retention_days is not None:
        days = settings.event_retention_days, settings.dead_letter_retention_days
        deleted["events"] = await delete_old(hub.pool, *days, stop)
    return deleted


@commands.command()
def check() -> None:
    """Say where the database differs from what this program needs; exit code 1 if it does."""
    from app.store.migrate import check_database

    settings = Settings()
    with reach_database(settings) as url, when_slow("Comparing"):
        differences = asyncio.run(check_database(url))
        for line in asyncio.run(log_risks(application_url(settings, url))):
            tell(f"PostgreSQL's log: {line}")
    for line in differences:
        typer.echo(line)
    if differences:
        raise typer.Exit(1)
    typer.echo("The database is as this program needs it.")


@commands.command()
def reindex(
    types: Annotated[list[str] | None, typer.Argument(metavar="[TYPE]...", help="Resource types; else all.")] = None,
    after: Annotated[str | None, typer.Option(help="Go on after this TYPE/ID, which a stopped run told.")] = None,
) -> None:
    """Extract search values again, after a search parameter was added. The server may run meanwhile."""
    from app.interactions.command import run_command
    from app.store.reindex import reindex_resources

    kind, _, last = (after or "").partition("/")

    def progress(name: str, done: int, total: int, last_id: str) -> None:
        tell(f"{name}: {done} of {total} (to go on from here: --after {name}/{last_id})")

    async def work(hub: "Hub") -> int:
        async with hub.pool.acquire() as connection:
            start = (kind, last) if after else None
            return await reindex_resources(connection, types or [], progress, start, hub.base_url)

    typer.echo(f"Indexed {run_command(Settings(), work)} resources.")
