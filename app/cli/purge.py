"""`handoff purge`: lawful erasure of one patient."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from app.core.operator_database import reach_database
from app.core.progress import when_slow
from app.core.settings import Settings

if TYPE_CHECKING:
    from app.interactions.purge import Erasure

KEPT_ELSEWHERE = """\
The audit trail keeps that it was done, with references alone. Backups hold the erased until they expire; whoever read
it may hold copies of their own: tell them."""


def purge(
    patient: Annotated[str, typer.Argument(metavar="Patient/ID", help="Whom to erase.")],
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it, only say what would be erased.")] = False,
) -> None:
    """Erase a patient for good: every version of all that is about them, its documents, events and deliveries."""
    from app.interactions.command import run_command
    from app.interactions.purge import plan_purge, purge_patient
    from app.store.erasure import clean_tables

    settings = Settings()
    with reach_database(settings) as url:
        if not yes:
            found = run_command(settings, lambda hub: plan_purge(hub, patient))
            tell(found, "Would be erased")
            typer.echo("Nothing is erased yet: give the command again with --yes.")
            return
        found = run_command(settings, lambda hub: purge_patient(hub, patient))
        with when_slow("Cleaning the tables"):
            asyncio.run(clean_tables(url, found.count()))
    tell(found, "Erased")
    typer.echo(KEPT_ELSEWHERE)


def tell(found: "Erasure", done: str) -> None:
    """What is erased, who read it, and what stays and names it."""
    counts = ", ".join(f"{number} {name}" for name, number in found.count().items())
    past = f"; {len(found.versions)} versions of what is about somebody else by now" if found.versions else ""
    typer.echo(f"{done}: {counts or 'no whole resource'}{past}; every version, with events, deliveries and packages.")
    if found.told:
        typer.echo(f"Organisations that could read of it: {', '.join(sorted(found.told))}")
    for reference, named, now in sorted(found.left):
        typer.echo(f"Stays: {reference} {'names' if now else 'named, in a version of the past,'} {named}")
