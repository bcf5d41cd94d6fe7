"""`handoff audit`: who did what, when, with what outcome."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli.text import moment, read_moment, table
from app.core.settings import Settings

if TYPE_CHECKING:
    from app.interactions.hub import Hub
    from app.store.audit import AuditRow

OUTCOMES = {"success": "0", "refused": "4", "failed": "8,12"}
HEAD = ("WHEN", "CLIENT", "ORGANIZATION", "FROM", "WHAT", "OF", "STATUS", "WHY", "GIVEN")
SHOWN = 3
"""References to what was given out that a line of the table shows."""


def audit(
    client: Annotated[str | None, typer.Option(help="By this client; `operator` is who gives commands here.")] = None,
    organization: Annotated[str | None, typer.Option(help="For this organisation, as Organization/ID.")] = None,
    entity: Annotated[str | None, typer.Option(help="Of this resource, or with it given out, as Type/ID.")] = None,
    patient: Annotated[str | None, typer.Option(help="Of whatever is about this patient, as Patient/ID.")] = None,
    what: Annotated[str | None, typer.Option(help="An interaction, such as read, search-type, create, token.")] = None,
    outcome: Annotated[Literal["success", "refused", "failed"] | None, typer.Option(help="How it ended.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on, such as 2026-11-01T08:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="Not more than so many, the newest first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each, instead of a table.")] = False,
) -> None:
    """Search the audit trail: every access, allowed or refused, the newest first."""
    from app.interactions.audit_events import list_rows
    from app.interactions.command import run_command

    settings = Settings()
    moments = {name: read_time(text, name, settings) for name, text in (("--since", since), ("--until", until))}
    asked = {
        "agent:identifier": client,
        "agent": organization,
        "entity": entity,
        "patient": patient,
        "subtype": "ITI-71" if what == "token" else what and what.replace(" ", "-"),
        "outcome": OUTCOMES[outcome] if outcome else None,
    }
    query = [(name, value) for name, value in asked.items() if value]
    query += [("date", f"{sign}{at}") for sign, at in zip(("ge", "lt"), moments.values(), strict=True) if at]

    async def work(hub: "Hub") -> "list[AuditRow]":
        return await list_rows(hub, query, most)

    rows = run_command(settings, work)
    if as_json:
        for row in rows:
            typer.echo(json.dumps({**row._asdict(), "recorded": row.recorded.isoformat()}, ensure_ascii=False))
        return
    lines = [describe(row, settings) for row in rows]
    for line in table(HEAD, lines) if lines else ["Nothing in the trail is like that."]:
        typer.echo(line)


def read_time(text: str | None, option: str, settings: Settings) -> str | None:
    """The moment as FHIR writes it."""
    at = read_moment(text, settings) if text else None
    if text and at is None:
        raise typer.BadParameter("give an ISO 8601 time", param_hint=option)
    return at.isoformat(timespec="milliseconds") if at else None


def describe(row: "AuditRow", settings: Settings) -> tuple[Any, ...]:
    """One line of the table; a client that showed no token that counts is set in brackets."""
    who = row.client or "-"
    of = "/".join(part for part in (row.type, row.resource_id) if part)
    asked = f"{of}?{row.query}" if row.query else of
    given = " ".join(row.given[:SHOWN]) + (f" and {len(row.given) - SHOWN} more" if len(row.given) > SHOWN else "")
    many = f"{row.number} x " if row.status >= 400 and row.number > 1 else ""
    broken = f"glass broken: {row.purpose}" if row.purpose else None
    return (
        moment(row.recorded, settings),
        who if row.organization else f"({who})",
        row.organization or "-",
        row.remote or "-",
        row.interaction,
        asked or "-",
        row.status,
        f"{many}{' '.join(each for each in (row.reason, broken) if each) or '-'}",
        given or "-",
    )
