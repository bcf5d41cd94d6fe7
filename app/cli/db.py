"""`handoff db`: the database, brought up to date, checked, indexed again."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from app.core.errors import HandoffError
from app.core.operator_database import application_url, reach_database
from app.core.progress import tell, when_slow
from app.core.settings import Settings
from app.store.audit_months import prune_audit
from app.store.migrate import check_database, upgrade_database
from app.store.roles import find_role, grant_role

if TYPE_CHECKING:
    from app.interactions.hub import Hub

commands = typer.Typer(no_args_is_help=True, help="The database: bring it up to date, check it, index it again.")


@commands.command()
def upgrade() -> None:
    """Bring the database to the schema of this program."""
    settings = Settings()
    with reach_database(settings) as url, when_slow("Bringing the database up to date"):
        upgrade_database(url)
        asyncio.run(grant_role(url, asyncio.run(find_role(application_url(settings, url)))))
    typer.echo("The database is up to date.")


@commands.command()
def prune() -> None:
    """Drop the months of the audit trail that ended before HANDOFF_AUDIT_RETENTION_DAYS."""
    settings = Settings()
    if settings.audit_retention_days is None:
        raise HandoffError("HANDOFF_AUDIT_RETENTION_DAYS is not set: the audit trail is kept for good")
    with reach_database(settings) as url, when_slow("Dropping"):
        dropped = asyncio.run(prune_audit(url, settings.audit_retention_days))
    typer.echo(f"Dropped {len(dropped)} months{': ' if dropped else ''}{', '.join(dropped)}.")


@commands.command()
def check() -> None:
    """Say where the database differs from what this program needs; exit code 1 if it does."""
    with reach_database(Settings()) as url, when_slow("Comparing"):
        differences = asyncio.run(check_database(url))
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
