"""`handoff webhook`: the endpoints that are told of events."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import Organization
from app.core.data_dir import load_secret_key
from app.core.settings import Settings

if TYPE_CHECKING:
    from app.interactions.hub import Hub

commands = typer.Typer(no_args_is_help=True, help="The endpoints that are told of events.")


@commands.command(name="add")
def register_webhook(
    url: Annotated[str, typer.Argument(help="Where events are posted.")],
    organization: Organization,
    events: Annotated[str, typer.Option(help="Which events, comma-separated.")],
) -> None:
    """Register an endpoint for an organisation's events; its secret is printed once."""
    from app.interactions.command import run_command
    from app.interactions.webhooks import add_webhook

    settings = Settings()
    wanted = [each.strip() for each in events.split(",") if each.strip()]

    async def work(hub: "Hub") -> tuple[str, str]:
        return await add_webhook(hub, load_secret_key(settings), url, organization, wanted)

    webhook_id, secret = run_command(settings, work)
    typer.echo(f"Registered as Subscription/{webhook_id}. Its secret, shown this once:")
    typer.echo(secret)
