"""Filters of Subscriptions, compared with an event as sets of keys: the same values that a search would compare."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from app.core.errors import HandoffError, Invalid, Unprocessable
from app.core.settings import Settings
from app.delivery.topics import FILTERS
from app.fhir.registry import TYPES
from app.search.extract import index_rows
from app.search.parse import parse_search
from app.search.plan import Criterion, IdCriterion, Interval, LastUpdatedCriterion, ReferenceCriterion, TokenCriterion
from app.search.query_text import read_pairs

Filter = list[str]
"""Alternatives: an event matches where it has one of these keys, or its moment is in one of these ranges."""

MOMENT = "_lastUpdated="
"""Before a moment in an event's keys, and before a range of them (PostgreSQL's tstzrange) in a filter."""


def index_keys(resource: dict[str, Any], last_updated: datetime, base_url: str) -> tuple[str, ...]:
    """The keys of one version of a resource, for each search parameter that a filter of its type may use."""
    kept = TYPES[resource["resourceType"]]
    keys = [f"_id={resource['id']}", f"{MOMENT}{last_updated.isoformat()}"]
    for code in FILTERS[kept.name][2:]:
        parameter = kept.parameter(code)
        for row in index_rows(parameter, resource, base_url) if parameter else ():
            keys += token_keys(code, *row) if len(row) == 2 else [f"{code}={row[0]}"]
    return tuple(dict.fromkeys(key for key in keys if "\n" not in key))


def token_keys(code: str, system: str, value: str) -> list[str]:
    """One for each way to search a token: code, system|code, system|."""
    return [f"{code}={value}", f"{code}|{system}|{value}", f"{code}|{system}|"]


def parse_filter(text: str, resource_type: str, settings: Settings, base_url: str, where: str) -> list[Filter]:
    """The filters of ``Task?owner=x``, ``owner=x`` or ``Task.owner=x``, joined by AND.

    ``where`` is the FHIRPath of the text. Raises Unprocessable for anything that would not be obeyed.
    """
    head, mark, query = text.partition("?")
    if not mark:
        query = text
    elif head != resource_type:
        raise Unprocessable(f"This topic is about {resource_type}, not {head!r}", (where,))
    try:
        pairs = read_pairs(query.replace("+", "%2B"))
    except Invalid as error:
        raise Unprocessable(error.diagnostics, (where,)) from error
    pairs = [(name.removeprefix(f"{resource_type}."), value) for name, value in pairs]
    offered = FILTERS[resource_type]
    unknown = [name for name, _ in pairs if name.partition(":")[0] not in offered]
    if unknown or not pairs:
        raise Unprocessable(
            f"No filter {', '.join(unknown) or 'is given'} here; for {resource_type} there are: {', '.join(offered)}",
            (where,),
        )
    try:
        plan = parse_search(resource_type, pairs, settings, base_url)
        return [alternatives(each) for each in plan.criteria]
    except HandoffError as error:
        raise Unprocessable(error.diagnostics, (where,)) from error


def alternatives(criterion: Criterion) -> Filter:
    """The keys that meet one criterion. Raises Unprocessable for a comparison that keys cannot make."""
    match criterion:
        case IdCriterion(ids):
            return [f"_id={each}" for each in ids]
        case LastUpdatedCriterion(intervals):
            return [f"{MOMENT}{each}" for interval in intervals for each in ranges(interval)]
        case ReferenceCriterion(parameter, targets):
            return [f"{parameter.code}={each}" for each in targets]
        case TokenCriterion(parameter, values):
            return [
                f"{parameter.code}={each.code}"
                if each.system is None
                else f"{parameter.code}|{each.system}|{each.code or ''}"
                for each in values
            ]
    raise Unprocessable("A filter compares ids, codes, references and _lastUpdated, without :missing")


def ranges(interval: Interval) -> Iterator[str]:
    """The moments that a comparison means (R4 search, 3.1.1.4.6), as PostgreSQL writes ranges."""
    low, high = interval.low.isoformat(), interval.high.isoformat()
    match interval.comparator:
        case "eq" | "ap":
            yield f"[{low},{high})"
        case "ne":
            yield f"(,{low})"
            yield f"[{high},)"
        case "gt" | "sa":
            yield f"[{high},)"
        case "ge":
            yield f"[{low},)"
        case "lt" | "eb":
            yield f"(,{low})"
        case "le":
            yield f"(,{high})"
