"""transaction: all of a Bundle's entries, or none (R4 http, 3.1.0.11.2)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from app.audit.access import entry_under_way
from app.audit.record import build_row
from app.core.caller import Caller
from app.core.errors import HandoffError, Invalid, Issue, PreconditionFailed
from app.core.ids import new_id
from app.fhir.references import find_references
from app.fhir.registry import STORED
from app.interactions.answers import EntryAnswer, answer_get, answer_write
from app.interactions.conditional import check_match_id, find_match
from app.interactions.entries import METHODS, Operation, check_bundle, read_operations
from app.interactions.hub import Hub
from app.interactions.links import local_key, referred_keys
from app.interactions.read import reading
from app.interactions.unit import Unit, run_unit
from app.interactions.writing import Written, check_same_id, find_weighed, write_deletion, write_new, write_update
from app.models.resources import REFERRAL_TYPES
from app.search.query_text import read_pairs
from app.store.rows import Key
from app.store.session import Weighed

ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
REWRITTEN = frozenset({"reference", "url", "valueUri", "valueUrl", "valueCanonical", "valueUuid"})
"""Elements of the types in which a transaction replaces the fullUrl of an entry."""
CREATION_ORDER = {"ServiceRequest": 1, "Task": 2, "CarePlan": 3}
"""What a referral rests on is created before it: everything else first."""

CONDITIONAL_REFERENCE = re.compile(r"([A-Za-z]+)\?(.*)", re.DOTALL)
"""``Type?query``, relative; an address of elsewhere may hold a question mark of its own."""


async def run_transaction(
    hub: Hub, caller: Caller, bundle: dict[str, Any], *, lenient: bool = False
) -> list[EntryAnswer]:
    """One answer for each entry, in the order of the entries; ``lenient`` is for its searches.

    Raises the error of the first entry that fails, its expressions saying which; then nothing was done.
    """
    return await run_entries(hub, caller, check_bundle(bundle, hub.settings), 0, lenient=lenient)


async def run_entries(
    hub: Hub, caller: Caller, entries: list[dict[str, Any]], offset: int, *, lenient: bool
) -> list[EntryAnswer]:
    """Carries out checked entries in one transaction; ``offset`` is the place of the first in its Bundle."""
    mark = None
    if any(each["request"]["method"] in ("GET", "HEAD") and "?" in each["request"]["url"] for each in entries):
        async with reading(hub, caller) as (connection, _):
            mark = await hub.low_water.read(connection)

    async def work(unit: Unit) -> list[EntryAnswer]:
        unit.mark, unit.lenient = mark, lenient
        # Read anew at each attempt, for what they come to may be another thing then.
        operations = read_operations(entries, hub.base_url, offset)
        await resolve_conditions(unit, operations)
        check_distinct(operations)
        await resolve_references(unit, operations)
        unit.focused = frozenset(find_focused(operations, hub.base_url))
        unit.coming = frozenset((each.type, each.id) for each in operations if each.new and each.id)
        unit.session.fresh |= unit.coming
        await prepare_entries(unit, operations)
        answers: dict[int, EntryAnswer] = {}
        for operation in in_order(operations):
            answer = await run_operation(unit, operation)
            answers[operation.index] = answer
            follow_adoption(operations, operation, answer)
        return [answers[index] for index in sorted(answers)]

    return await run_unit(hub, caller, work)


async def resolve_conditions(unit: Unit, operations: list[Operation]) -> None:
    """Finds what conditional entries match, under their locks, in one order for every transaction.

    Raises Invalid where two entries would create under one condition.
    """
    conditional = [each for each in operations if each.condition is not None]
    creating: set[tuple[str, str]] = set()
    for operation in sorted(conditional, key=lambda each: (each.type, each.condition or "")):
        # Two spellings of one condition are one condition.
        pairs = sorted(read_pairs((operation.condition or "").removeprefix("?")))
        condition = (operation.type, urlencode(pairs))
        with at_entry(operation, operation.condition_place):
            operation.found = await find_match(unit, *condition)
            if operation.found is None and operation.method != "DELETE":
                if condition in creating:
                    raise Invalid(f"More than one entry creates {condition[0]}?{condition[1]}")
                creating.add(condition)
        if operation.found:
            operation.id = operation.found.id
        if operation.method == "PUT" and operation.resource is not None:
            check_match_id(operation.resource, operation.found, operation.root)
    for operation in operations:
        if operation.found is None and (operation.method == "POST" or (operation.method == "PUT" and not operation.id)):
            operation.id, operation.new = new_id(), True


def check_distinct(operations: list[Operation]) -> None:
    """Raises Invalid where two entries write one resource (R4 http, 3.1.0.11.2)."""
    seen: set[Key] = set()
    for operation in operations:
        if operation.method in ("GET",) or operation.id is None:
            continue
        key = (operation.type, operation.id)
        if key in seen and not (operation.method == "POST" and operation.found):
            raise Invalid(f"{key[0]}/{key[1]} is written by more than one entry", (f"Bundle.entry[{operation.index}]",))
        seen.add(key)


async def resolve_references(unit: Unit, operations: list[Operation]) -> None:
    """Replaces references to entries, and conditional references, by the ids they come to."""
    names: dict[str, str] = {}
    for operation in operations:
        if operation.full_url and operation.id and operation.method in ("POST", "PUT"):
            if not ABSOLUTE.match(operation.full_url):
                raise Invalid(
                    "A fullUrl is an absolute address or a urn:", (f"Bundle.entry[{operation.index}].fullUrl",)
                )
            names[operation.full_url] = f"{operation.type}/{operation.id}"
    for operation in operations:
        if operation.resource is None:
            continue
        base = (operation.full_url or "").rsplit("/", 2)[0]
        operation.resource = rewrite(operation.resource, names)
        for found in find_references(operation.resource):
            literal = found.element["reference"]
            query = CONDITIONAL_REFERENCE.fullmatch(literal.removeprefix(f"{unit.hub.base_url}/"))
            if query:
                with at_entry(operation, f"{operation.root}.{found.expression.partition('.')[2]}.reference"):
                    found.element["reference"] = await resolve_query(unit, *query.groups())
            elif f"{base}/{literal}" in names:
                # A relative reference is read against the entry's own fullUrl (R4 bundle, 2.36.4.1).
                found.element["reference"] = names[f"{base}/{literal}"]
        operation.referred = referred_keys(operation.resource, unit.hub.base_url)


def rewrite(node: Any, names: dict[str, str]) -> Any:
    """A copy of the resource with every reference or uri that is an entry's fullUrl replaced (R4 http, 3.1.0.11.2)."""
    if isinstance(node, dict):
        return {
            key: names.get(value, value) if isinstance(value, str) and key in REWRITTEN else rewrite(value, names)
            for key, value in node.items()
        }
    return [rewrite(each, names) for each in node] if isinstance(node, list) else node


async def resolve_query(unit: Unit, name: str, query: str) -> str:
    """``Type/id`` of a conditional reference's one match. Raises PreconditionFailed for none or several."""
    if name not in STORED:
        raise Invalid(f"{name!r} is not a resource type of this server")
    found = await find_match(unit, name, query)
    if found is None:
        raise PreconditionFailed(f"Nothing matches the reference {name}?…")
    return found.reference


def find_focused(operations: list[Operation], base_url: str) -> Iterator[str]:
    """The ServiceRequests that a Task of this Bundle has as its focus: the server makes no Task for them."""
    for operation in operations:
        if operation.type == "Task" and operation.resource:
            key = local_key((operation.resource.get("focus") or {}).get("reference"), base_url)
            if key:
                yield f"{key[0]}/{key[1]}"


async def prepare_entries(unit: Unit, operations: list[Operation]) -> None:
    """Takes the locks of all entries together, and reads at once what they ask for."""
    written = [each for each in operations if each.method != "GET"]
    keys = {(each.type, each.id) for each in written if each.id}
    weighed: set[str] = set()
    for operation in written:
        if operation.resource:
            keys |= operation.referred
            weighed |= find_weighed(operation.resource, operation.referred) if operation.new else set()
    if any(each.type == "Consent" for each in written):
        weighed = set()  # who writes one holds it alone, and two who shared it before would wait for each other
    await unit.prepare(find_keys(operations), keys, Weighed(frozenset(weighed), unit.caller.organization))


def find_keys(operations: list[Operation]) -> set[Key]:
    """What the transaction writes in referrals or refers to: their locks are taken first, together."""
    keys: set[Key] = set()
    for operation in operations:
        if operation.method == "GET" or operation.type not in REFERRAL_TYPES:
            continue
        if operation.id:
            keys.add((operation.type, operation.id))
        keys |= operation.referred
    return keys


def in_order(operations: list[Operation]) -> list[Operation]:
    """DELETE, POST, PUT, GET; and creates so that what is referred to comes before what refers to it."""
    created = {(each.type, each.id): each for each in operations if each.new}
    placed: dict[int, Operation] = {}

    def place(operation: Operation) -> None:
        if operation.index in placed or operation.index in under_way:
            return
        under_way.add(operation.index)
        for key in sorted(operation.referred):
            other = created.get(key)
            if other and CREATION_ORDER.get(other.type, 0) <= CREATION_ORDER.get(operation.type, 0):
                place(other)
        placed[operation.index] = operation

    under_way: set[int] = set()
    for operation in sorted(created.values(), key=lambda each: CREATION_ORDER.get(each.type, 0)):
        place(operation)
    ordered = list(placed.values())
    rank = {each.index: position for position, each in enumerate(ordered)}

    def stage(operation: Operation) -> int:
        # A conditional update that creates stands with the creates, for others of them may refer to it.
        return METHODS.index("POST" if operation.new else operation.method)

    return sorted(operations, key=lambda each: (stage(each), rank.get(each.index, 0)))


def follow_adoption(operations: list[Operation], written: Operation, answer: EntryAnswer) -> None:
    """Where a posted Task became the one that the server had made, entries still to come refer to that one."""
    if written.new and answer.location:
        became = answer.location.partition("/_history")[0]
        name = f"{written.type}/{written.id}"
        if became != name:
            for operation in operations:
                if operation.resource is not None:
                    operation.resource = rewrite(operation.resource, {name: became})


async def run_operation(unit: Unit, operation: Operation) -> EntryAnswer:
    """Carries out one entry; an error says which entry it is of."""
    unit.issues.clear()
    place = f"Bundle.entry[{operation.index}].request.url" if operation.method == "GET" else None
    with at_entry(operation, place), entry_under_way(operation.target, operation.pairs) as access:
        answer = await dispatch(unit, operation)
        status = int(answer.status.partition(" ")[0])
        unit.entries.append(build_row(access, unit.hub.trail.hasher, status, unit.subject))
        unit.subject = None
        return answer


@contextmanager
def at_entry(operation: Operation, place: str | None = None) -> Iterator[None]:
    """Has an error say which entry it is of: at ``place``, or where its expressions stand in the entry's resource."""
    try:
        yield
    except HandoffError as error:
        if not any(path.startswith("Bundle.") for issue in error.all_issues() for path in issue.expression):
            error.issues = tuple(
                replace(each, expression=(place,) if place else place_expression(operation, each))
                for each in error.all_issues()
            )
        raise


def place_expression(operation: Operation, issue: Issue) -> tuple[str, ...]:
    """The issue's expressions as seen from the Bundle."""
    seen = tuple(f"{operation.root}.{path.partition('.')[2]}".rstrip(".") for path in issue.expression)
    return seen or (f"Bundle.entry[{operation.index}]",)


async def dispatch(unit: Unit, operation: Operation) -> EntryAnswer:
    match operation.method:
        case "DELETE":
            if operation.id is not None:
                await write_deletion(unit, (operation.type, operation.id), operation.if_match)
            return EntryAnswer.deleted()
        case "GET":
            return await answer_get(unit, operation)
    resource, resource_id = operation.resource, operation.id
    if resource is None:
        raise Invalid("A write needs a resource")
    if operation.method == "POST" and operation.found:
        return answer_write(unit, Written(operation.found, created=False))
    if operation.new or resource_id is None:
        return answer_write(unit, await write_new(unit, resource, resource_id, operation.root))
    if operation.found is None:
        check_same_id(resource, resource_id, operation.root)
    key = (operation.type, resource_id)
    return answer_write(unit, await write_update(unit, resource, key, operation.if_match, operation.root))
