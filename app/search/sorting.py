"""Reads ``_sort``: the keys of an answer's order, the last of which is always the id (R4 search, 3.1.1.5.1)."""

from app.core.errors import Invalid, Unsupported
from app.fhir.registry import ResourceType
from app.search.plan import Criterion, LastUpdatedCriterion, SortKey, StringCriterion

MOST_KEYS = 5
"""The cursor carries a value of each, up to 200 characters long, in an address of 8 KiB."""

BY_ID = (SortKey("_id", False),)
"""An order that stands still whatever is updated meanwhile."""


def choose_order(resource_type: ResourceType, criteria: list[Criterion]) -> tuple[SortKey, ...]:
    """The order without ``_sort``: by the text that was found, where a search is for the beginning of one text; else
    by id.

    The index has the texts in order, so a page costs the same however many match. R4 leaves the order to the server.
    What is rendered from rows of another kind has no such index.
    """
    if resource_type.rendered:
        return BY_ID
    found = [each for each in criteria if isinstance(each, StringCriterion)]
    others = (each for each in criteria if not isinstance(each, StringCriterion))
    if len(found) == 1 and found[0].mode == "prefix" and len(found[0].values) == 1 and not any(map(is_narrow, others)):
        return (SortKey(found[0].parameter.code, False, found[0].parameter, found[0]), *BY_ID)
    return BY_ID


def is_narrow(criterion: Criterion) -> bool:
    """Whether an index may find few by it: then these are better read first."""
    if isinstance(criterion, LastUpdatedCriterion):
        return criterion.bounds_below()
    parameter = getattr(criterion, "parameter", None)
    return parameter is None or parameter.in_rows or parameter.kind == "reference"


def parse_sort(resource_type: ResourceType, value: str, aliases: dict[str, str]) -> tuple[SortKey, ...]:
    """The keys of ``name,-birthdate``; equal rows follow each other by id, in the direction of the last key.

    Raises Invalid for a key that is given twice and for too many, Unsupported for what cannot be sorted by.
    """
    keys = [find_key(resource_type, text, aliases) for text in value.split(",")]
    codes = [each.code for each in keys]
    if len(set(codes)) < len(codes):
        raise Invalid("_sort names a key twice", ("_sort",))
    if len(keys) > MOST_KEYS:
        raise Invalid(f"_sort takes {MOST_KEYS} keys at most", ("_sort",))
    if "_id" in codes:
        return tuple(keys[: codes.index("_id") + 1])  # no two rows are equal by it: nothing is left to order
    return (*keys, SortKey("_id", keys[-1].descending))


def find_key(resource_type: ResourceType, text: str, aliases: dict[str, str]) -> SortKey:
    """The key of one rule, ``-`` before it where it descends."""
    name = text.removeprefix("-")
    code, descending = aliases.get(name, name), text.startswith("-")
    if code in ("_id", "_lastUpdated"):
        return SortKey(code, descending)
    kept = (each for each in resource_type.indexed if each.kind != "composite" and ":" not in each.code)
    sortable = {each.code: each for each in kept}
    if code not in sortable:
        known = ", ".join(sorted(["_id", "_lastUpdated", *sortable]))
        raise Unsupported(f"_sort takes {known} here, with - before it to descend, not {name!r}", ("_sort",))
    return SortKey(code, descending, sortable[code])


def write_order(keys: tuple[SortKey, ...]) -> str:
    """The order as ``_sort`` would say it, the id included."""
    return ",".join(f"{'-' if each.descending else ''}{each.code}{':found' if each.within else ''}" for each in keys)
