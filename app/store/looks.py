"""Looks first whether few resources meet one criterion, so that a search costs the same among many as among few.

A prepared plan is made without knowing the values: it cannot tell a name that thousands bear from one that nobody
bears. So the statement looks itself. Where a look finds few ids, these alone are read and put in order; where every
look finds more, the rows are walked in the order of the answer, asked one by one, until a page is full
(docs/decisions/0012-looks.md).
"""

from dataclasses import dataclass
from typing import TypeGuard

from app.fhir.registry import TYPES
from app.search.plan import (
    CompositeCriterion,
    Criterion,
    DateCriterion,
    IdCriterion,
    LastUpdatedCriterion,
    MissingCriterion,
    NumberCriterion,
    ReferenceCriterion,
    SearchPlan,
    StringCriterion,
    TokenCriterion,
    UriCriterion,
)
from app.store.criteria import Binder, render_criterion, select_matches

FEW = 1_000
"""Ids read one by one; with more, one row in a thousand or more of a million matches, and a walk soon fills a page."""

BY_VALUE = (
    TokenCriterion,
    ReferenceCriterion,
    UriCriterion,
    StringCriterion,
    NumberCriterion,
    DateCriterion,
    CompositeCriterion,
)


@dataclass(frozen=True, slots=True)
class Look:
    """Up to one more than FEW ids that meet these criteria, by an index."""

    criteria: tuple[Criterion, ...]
    select: str

    @property
    def limited(self) -> str:
        return f"{self.select} LIMIT {FEW + 1}"


def list_looks(plan: SearchPlan, binder: Binder) -> list[Look]:
    """One for each criterion on child rows, and one by the columns of a hot index or by time.

    None where an id is asked for, nor where all matches have to be read anyway, to be sorted.
    """
    if plan.sort[0].parameter or any(isinstance(each, IdCriterion) for each in plan.criteria):
        return []
    looks = [look for each in plan.criteria if (look := look_at_children(plan, each, binder))]
    if not is_in_index_order(plan) and (columns := look_at_columns(plan, binder)):
        looks.append(columns)
    return looks


def look_at_children(plan: SearchPlan, criterion: Criterion, binder: Binder) -> Look | None:
    if not isinstance(criterion, BY_VALUE) or not criterion.parameter.in_rows:
        return None
    if isinstance(criterion, StringCriterion) and criterion.mode != "prefix":
        return None  # no index knows what a text contains
    return Look((criterion,), " UNION ALL ".join(select_matches(criterion, plan.type, binder)))


def look_at_columns(plan: SearchPlan, binder: Binder) -> Look | None:
    """By the hot index of which the search names most columns, from the first on, and the lower bounds in time."""
    compared: dict[str, Criterion] = {
        each.parameter.code: each
        for each in plan.criteria
        if isinstance(each, TokenCriterion | ReferenceCriterion) or is_empty_column(each)
    }
    times: list[Criterion] = [
        each for each in plan.criteria if isinstance(each, LastUpdatedCriterion) and each.bounds_below()
    ]
    best: list[Criterion] = []
    for codes in TYPES[plan.type].hot_indexes:
        found: list[Criterion] = []
        for code in codes:
            if code not in compared:
                break
            found.append(compared[code])
        best = max(best, found, key=len)
    if not best and (not times or plan.sort[0].code == "_lastUpdated"):
        return None
    criteria = (*best, *times)
    conditions = " AND ".join(render_criterion(each, plan.type, binder) for each in criteria)
    return Look(criteria, f"SELECT r.id FROM {TYPES[plan.type].table} r WHERE {conditions}")


def is_empty_column(criterion: Criterion) -> TypeGuard[MissingCriterion]:
    """Whether it asks for those without a value of a column: an index has them side by side."""
    return isinstance(criterion, MissingCriterion) and criterion.missing and not criterion.parameter.in_rows


def is_in_index_order(plan: SearchPlan) -> bool:
    """Whether a hot index has the matches in the order of the answer: each of its columns compared with one value."""
    single = {
        each.parameter.code
        for each in plan.criteria
        if (isinstance(each, ReferenceCriterion) and len(each.targets) == 1)
        or (
            isinstance(each, TokenCriterion)
            and len(each.values) == 1
            and each.values[0].code
            and not each.values[0].system
        )
    }
    single |= {each.parameter.code for each in plan.criteria if is_empty_column(each)}
    hot = any(set(codes) <= single for codes in TYPES[plan.type].hot_indexes)
    return hot and plan.sort[0].code == "_lastUpdated" and len(plan.sort) == 2


def render_looks(looks: list[Look]) -> str:
    """The CTE ``chosen``: of the first look that finds few, its number and ids; NULL where none does."""
    named = ", ".join(f"look{n} AS MATERIALIZED ({each.limited})" for n, each in enumerate(looks))
    which = " ".join(f"WHEN (SELECT count(*) FROM look{n}) <= {FEW} THEN {n}" for n in range(len(looks)))
    ids = " ".join(f"WHEN {n} THEN ARRAY(SELECT id FROM look{n})" for n in range(len(looks)))
    return (
        f"WITH {named}, first AS MATERIALIZED (SELECT CASE {which} END AS look), "
        f"chosen AS MATERIALIZED (SELECT look, CASE look {ids} END AS ids FROM first)"
    )


def render_unless_chosen(plan: SearchPlan, looks: list[Look], binder: Binder) -> list[str]:
    """The criteria, where those of the chosen look are known to be met."""
    number = {id(criterion): n for n, look in enumerate(looks) for criterion in look.criteria}
    conditions = []
    for each in plan.criteria:
        condition = render_criterion(each, plan.type, binder.asking_rows())
        known = f"(SELECT look FROM chosen) = {number[id(each)]} OR " if id(each) in number else ""
        conditions.append(f"({known}{condition})")
    return conditions


def render_walked(plan: SearchPlan, looks: list[Look], binder: Binder) -> list[str]:
    """The criteria, asked of each row in turn: no index but that of the order may serve those that many meet."""
    common = {id(criterion) for look in looks for criterion in look.criteria}
    conditions = []
    for each in plan.criteria:
        condition = render_criterion(each, plan.type, binder.asking_rows())
        ordered = isinstance(each, LastUpdatedCriterion) and plan.sort[0].code == "_lastUpdated"
        conditions.append(f"({condition}) IS TRUE" if id(each) in common and not ordered else condition)
    return conditions
