"""read and search of AuditEvent, which is rendered from the trail: the operator's alone (access.md, Roles)."""

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlencode

from app.access.interaction_rules import authorize, check_operator
from app.audit.access import note_given
from app.audit.event import render_event
from app.audit.find import count_events, find_event, find_events
from app.core.caller import Caller
from app.core.database import Connection
from app.core.errors import NotFound
from app.fhir.bundle_text import bundle_text, outcome_entry, search_entry
from app.fhir.json_text import dump
from app.fhir.outcome import operation_outcome
from app.fhir.subset import subset_text
from app.interactions.hub import Hub
from app.interactions.read import reading
from app.interactions.unit import SYSTEM
from app.search.cursor import write_cursor
from app.search.parse import parse_search
from app.search.plan import Cursor, SearchPlan
from app.search.sorting import write_order
from app.store.audit import AuditRow
from app.store.patients import find_patients

NAME = "AuditEvent"


async def read_event(hub: Hub, caller: Caller, event_id: str) -> tuple[AuditRow, str]:
    """The row and the text of one AuditEvent. Raises Forbidden, NotFound."""
    authorize(caller, "read", NAME)
    check_operator(caller)
    async with reading(hub, caller) as (connection, _):
        row = await find_event(connection, event_id)
        if row is None:
            raise NotFound(f"{NAME}/{event_id} is not known")
        [text] = await render_rows(hub, connection, [row])
    return row, text


async def search_events(hub: Hub, caller: Caller, query: Iterable[tuple[str, str]], *, lenient: bool) -> str:
    """One page, the newest first unless ``_sort`` says otherwise. Raises Forbidden, Invalid, Unsupported."""
    authorize(caller, "search-type", NAME)
    check_operator(caller)
    plan = parse_search(NAME, query, hub.settings, hub.base_url, lenient=lenient)
    hasher = hub.trail.hasher
    async with reading(hub, caller) as (connection, _):
        rows = await find_events(connection, SYSTEM, plan, hasher) if plan.count else []
        total = await count_events(connection, SYSTEM, plan, hasher) if plan.total or not plan.count else None
        page = rows[: plan.count]
        texts = await render_rows(hub, connection, page)
    following = page[-1] if len(rows) > plan.count else None
    entries = [
        search_entry(hub.base_url, f"{NAME}/{row.id}", subset_text(text, plan.subset), "match")
        for row, text in zip(page, texts, strict=True)
    ]
    if plan.issues:
        entries.append(outcome_entry(dump(operation_outcome(plan.issues))))
    return bundle_text("searchset", build_links(hub, plan, following), entries, total)


def build_links(hub: Hub, plan: SearchPlan, last: AuditRow | None) -> list[tuple[str, str]]:
    """The link of this page, and of the next one after the row ``last``."""
    address, query = f"{hub.base_url}/{NAME}", list(plan.self_query)
    links = [("self", f"{address}?{urlencode(query)}" if query else address)]
    if last is not None:
        values = tuple(last.id if key.code == "_id" else last.recorded for key in plan.sort)
        cursor = write_cursor(Cursor(write_order(plan.sort), values))
        links.append(("next", f"{address}?{urlencode([*query, ('_cursor', cursor)])}"))
    return links


async def render_rows(hub: Hub, connection: Connection, rows: list[AuditRow]) -> list[str]:
    """The text of each row's AuditEvent, with the patients that its resources are about now."""
    named = {row.id: list_named(row) for row in rows}
    keys = {(name, key) for each in named.values() for name, _, key in [reference.partition("/") for reference in each]}
    about = await find_patients(connection, SYSTEM, keys)
    texts = []
    for row in rows:
        patients = {reference for reference in named[row.id] if reference.startswith("Patient/")}
        patients |= {patient for reference in named[row.id] for patient in about.get(reference, ())}
        texts.append(dump(render_event(row, hub.base_url, patients)))
        note_given(f"{NAME}/{row.id}")
    return texts


def list_named(row: AuditRow) -> list[str]:
    """References to the resources that a row names, those apart that it knows by a hash."""
    own = [f"{row.type}/{row.resource_id}"] if row.type and row.resource_id and "~" not in row.resource_id else []
    return [*own, *row.given]


async def list_rows(hub: Hub, query: list[tuple[str, str]], most: int) -> list[AuditRow]:
    """For the operator's own command: up to ``most`` rows, the newest first. Raises Invalid, Unsupported."""
    plan = parse_search(NAME, query, hub.settings, hub.base_url)
    async with hub.pool.acquire() as connection:
        return (await find_events(connection, SYSTEM, replace(plan, count=most), hub.trail.hasher))[:most]
