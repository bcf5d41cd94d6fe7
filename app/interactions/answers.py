"""What a Bundle's entry is answered with, and the Bundles that searches give (R4 bundle)."""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlencode

from app.access.interaction_rules import authorize
from app.access.narrowing import may_see
from app.access.redisclosure import notify_recipient
from app.access.release import may_leave, release
from app.core.caller import Scope
from app.core.errors import Issue, Unsupported
from app.fhir.binary_text import mark_subsetted
from app.fhir.bundle_text import bundle_text, history_entry, outcome_entry, search_entry
from app.fhir.json_text import dump
from app.fhir.moments import write_instant
from app.fhir.outcome import operation_outcome
from app.fhir.subset import Subset, read_subset, subset_text
from app.interactions.contact import warn_unit, write_warning
from app.interactions.entries import Operation
from app.interactions.read import check_present
from app.interactions.search import find_page
from app.interactions.unit import Unit
from app.interactions.writing import Written
from app.search.cursor import write_cursor
from app.search.parse import parse_search
from app.search.plan import SearchPlan
from app.search.polling import NEXT_POLL, write_next_poll
from app.store.read import read_resource, read_version
from app.store.rows import Key, Stored
from app.store.search import Page


@dataclass(frozen=True, slots=True)
class EntryAnswer:
    """The response of one entry; ``content`` is a resource's text."""

    status: str
    location: str | None = None
    version: int | None = None
    last_modified: str | None = None
    content: str | None = None
    issues: tuple[Issue, ...] = ()

    @staticmethod
    def deleted() -> "EntryAnswer":
        return EntryAnswer("204 No Content")


def stamp_text(stored: Stored) -> str:
    """meta.lastUpdated of a version."""
    return write_instant(stored.last_updated)


def answer_write(unit: Unit, written: Written) -> EntryAnswer:
    """The answer of a create or update."""
    stored = written.stored
    return EntryAnswer(
        "201 Created" if written.created else "200 OK",
        f"{stored.reference}/_history/{stored.version}",
        stored.version,
        stamp_text(stored),
        release(stored, unit.scope),
        tuple(unit.issues),
    )


async def answer_get(unit: Unit, operation: Operation) -> EntryAnswer:
    """The answer of a read, vread or search entry. Raises Unsupported for a history."""
    if operation.id is None:
        if operation.history:
            raise Unsupported("history is not offered in a Bundle")
        authorize(unit.caller, "search-type", operation.type, narrows=True)
        settings, base = unit.hub.settings, unit.hub.base_url
        plan = parse_search(operation.type, operation.pairs, settings, base, lenient=unit.lenient)
        most = settings.max_includes
        page = await find_page(unit.connection, unit.scope, unit.caller, plan, most, unit.mark, base)
        warnings = await warn_unit(unit, [*page.matches, *page.included])
        return EntryAnswer("200 OK", content=searchset_text(base, plan, page, unit.scope, warnings))
    if operation.history and operation.version is None:
        raise Unsupported("history is not offered in a Bundle")
    subset = read_subset(operation.type, operation.pairs)
    name = f"{operation.type}/{operation.id}"
    if operation.version is not None:
        authorize(unit.caller, "vread", operation.type, narrows=True)
        found = await read_version(unit.connection, unit.scope, operation.type, operation.id, operation.version)
        if found and not may_leave(found, unit.scope):
            found = None
    else:
        authorize(unit.caller, "read", operation.type, narrows=True)
        found = await read_resource(unit.connection, unit.scope, operation.type, operation.id)
    if found and not may_see(unit.caller, found, ("r",), unit.hub.base_url):
        found = None
    stored = check_present(found, name)
    content = subset_text(release(stored, unit.scope), subset)
    issues = (*await warn_unit(unit, [stored]), *notify_recipient([stored], unit.scope))
    return EntryAnswer("200 OK", None, stored.version, stamp_text(stored), content, issues)


def entry_content(stored: Stored, scope: Scope) -> str:
    """The text of a resource in a Bundle: a Binary without its data, and marked so (R4 search, 3.1.1.5.8)."""
    text = release(stored, scope)
    return mark_subsetted(text) if stored.type == "Binary" else text


def searchset_text(base_url: str, plan: SearchPlan, page: Page, scope: Scope, warnings: tuple[Issue, ...]) -> str:
    """A searchset with its self and next links; what is included comes after the matches, warnings at the end.

    The last page of a poll says where the next poll begins.
    """
    address = f"{base_url}/{plan.type}"
    query = f"?{plan.self_text}" if plan.self_text else ""
    links = [("self", f"{address}{query}")]
    if page.following:
        # A cursor's letters stand in an address as they are.
        links.append(("next", f"{address}{query or '?'}{'&' if query else ''}_cursor={write_cursor(page.following)}"))
    elif page.mark and (later := write_next_poll(plan.self_query, page.mark)):
        links.append((NEXT_POLL, f"{address}?{urlencode(later)}"))
    entries = [entry_of(base_url, each, scope, plan.subset, "match") for each in page.matches]
    # Elements are named for the type that is searched; a summary is of every resource.
    beside = plan.subset if plan.subset and plan.subset.mode != "elements" else None
    entries += [entry_of(base_url, each, scope, beside, "include") for each in page.included]
    issues = (*plan.issues, *warnings, *notify_recipient((*page.matches, *page.included), scope))
    if issues:
        entries.append(outcome_entry(dump(operation_outcome(issues))))
    return bundle_text("searchset", links, entries, page.total)


def entry_of(base_url: str, stored: Stored, scope: Scope, subset: Subset | None, mode: str) -> str:
    """One resource of a searchset."""
    return search_entry(base_url, stored.reference, subset_text(entry_content(stored, scope), subset), mode)


def history_text(
    base_url: str, links: list[tuple[str, str]], entries: list[Stored], scope: Scope, prohibited: Collection[Key]
) -> str:
    """A history Bundle; ``prohibited`` are Patients who must not be contacted.

    A history has no entry for an OperationOutcome (R4 bundle, bdl-3): each version brings its own.
    """
    texts = [
        history_entry(
            base_url,
            each.type,
            each.id,
            each.version,
            stamp_text(each),
            None if each.deleted else entry_content(each, scope),
            outcome_of(each, scope, prohibited),
        )
        for each in entries
    ]
    return bundle_text("history", links, texts)


def outcome_of(version: Stored, scope: Scope, prohibited: Collection[Key]) -> str | None:
    """What goes with a version, as an OperationOutcome's text."""
    warning = (write_warning(version),) if version.key in prohibited and not version.deleted else ()
    issues = (*warning, *notify_recipient([version], scope))
    return dump(operation_outcome(issues)) if issues else None
