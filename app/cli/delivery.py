"""`handoff delivery`: what is under way to the webhooks, what was given up, and what to do about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import WebhookId
from app.cli.text import moment, plain, read_moment, span, table
from app.core.settings import Settings

if TYPE_CHECKING:
    from app.delivery.overview import Kind, Undelivered
    from app.interactions.hub import Hub

OfWebhook = Annotated[str | None, typer.Option("--webhook", help="Of this webhook alone.")]
Most = Annotated[int, typer.Option("--limit", min=1, help="Not more than so many, the newest first.")]
Answers = Annotated[bool, typer.Option("--answers", help="Show what the receiver answered, too.")]

commands = typer.Typer(no_args_is_help=True, help="What is under way to the webhooks; sending again, pausing.")


@commands.command()
def status() -> None:
    """Show each webhook: what is queued, delivered, failed, dead, and since when it fails."""
    from app.interactions.command import run_command
    from app.interactions.deliveries import read_states
    from app.interactions.operate import OPERATOR

    settings = Settings()
    states, waiting = run_command(settings, lambda hub: read_states(hub, OPERATOR))
    head = ("WEBHOOK", "STATE", "QUEUED", "OLDEST", "DELIVERED", "FAILED ATTEMPTS", "DEAD", "FAILING SINCE", "REASON")
    rows = [
        (
            each.id,
            each.status if each.resting_until is None else f"{each.status}, resting",
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
    webhook: OfWebhook = None,
    most: Most = 50,
    answers: Answers = False,
) -> None:
    """List the dead letters, each with the reason of every failed attempt."""
    if list_kind("dead", webhook, most, answers=answers):
        typer.echo("`handoff delivery replay ID` sends one again.")
    else:
        typer.echo("There is no dead letter.")


@commands.command()
def blocked(
    webhook: OfWebhook = None,
    most: Most = 50,
    answers: Answers = False,
) -> None:
    """List what has been tried for over 15 minutes and holds up its referral; it is tried again by the schedule."""
    if not list_kind("blocked", webhook, most, answers=answers):
        typer.echo("Nothing is blocked.")


def list_kind(kind: "Kind", webhook: str | None, most: int, *, answers: bool) -> int:
    """Prints the deliveries with their failed attempts; how many."""
    from app.interactions.command import run_command
    from app.interactions.deliveries import read_undelivered
    from app.interactions.operate import OPERATOR

    settings = Settings()

    async def work(hub: "Hub") -> "list[Undelivered]":
        return await read_undelivered(hub, OPERATOR, kind, webhook_id=webhook, before=None, most=most + 1)

    found = run_command(settings, work)
    for each in found[:most]:
        typer.echo(f"{each.id}  webhook {each.webhook_id}, event {each.number}  {each.topic} of {each.referral}")
        fate = f"given up {moment(each.ended_at, settings)}"
        if each.ended_at is None:
            fate = f"tried again {moment(each.due_at, settings)}"
        typer.echo(f"    {fate} after {each.count} attempts")
        for attempt in each.attempts:
            reason = attempt.reason or "no result: it ended with its worker"
            if attempt.status is None or attempt.status >= 300:
                typer.echo(f"    {attempt.number}. {moment(attempt.at, settings)}  {plain(reason)}")
            if answers and attempt.answer:
                typer.echo("\n".join(f"       | {line}" for line in plain(attempt.answer).splitlines()))
    if len(found) > most:
        typer.echo(f"There are more; --limit shows more than {most}.")
    return len(found)


@commands.command()
def replay(
    delivery: Annotated[
        str | None, typer.Argument(metavar="[DELIVERY]", help="One delivery: its id, or its webhook-id (evt_ID_...).")
    ] = None,
    webhook: Annotated[str | None, typer.Option(help="Those of this webhook, from a number or a time on.")] = None,
    from_number: Annotated[int | None, typer.Option(min=1, help="From this eventNumber on.")] = None,
    since: Annotated[str | None, typer.Option(help="Events from this time on, such as 2026-11-01T08:00.")] = None,
    delivered: Annotated[bool, typer.Option("--delivered", help="Also what was delivered already.")] = False,
) -> None:
    """Send dead and withdrawn deliveries again, under the same webhook-id, in order within a referral."""
    from app.delivery.replay import Replay
    from app.interactions import deliveries
    from app.interactions.command import run_command
    from app.interactions.operate import OPERATOR

    settings = Settings()
    at = read_moment(since, settings) if since else None
    if since and at is None:
        raise typer.BadParameter("give an ISO 8601 time", param_hint="--since")
    number = (delivery or "").removeprefix("evt_").partition("_")[0]
    if delivery and not (number.isascii() and number.isdigit() and len(number) < 19):
        raise typer.BadParameter("a delivery's id is a number", param_hint="DELIVERY")
    ranged = bool(webhook) and (from_number is not None or at is not None)
    if bool(delivery) == ranged or (delivery and (webhook or from_number is not None or since)):
        raise typer.BadParameter("give a delivery, or --webhook with --from-number or --since")
    wanted = Replay(int(number) if delivery else None, webhook, from_number, at, delivered)

    done = run_command(settings, lambda hub: deliveries.replay(hub, OPERATOR, wanted))
    typer.echo(f"Sent again: {done.again}. Due at once instead of later: {done.hurried}.")
    if done.stopped:
        name, status = done.stopped
        typer.echo(f"Webhook {name} is {status}: nothing goes before `handoff delivery resume {name}`.")


@commands.command()
def pause(webhook: WebhookId) -> None:
    """Send a webhook nothing for a while; what happens meanwhile is queued for it."""
    from app.interactions import deliveries
    from app.interactions.command import run_command
    from app.interactions.operate import OPERATOR

    run_command(Settings(), lambda hub: deliveries.pause(hub, OPERATOR, webhook))
    typer.echo(f"{webhook} is paused; attempts under way come to their end.")


@commands.command()
def resume(webhook: WebhookId) -> None:
    """Send to a webhook again that was paused, is in error, or is off; what is queued goes at once."""
    from app.interactions import deliveries
    from app.interactions.command import run_command
    from app.interactions.operate import OPERATOR

    state = run_command(Settings(), lambda hub: deliveries.resume(hub, OPERATOR, webhook))
    typer.echo(f"{webhook} is {state.status}.")
