"""`handoff webhook`: the endpoints that are told of events."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import Organization, WebhookId
from app.cli.text import moment, table
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
    reason_text: Annotated[
        bool, typer.Option("--reason-text", help="Tell the words of a statusReason too, where no label forbids them.")
    ] = False,
) -> None:
    """Register an endpoint for an organisation's events; its secret is printed once."""
    from app.interactions.command import run_command
    from app.interactions.operate import OPERATOR
    from app.interactions.webhooks import add_webhook

    settings = Settings()
    wanted = [each.strip() for each in events.split(",") if each.strip()]

    async def work(hub: "Hub") -> tuple[str, str]:
        key = load_secret_key(settings)
        return await add_webhook(hub, OPERATOR, key, url, organization, wanted, reason_text=reason_text)

    webhook_id, secret = run_command(settings, work)
    typer.echo(f"Registered as Subscription/{webhook_id}. Its secret, shown this once:")
    typer.echo(secret)


@commands.command(name="list")
def show_webhooks() -> None:
    """List the registered endpoints."""
    from app.interactions.command import run_command
    from app.interactions.deliveries import read_states
    from app.interactions.operate import OPERATOR

    settings = Settings()
    found, _ = run_command(settings, lambda hub: read_states(hub, OPERATOR))
    head = ("WEBHOOK", "STATE", "ORGANIZATION", "EVENTS", "OLD SECRET GOOD UNTIL", "URL")
    rows = [
        (
            each.id,
            each.status,
            f"Organization/{each.organization}",
            ",".join(each.topics) + (" with reason text" if each.reason_text else ""),
            moment(each.previous_until, settings),
            each.url,
        )
        for each in found
    ]
    for line in table(head, rows) if rows else ["There is no webhook."]:
        typer.echo(line)


@commands.command(name="secret")
def rotate(
    webhook: WebhookId,
    grace: Annotated[
        float, typer.Option(min=0, max=8_760, help="Hours for which messages are signed with the old one too.")
    ] = 24,
) -> None:
    """Give a webhook a new secret, printed once; the old one is good for a while more."""
    from app.interactions.command import run_command
    from app.interactions.operate import OPERATOR
    from app.interactions.webhooks import change_secret

    settings = Settings()
    key = load_secret_key(settings)
    secret = run_command(settings, lambda hub: change_secret(hub, OPERATOR, key, webhook, grace * 3_600))
    old = f"good for {grace:g} h more" if grace else "good no more"
    typer.echo(f"The new secret of {webhook}, shown this once; the old one is {old}:")
    typer.echo(secret)


@commands.command(name="rate")
def limit_rate(
    webhook: WebhookId,
    most: Annotated[
        float | None, typer.Argument(metavar="[PER_SECOND]", min=0.001, help="Without it, HANDOFF_WEBHOOK_RATE holds.")
    ] = None,
) -> None:
    """Send a webhook no more than so many deliveries a second, all workers together."""
    from app.interactions.command import run_command
    from app.interactions.operate import OPERATOR
    from app.interactions.webhooks import change_rate

    run_command(Settings(), lambda hub: change_rate(hub, OPERATOR, webhook, most))
    typer.echo(f"{webhook} gets {f'at most {most:g}' if most else 'as many as the settings say,'} a second.")


@commands.command()
def remove(
    webhook: WebhookId,
    drop: Annotated[bool, typer.Option("--drop", help="Also where deliveries are queued for it.")] = False,
) -> None:
    """Take an endpoint away, with the record of its deliveries."""
    from app.interactions.command import run_command
    from app.interactions.operate import OPERATOR
    from app.interactions.webhooks import remove_webhook

    dropped = run_command(Settings(), lambda hub: remove_webhook(hub, OPERATOR, webhook, drop=drop))
    typer.echo(f"{webhook} is removed{f', and {dropped} queued deliveries with it' if dropped else ''}.")
