"""What a search asks for, as typed values that the store turns into SQL."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from app.core.errors import Issue
from app.fhir.registry import SearchParameter
from app.fhir.subset import Subset

Comparator = Literal["eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap"]


@dataclass(frozen=True, slots=True)
class Interval:
    """The time that a date of some precision covers: from ``low`` up to, not including, ``high``."""

    comparator: Comparator
    low: datetime
    high: datetime


@dataclass(frozen=True, slots=True)
class TokenValue:
    """``system|code``: None is any, an empty system is none; both None are any value at all."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class TokenCriterion:
    parameter: SearchParameter
    values: tuple[TokenValue, ...]


@dataclass(frozen=True, slots=True)
class ReferenceCriterion:
    parameter: SearchParameter
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StringCriterion:
    parameter: SearchParameter
    values: tuple[str, ...]
    mode: Literal["prefix", "exact", "contains"]


@dataclass(frozen=True, slots=True)
class DateCriterion:
    parameter: SearchParameter
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class NumberRange:
    """A number, and the range [low, high) that its digits imply. A unit of None is any, an empty system is none."""

    comparator: Comparator
    value: Decimal
    low: Decimal
    high: Decimal
    system: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class NumberCriterion:
    parameter: SearchParameter
    ranges: tuple[NumberRange, ...]


@dataclass(frozen=True, slots=True)
class UriCriterion:
    parameter: SearchParameter
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CanonicalCriterion:
    """``url|version`` of what a canonical names; a version of None is any (R4 search, 3.1.1.4.9)."""

    url: SearchParameter
    version: SearchParameter
    names: tuple[tuple[str, str | None], ...]


RowCriterion = TokenCriterion | ReferenceCriterion | StringCriterion | DateCriterion | NumberCriterion | UriCriterion
"""What a child row can be compared with."""


@dataclass(frozen=True, slots=True)
class CompositeCriterion:
    """Pairs of what the first and the second component of one element have to be."""

    parameter: SearchParameter
    pairs: tuple[tuple[TokenCriterion, RowCriterion], ...]


@dataclass(frozen=True, slots=True)
class MissingCriterion:
    parameter: SearchParameter
    missing: bool


@dataclass(frozen=True, slots=True)
class NotCriterion:
    """What has no value that ``reversed`` matches, resources without any value too (R4 search, 3.1.1.4.4)."""

    reversed: "Criterion"


@dataclass(frozen=True, slots=True)
class IdCriterion:
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LastUpdatedCriterion:
    intervals: tuple[Interval, ...]

    def bounds_below(self) -> bool:
        """Whether it has a lower bound, above which an index may find few."""
        return all(each.comparator not in OPEN_BELOW for each in self.intervals)


Criterion = (
    RowCriterion
    | CanonicalCriterion
    | CompositeCriterion
    | MissingCriterion
    | NotCriterion
    | IdCriterion
    | LastUpdatedCriterion
)


def parameters_of(criterion: Criterion) -> tuple[SearchParameter, ...]:
    """The search parameters that a criterion asks; none for what every resource has."""
    match criterion:
        case IdCriterion() | LastUpdatedCriterion():
            return ()
        case NotCriterion(inner):
            return parameters_of(inner)
        case CanonicalCriterion(url, version):
            return url, version
    return (criterion.parameter,)


KeyValue = str | datetime | Decimal | None
"""A row's value of a sort key; None where it has none."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of the order: a search parameter, or without one ``_id`` or ``_lastUpdated``.

    Of several values the one counts that comes first in this direction, of those alone that ``within`` matches; who
    has none comes last in either.
    """

    code: str
    descending: bool
    parameter: SearchParameter | None = None
    within: StringCriterion | None = None

    @property
    def value_type(self) -> type:
        """What its values are."""
        kind = "date" if self.code == "_lastUpdated" else self.parameter.kind if self.parameter else "token"
        return {"date": datetime, "number": Decimal, "quantity": Decimal}.get(kind, str)


OPEN_BELOW = frozenset({"ne", "lt", "le", "eb"})
"""Comparators that set no lower bound."""


@dataclass(frozen=True, slots=True)
class Include:
    """A reference parameter of ``type`` to follow, forwards for ``_include``, backwards for ``_revinclude``.

    ``target`` keeps references to one type alone; None keeps all.
    """

    type: str
    parameter: SearchParameter
    target: str | None = None

    def admits(self, reference: str) -> bool:
        """Whether this reference is to be followed."""
        return self.target is None or reference.startswith(f"{self.target}/")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of the page before, by its values of the order's keys; a poll's pages stay below ``mark``."""

    order: str
    values: tuple[KeyValue, ...]
    mark: datetime | None = None


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """One search: criteria are joined by AND, values within one by OR (R4 search, 3.1.1.3)."""

    type: str
    criteria: tuple[Criterion, ...]
    sort: tuple[SortKey, ...]
    """The keys of the order, most important first; the last is the id."""
    count: int
    cursor: Cursor | None = None
    includes: tuple[Include, ...] = ()
    revincludes: tuple[Include, ...] = ()
    self_query: tuple[tuple[str, str], ...] = ()
    """The parameters as they were understood, for the answer's ``self`` link."""
    self_text: str = field(default="", compare=False)
    """The same as the text of an address."""
    total: bool = False
    """Whether all matches are counted. A ``count`` of 0 asks for nothing else."""
    subset: Subset | None = None
    """The part of each match to answer; None is the whole."""
    issues: tuple[Issue, ...] = ()
    """Warnings about what was ignored under ``Prefer: handling=lenient``."""

    @property
    def parameters(self) -> tuple[SearchParameter, ...]:
        """All that decides which resources match, and in what order."""
        asked = [each for criterion in self.criteria for each in parameters_of(criterion)]
        return (*asked, *(each.parameter for each in self.sort if each.parameter))

    @property
    def polls(self) -> bool:
        """Whether it asks for what changed since some moment: then nothing may come later below what it answers."""
        return any(
            interval.comparator not in OPEN_BELOW
            for each in self.criteria
            if isinstance(each, LastUpdatedCriterion)
            for interval in each.intervals
        )
