"""Whether one version of a resource meets the criteria of a search: what ``app/store/criteria.py`` asks of the index.

Both go by the same values, those of ``extract``; a test holds them against each other.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from app.fhir.registry import SearchParameter
from app.search.extract import Row, index_rows, scalar_width
from app.search.plan import (
    CanonicalCriterion,
    CompositeCriterion,
    Criterion,
    DateCriterion,
    IdCriterion,
    Interval,
    LastUpdatedCriterion,
    MissingCriterion,
    NotCriterion,
    NumberCriterion,
    NumberRange,
    ReferenceCriterion,
    RowCriterion,
    StringCriterion,
    TokenCriterion,
    TokenValue,
    UriCriterion,
)

Resource = dict[str, Any]

PERIODS: dict[str, Callable[[Any, Any, Any, Any], bool]] = {
    "eq": lambda low, high, first, last: low >= first and high <= last,
    "ne": lambda low, high, first, last: not (low >= first and high <= last),
    "gt": lambda _, high, __, last: high > last,
    "ge": lambda low, high, first, last: high > last or (low >= first and high <= last),
    "lt": lambda low, _, first, __: low < first,
    "le": lambda low, high, first, last: low < first or (low >= first and high <= last),
    "sa": lambda low, _, __, last: low >= last,
    "eb": lambda _, high, first, __: high <= first,
    "ap": lambda low, high, first, last: low < last and high > first,
}
INSTANTS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "eq": lambda at, first, last: first <= at < last,
    "ne": lambda at, first, last: not first <= at < last,
    "gt": lambda at, _, last: at >= last,
    "ge": lambda at, first, _: at >= first,
    "lt": lambda at, first, _: at < first,
    "le": lambda at, _, last: at < last,
    "sa": lambda at, _, last: at >= last,
    "eb": lambda at, first, _: at < first,
    "ap": lambda at, first, last: first <= at < last,
}
NUMBERS: dict[str, Callable[[Any, Any, NumberRange], bool]] = {
    "eq": lambda low, high, wanted: low >= wanted.low and high < wanted.high,
    "ne": lambda low, high, wanted: not (low >= wanted.low and high < wanted.high),
    "gt": lambda _, high, wanted: high > wanted.value,
    "ge": lambda _, high, wanted: high >= wanted.value,
    "lt": lambda low, _, wanted: low < wanted.value,
    "le": lambda low, _, wanted: low <= wanted.value,
    "sa": lambda low, _, wanted: low > wanted.value,
    "eb": lambda _, high, wanted: high < wanted.value,
    "ap": lambda low, high, wanted: low <= wanted.high and high >= wanted.low,
}
"""R4 search, 3.1.1.4.6; the tables of ``app/store/criteria.py``."""


ALONE = (
    IdCriterion,
    LastUpdatedCriterion,
    MissingCriterion,
    CanonicalCriterion,
    CompositeCriterion,
    TokenCriterion,
    ReferenceCriterion,
    StringCriterion,
    NumberCriterion,
    DateCriterion,
    UriCriterion,
)
"""What can be told of a version alone."""


def can_match(criterion: Criterion) -> bool:
    """Whether a version alone says if it meets the criterion."""
    return can_match(criterion.reversed) if isinstance(criterion, NotCriterion) else isinstance(criterion, ALONE)


class Version:
    """A version, as a search sees it; absolute references below ``base`` are relative ones."""

    def __init__(self, resource: Resource, last_updated: datetime, base: str) -> None:
        self.resource, self.last_updated, self.base = resource, last_updated, base

    def meets(self, criteria: Sequence[Criterion]) -> bool:
        """Whether it meets all of them."""
        return all(self.meets_one(each) for each in criteria)

    def meets_one(self, criterion: Criterion) -> bool:
        match criterion:
            case IdCriterion(ids):
                return self.resource["id"] in ids
            case LastUpdatedCriterion(intervals):
                return any(INSTANTS[each.comparator](self.last_updated, each.low, each.high) for each in intervals)
            case MissingCriterion(parameter, missing):
                return bool(self.rows(parameter)) is not missing
            case NotCriterion(inner):
                return not self.meets_one(inner)
            case CanonicalCriterion(url, version, names):
                urls, versions = {row[0] for row in self.rows(url)}, {row[-1] for row in self.rows(version)}
                return any(name in urls and (of is None or of in versions) for name, of in names)
            case CompositeCriterion(parameter, pairs):
                rows = self.rows(parameter)
                return any(meets_pair(row, *pair) for row in rows for pair in pairs)
        return any(meets_value(row, criterion) for row in self.rows(criterion.parameter))

    def rows(self, parameter: SearchParameter) -> list[Row]:
        """What is indexed: every row, or the one value that a column holds, the default of an absent one too."""
        found = index_rows(parameter, self.resource, self.base)
        if parameter.in_rows:
            return found
        if found:
            return found[:1]
        return [] if parameter.absent is None else [(parameter.absent,) * scalar_width(parameter)]


def meets_value(row: Row, criterion: RowCriterion) -> bool:
    """Whether an index row of the criterion's kind is what it asks for."""
    match criterion:
        case TokenCriterion(_, tokens):
            return any(meets_token(row, each) for each in tokens)
        case ReferenceCriterion(_, targets) | UriCriterion(_, targets):
            return row[0] in targets
        case StringCriterion(_, texts, mode):
            return any(meets_string(row, each, mode) for each in texts)
        case NumberCriterion(_, ranges):
            return any(meets_number(row, each) for each in ranges)
        case DateCriterion(_, intervals):
            return any(meets_period(row, each) for each in intervals)


def meets_token(row: Row, wanted: TokenValue) -> bool:
    """``row`` ends with the code; a column has no system, and is asked for none."""
    return (wanted.code is None or row[-1] == wanted.code) and (wanted.system is None or row[0] == wanted.system)


def meets_string(row: Row, wanted: str, mode: str) -> bool:
    folded = str(row[0])
    if mode == "exact":
        return bool(row[-1] == wanted)
    return wanted in folded if mode == "contains" else folded.startswith(wanted)


def meets_number(row: Row, wanted: NumberRange) -> bool:
    system, code, low, high = row
    unit = (wanted.code is None or code == wanted.code) and (wanted.system is None or system == wanted.system)
    return unit and NUMBERS[wanted.comparator](low, high, wanted)


def meets_period(row: Row, wanted: Interval) -> bool:
    return PERIODS[wanted.comparator](row[-2], row[-1], wanted.low, wanted.high)


def meets_pair(row: Row, first: TokenCriterion, second: RowCriterion) -> bool:
    """On a row of a composite: key, then the columns of which its second kind fills some (``VALUE_COLUMNS``)."""
    key, (system, code, target, folded, low, high, since, until) = row[:2], row[2:]
    match second:
        case TokenCriterion():
            value: Row = (system, code)
        case NumberCriterion():
            value = (system, code, low, high)
        case StringCriterion():
            value = (folded, None)
        case DateCriterion():
            value = (since, until)
        case _:
            value = (target,)
    return meets_value(key, first) and meets_value(value, second)
