"""`handoff demo`."""

from pathlib import Path
from typing import Annotated

import typer

from app.core.errors import HandoffError


def demo(
    source: Annotated[
        Path | None, typer.Option("--from", help="Play the referrals in a directory of FHIR JSON.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the wire.")] = False,
) -> None:
    """Play a referral, from the hospital to the partner and back, on a server of its own."""
    from app.demo.scenarios import our_scenario, read_scenarios
    from app.demo.stage import perform

    scenarios, left_out = read_scenarios(source) if source else ([our_scenario()], [])
    for line in left_out:
        typer.echo(f"Left out: {line}.")
    if not scenarios:
        raise HandoffError(f"{source} holds no referral that can be played")
    if not perform(scenarios, typer.echo, typer.echo if verbose else lambda _: None):
        raise typer.Exit(1)
