"""`handoff delivery`: what is under way to the webhooks, what was given up, and what to do about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import WebhookId
from app.cli.text import moment, plain, read_moment, span, table
from app.core.settings import Settings

if TYPE_CHECKING:
    from app.delivery.overview import DeadLetter, WebhookState
    from app.interactions.hub import Hub

commands = typer.Typer(no_args_is_help=True, help="What is under way to the webhooks; sending again, pausing.")


@commands.command()
def status() -> None:
    """Show each webhook: what is queued, delivered, failed, dead, and since when it fails."""
    from app.delivery.overview import list_states
    from app.interactions.command import run_command

    settings = Settings()

    async def work(hub: "Hub") -> "tuple[list[WebhookState], int]":
        async with hub.pool.acquire() as connection:
            return await list_states(connection)

    states, waiting = run_command(settings, work)
    head = ("WEBHOOK", "STATE", "QUEUED", "OLDEST", "DELIVERED", "FAILED ATTEMPTS", "DEAD", "FAILING SINCE", "REASON")
    rows = [
        (
            each.id,
            each.status,
            each.queued,
            span(each.oldest),
            each.delivered,
            each.failed,
            each.dead,
            moment(each.failing_since, settings),
            each.error or "-",
        )
        for each in states
    ]
    for line in table(head, rows) if rows else ["There is no webhook."]:
        typer.echo(line)
    if waiting:
        typer.echo(f"{waiting} events wait for the dispatcher; `handoff serve` and `handoff worker` are one.")


@commands.command()
def dead(
    webhook: Annotated[str | None, typer.Option(help="Of this webhook alone.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="Not more than so many, the newest first.")] = 50,
    answers: Annotated[bool, typer.Option("--answers", help="Show what the receiver answered, too.")] = False,
) -> None:
    """List the dead letters, each with the reason of its last attempt."""
    from app.delivery.overview import list_dead
    from app.interactions.command import run_command

    settings = Settings()

    async def work(hub: "Hub") -> "list[DeadLetter]":
        async with hub.pool.acquire() as connection:
            return await list_dead(connection, webhook, most)

    letters = run_command(settings, work)
    if not letters:
        typer.echo("There is no dead letter.")
        return
    for each in letters:
        typer.echo(f"{each.id}  webhook {each.webhook_id}, event {each.number}  {each.topic} of {each.referral}")
        ended = moment(each.ended_at, settings)
        typer.echo(f"    given up {ended} after {each.attempts} attempts: {plain(each.reason or 'no reason is known')}")
        if answers and each.answer:
            typer.echo("\n".join(f"    | {line}" for line in plain(each.answer).splitlines()))
    typer.echo("`handoff delivery replay ID` sends one again.")


@commands.command()
def replay(
    delivery: Annotated[
        str | None, typer.Argument(metavar="[DELIVERY]", help="One delivery: its id, or its webhook-id (evt_ID).")
    ] = None,
    webhook: Annotated[str | None, typer.Option(help="Those of this webhook, from a number or a time on.")] = None,
    from_number: Annotated[int | None, typer.Option(min=1, help="From this eventNumber on.")] = None,
    since: Annotated[str | None, typer.Option(help="Events from this time on, such as 2026-11-01T08:00.")] = None,
    delivered: Annotated[bool, typer.Option("--delivered", help="Also what was delivered already.")] = False,
) -> None:
    """Send dead and withdrawn deliveries again, under the same webhook-id, in order within a referral."""
    from app.delivery.replay import Replay, find_stopped
    from app.interactions import deliveries
    from app.interactions.command import run_command

    settings = Settings()
    at = read_moment(since, settings) if since else None
    if since and at is None:
        raise typer.BadParameter("give an ISO 8601 time", param_hint="--since")
    number = (delivery or "").removeprefix("evt_")
    if delivery and not (number.isascii() and number.isdigit() and len(number) < 19):
        raise typer.BadParameter("a delivery's id is a number", param_hint="DELIVERY")
    ranged = bool(webhook) and (from_number is not None or at is not None)
    if bool(delivery) == ranged or (delivery and (webhook or from_number is not None or since)):
        raise typer.BadParameter("give a delivery, or --webhook with --from-number or --since")
    wanted = Replay(int(number) if delivery else None, webhook, from_number, at, delivered)

    async def work(hub: "Hub") -> tuple[tuple[int, int], tuple[str, str] | None]:
        counts = await deliveries.replay(hub, wanted)
        async with hub.pool.acquire() as connection:
            return counts, await find_stopped(connection, wanted)

    (again, hurried), stopped = run_command(settings, work)
    typer.echo(f"Sent again: {again}. Due at once instead of later: {hurried}.")
    if stopped:
        typer.echo(f"Webhook {stopped[0]} is {stopped[1]}: nothing goes before `handoff delivery resume {stopped[0]}`.")


@commands.command()
def pause(webhook: WebhookId) -> None:
    """Send a webhook nothing for a while; what happens meanwhile is queued for it."""
    from app.interactions import deliveries
    from app.interactions.command import run_command

    run_command(Settings(), lambda hub: deliveries.pause(hub, webhook))
    typer.echo(f"{webhook} is paused; attempts under way come to their end.")


@commands.command()
def resume(webhook: WebhookId) -> None:
    """Send to a webhook again that was paused, is in error, or is off; what is queued goes at once."""
    from app.interactions import deliveries
    from app.interactions.command import run_command

    run_command(Settings(), lambda hub: deliveries.resume(hub, webhook))
    typer.echo(f"{webhook} is active.")
