"""`handoff network`: which organisations a coordinator sees, and for which it acts."""

from typing import Annotated

import typer

from app.cli.client import run
from app.cli.text import moment, table
from app.core.settings import Settings

commands = typer.Typer(no_args_is_help=True, help="Which organisations a coordinator sees, and for which it acts.")
Coordinator = Annotated[str, typer.Option(help="Whose network it is, as Organization/ID.")]
Member = Annotated[str, typer.Option(help="Who is in it, as Organization/ID.")]


@commands.command()
def add(
    coordinator: Coordinator,
    member: Member,
    acts: Annotated[bool, typer.Option("--acts", help="It also creates and changes on the member's behalf.")] = False,
) -> None:
    """Take an organisation into a coordinator's network, or change what may be done for it."""
    from app.interactions import networks
    from app.interactions.operate import OPERATOR

    run(lambda hub: networks.put_membership(hub, OPERATOR, coordinator, member, acts=acts))
    typer.echo(f"{coordinator} {'sees and acts for' if acts else 'sees'} {member} from now on.")


@commands.command(name="list")
def show_networks() -> None:
    """List who is in whose network."""
    from app.interactions import networks
    from app.interactions.operate import OPERATOR

    settings = Settings()
    rows = [
        (
            f"Organization/{each.coordinator}",
            "sees, acts for" if each.acts else "sees",
            f"Organization/{each.member}",
            moment(each.since, settings),
        )
        for each in run(lambda hub: networks.list_memberships(hub, OPERATOR))
    ]
    head = ("COORDINATOR", "MAY", "MEMBER", "SINCE")
    for line in table(head, rows) if rows else ["There is no network."]:
        typer.echo(line)


@commands.command()
def remove(coordinator: Coordinator, member: Member) -> None:
    """Take an organisation out of a coordinator's network, within 5 seconds."""
    from app.interactions import networks
    from app.interactions.operate import OPERATOR

    run(lambda hub: networks.remove_membership(hub, OPERATOR, coordinator, member))
    typer.echo(f"{member} is out of the network of {coordinator}.")
