"""transaction: all of a Bundle's entries, or none (R4 http, 3.1.0.11.2)."""

from collections.abc import Iterator
from typing import Any

from app.core.caller import Caller
from app.core.errors import HandoffError, Invalid, Issue, PreconditionFailed
from app.core.ids import new_id
from app.fhir.references import find_references
from app.interactions.answers import EntryAnswer, answer_get, answer_write
from app.interactions.conditional import find_match
from app.interactions.entries import METHODS, Operation, check_bundle, read_operations
from app.interactions.hub import Hub
from app.interactions.links import local_key, referred_keys
from app.interactions.unit import Unit, run_unit
from app.interactions.writing import Written, check_same_id, write_deletion, write_new, write_update
from app.models.resources import REFERRAL_TYPES
from app.store.referrals import lock_referrals_of
from app.store.rows import Key

CREATION_ORDER = {"ServiceRequest": 1, "Task": 2, "CarePlan": 3}
"""What a referral rests on is created before it: everything else first."""


async def run_transaction(hub: Hub, caller: Caller, bundle: dict[str, Any]) -> list[EntryAnswer]:
    """One answer for each entry, in the order of the entries.

    Raises the error of the first entry that fails, its expressions saying which; then nothing was done.
    """
    return await run_entries(hub, caller, check_bundle(bundle, hub.settings), 0)


async def run_entries(hub: Hub, caller: Caller, entries: list[dict[str, Any]], offset: int) -> list[EntryAnswer]:
    """Carries out checked entries in one transaction; ``offset`` is the place of the first in its Bundle."""

    async def work(unit: Unit) -> list[EntryAnswer]:
        # Read anew at each attempt: references are rewritten in place.
        operations = read_operations(copy_entries(entries), hub.base_url, offset)
        await resolve_conditions(unit, operations)
        check_distinct(operations)
        await resolve_references(unit, operations)
        unit.focused = frozenset(find_focused(operations, hub.base_url))
        await lock_referrals_of(unit.connection, unit.scope, find_keys(operations, hub.base_url))
        answers: dict[int, EntryAnswer] = {}
        for operation in in_order(operations, hub.base_url):
            answers[operation.index] = await run_operation(unit, operation)
        return [answers[index] for index in sorted(answers)]

    return await run_unit(hub, caller, work)


def copy_entries(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Copies deep enough that rewriting references leaves the Bundle as it came."""

    def copy(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: copy(value) for key, value in node.items()}
        return [copy(each) for each in node] if isinstance(node, list) else node

    return [copy(entry) for entry in entries]


async def resolve_conditions(unit: Unit, operations: list[Operation]) -> None:
    """Finds what conditional entries match, under their locks, in one order for every transaction."""

    def condition(operation: Operation) -> str | None:
        if operation.method == "POST":
            return operation.if_none_exist
        return operation.query if operation.method != "GET" and operation.id is None else None

    conditional = [each for each in operations if condition(each) is not None]
    for operation in sorted(conditional, key=lambda each: (each.type, condition(each) or "")):
        operation.found = await find_match(unit, operation.type, condition(operation) or "")
        if operation.found:
            operation.id = operation.found.id
    for operation in operations:
        if operation.method == "POST" and operation.found is None:
            operation.id = new_id()


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
            names[operation.full_url] = f"{operation.type}/{operation.id}"
    for operation in operations:
        if operation.resource is None:
            continue
        base = (operation.full_url or "").rsplit("/", 2)[0]
        operation.resource = rewrite(operation.resource, names)
        for found in find_references(operation.resource):
            literal = found.element["reference"]
            if "?" in literal and not literal.startswith(("urn:", "#")):
                found.element["reference"] = await resolve_query(unit, operation, literal)
            elif f"{base}/{literal}" in names:
                # A relative reference is read against the entry's own fullUrl (R4 bundle, 2.36.4.1).
                found.element["reference"] = names[f"{base}/{literal}"]


def rewrite(node: Any, names: dict[str, str]) -> Any:
    """The resource with every text that is an entry's fullUrl replaced, in references and uris alike."""
    if isinstance(node, str):
        return names.get(node, node)
    if isinstance(node, dict):
        return {key: rewrite(value, names) for key, value in node.items()}
    return [rewrite(each, names) for each in node] if isinstance(node, list) else node


async def resolve_query(unit: Unit, operation: Operation, literal: str) -> str:
    """``Type/id`` of a conditional reference's one match. Raises PreconditionFailed for none or several."""
    name, _, query = literal.removeprefix(unit.hub.base_url + "/").partition("?")
    try:
        found = await find_match(unit, name, query)
    except KeyError:
        found = None
    if found is None:
        raise PreconditionFailed(f"Nothing matches the reference {name}?…", (operation.root,))
    return found.reference


def find_focused(operations: list[Operation], base_url: str) -> Iterator[str]:
    """The ServiceRequests that a Task of this Bundle has as its focus: the server makes no Task for them."""
    for operation in operations:
        if operation.type == "Task" and operation.resource:
            key = local_key((operation.resource.get("focus") or {}).get("reference"), base_url)
            if key:
                yield f"{key[0]}/{key[1]}"


def find_keys(operations: list[Operation], base_url: str) -> set[Key]:
    """What the transaction writes in referrals or refers to: their locks are taken first, together."""
    keys: set[Key] = set()
    for operation in operations:
        if operation.method == "GET" or operation.type not in REFERRAL_TYPES:
            continue
        if operation.id:
            keys.add((operation.type, operation.id))
        if operation.resource:
            keys |= referred_keys(operation.resource, base_url)
    return keys


def in_order(operations: list[Operation], base_url: str) -> list[Operation]:
    """DELETE, POST, PUT, GET; and creates so that what is referred to comes before what refers to it."""
    created = {(each.type, each.id): each for each in operations if each.method == "POST" and not each.found}
    placed: dict[int, Operation] = {}

    def place(operation: Operation) -> None:
        if operation.index in placed or operation.index in under_way:
            return
        under_way.add(operation.index)
        if operation.resource:
            for key in sorted(referred_keys(operation.resource, base_url)):
                other = created.get(key)
                if other and CREATION_ORDER.get(other.type, 0) <= CREATION_ORDER.get(operation.type, 0):
                    place(other)
        placed[operation.index] = operation

    under_way: set[int] = set()
    for operation in sorted(created.values(), key=lambda each: CREATION_ORDER.get(each.type, 0)):
        place(operation)
    ordered = list(placed.values())
    rank = {each.index: position for position, each in enumerate(ordered)}
    return sorted(operations, key=lambda each: (METHODS.index(each.method), rank.get(each.index, 0)))


async def run_operation(unit: Unit, operation: Operation) -> EntryAnswer:
    """Carries out one entry; an error says which entry it is of."""
    unit.issues.clear()
    try:
        return await dispatch(unit, operation)
    except HandoffError as error:
        if not any(path.startswith("Bundle.") for issue in error.all_issues() for path in issue.expression):
            here = f"Bundle.entry[{operation.index}]"
            error.issues = tuple(
                Issue(each.severity, each.code, each.diagnostics, tuple(place_expression(here, each)))
                for each in error.all_issues()
            )
        raise


def place_expression(here: str, issue: Issue) -> list[str]:
    """The issue's expressions as seen from the Bundle."""
    return [f"{here}.resource.{path.partition('.')[2]}".rstrip(".") for path in issue.expression] or [here]


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
    if operation.method == "POST":
        if operation.found:
            return answer_write(unit, Written(operation.found, created=False))
        return answer_write(unit, await write_new(unit, resource, resource_id, operation.root))
    if resource_id is None:
        return answer_write(unit, await write_new(unit, resource, None, operation.root))
    if operation.query is None:
        check_same_id(resource, resource_id, operation.root)
    key = (operation.type, resource_id)
    return answer_write(unit, await write_update(unit, resource, key, operation.if_match, operation.root))
