"""Turns one criterion of a search plan into an SQL condition on the row ``r``."""

from dataclasses import dataclass, field, replace
from typing import Any

from app.fhir.registry import SearchParameter
from app.models.resources import column_names
from app.models.search_rows import CHILD_TABLES, INDEXED_PREFIX
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

BEYOND = "\U0010ffff"
"""Sorts after every text that a prefix can be continued by."""

COMPARISONS = {
    "eq": "({low} >= {l} AND {high} <= {h})",
    "ne": "NOT ({low} >= {l} AND {high} <= {h})",
    "gt": "{high} > {h}",
    "ge": "({high} > {h} OR ({low} >= {l} AND {high} <= {h}))",
    "lt": "{low} < {l}",
    "le": "({low} < {l} OR ({low} >= {l} AND {high} <= {h}))",
    "sa": "{low} >= {h}",
    "eb": "{high} <= {l}",
    "ap": "({low} < {h} AND {high} > {l})",
}
"""R4 search 3.1.1.4.6, Prefixes: the resource's [low, high) against the value's [l, h)."""

INSTANT_COMPARISONS = {
    "eq": "({at} >= {l} AND {at} < {h})",
    "ne": "NOT ({at} >= {l} AND {at} < {h})",
    "gt": "{at} >= {h}",
    "ge": "{at} >= {l}",
    "lt": "{at} < {l}",
    "le": "{at} < {h}",
    "sa": "{at} >= {h}",
    "eb": "{at} < {l}",
    "ap": "({at} >= {l} AND {at} < {h})",
}

NUMBER_COMPARISONS = {
    "eq": "(c.low >= {l} AND c.high < {h})",
    "ne": "NOT (c.low >= {l} AND c.high < {h})",
    "gt": "c.high > {v}",
    "ge": "c.high >= {v}",
    "lt": "c.low < {v}",
    "le": "c.low <= {v}",
    "sa": "c.low > {v}",
    "eb": "c.high < {v}",
    "ap": "(c.low <= {h} AND c.high >= {l})",
}
"""R4 search 3.1.1.4.6: only eq and ne take the precision of the search value [l, h), the others its exact value v."""


@dataclass
class Binder:
    """The parameters of a statement in the making.

    ``by_row`` asks of each row whether it has a child row, where otherwise the ids of all that have one are gathered:
    for rows that come in an order anyway, and for what is turned round.
    """

    values: list[Any] = field(default_factory=list)
    by_row: bool = False

    def add(self, value: Any, cast: str = "text") -> str:
        """The placeholder of a value."""
        self.values.append(value)
        return f"${len(self.values)}::{cast}"

    def one_of(self, values: tuple[str, ...]) -> str:
        """``= value``, or ``= ANY`` of several: an equality lets a prepared plan use the index order."""
        if len(values) == 1:
            return f"= {self.add(values[0])}"
        return f"= ANY({self.add(list(values), 'text[]')})"

    def asking_rows(self) -> "Binder":
        """The same parameters, by row."""
        return replace(self, by_row=True)


def render_criterion(criterion: Criterion, resource_type: str, binder: Binder) -> str:
    """The condition of one criterion."""
    match criterion:
        case IdCriterion(ids):
            return f"r.id {binder.one_of(ids)}"
        case LastUpdatedCriterion(intervals):
            return any_of(
                compare(INSTANT_COMPARISONS[each.comparator], each, binder, at="r.last_updated") for each in intervals
            )
        case MissingCriterion(parameter, missing):
            return render_missing(parameter, missing, resource_type)
        case NotCriterion(inner):
            return f"({render_criterion(inner, resource_type, binder.asking_rows())}) IS NOT TRUE"
        case CanonicalCriterion(url, version, names):
            return any_of(
                f"({render_criterion(UriCriterion(url, (name,)), resource_type, binder)} AND "
                f"{render_token(version, (TokenValue(None, of),), binder) if of else 'true'})"
                for name, of in names
            )
    if criterion.parameter.in_rows and binder.by_row:
        condition = children_condition(criterion, binder)
        return ask_children(criterion.parameter, resource_type, condition)
    if criterion.parameter.in_rows:
        return f"r.id IN ({' UNION ALL '.join(select_matches(criterion, resource_type, binder))})"
    return render_column(criterion, binder)


def split_criterion(criterion: RowCriterion | CompositeCriterion) -> list[RowCriterion | CompositeCriterion]:
    """A criterion for each of the values, but for those that are compared with all of them at once."""
    match criterion:
        case StringCriterion(_, values):
            return [replace(criterion, values=(each,)) for each in values]
        case TokenCriterion(_, tokens) if any(each.system is not None for each in tokens):
            return [replace(criterion, values=(each,)) for each in tokens]
        case NumberCriterion(_, ranges):
            return [replace(criterion, ranges=(each,)) for each in ranges]
        case DateCriterion(_, intervals):
            return [replace(criterion, intervals=(each,)) for each in intervals]
        case CompositeCriterion(_, pairs):
            return [replace(criterion, pairs=(each,)) for each in pairs]
    return [criterion]


def render_column(criterion: RowCriterion | CompositeCriterion, binder: Binder) -> str:
    """A comparison with the parameter's own columns."""
    names = [f"r.{name}" for name in column_names(criterion.parameter)]
    match criterion:
        case TokenCriterion(parameter, values):
            return render_token(parameter, values, binder)
        case ReferenceCriterion(_, targets) | UriCriterion(_, targets):
            return f"{names[0]} {binder.one_of(targets)}"
        case DateCriterion(_, intervals):
            low, high = names
            return any_of(compare(COMPARISONS[each.comparator], each, binder, low=low, high=high) for each in intervals)
    raise TypeError(f"{criterion.parameter.code} has child rows alone")


def render_token(parameter: SearchParameter, values: tuple[TokenValue, ...], binder: Binder) -> str:
    """On the parameter's own column, which holds a code without its system."""
    codes = tuple(value.code for value in values if value.code is not None)
    if len(codes) == len(values) and all(value.system is None for value in values):
        return f"r.{column_names(parameter)[0]} {binder.one_of(codes)}"
    return f"r.{column_names(parameter)[0]} IS NOT NULL"


def render_missing(parameter: SearchParameter, missing: bool, resource_type: str) -> str:
    if parameter.in_rows:
        return f"{ask_children(parameter, resource_type, 'true')} IS {'NOT ' if missing else ''}TRUE"
    return f"r.{column_names(parameter)[0]} IS {'' if missing else 'NOT '}NULL"


def any_of(conditions: Any) -> str:
    return "(" + " OR ".join(conditions) + ")"


def compare(template: str, interval: Interval, binder: Binder, **columns: str) -> str:
    """A comparison of the tables above; only the bounds that it uses become parameters."""
    if "{l}" in template:
        columns["l"] = binder.add(interval.low, "timestamptz")
    if "{h}" in template:
        columns["h"] = binder.add(interval.high, "timestamptz")
    return template.format(**columns)


def select_children(parameter: SearchParameter, resource_type: str, condition: str) -> str:
    """The ids of child rows that meet a condition written on ``c``."""
    return (
        f"SELECT c.id FROM {CHILD_TABLES[parameter.row_kind].name} c WHERE c.type = '{resource_type}' "
        f"AND c.parameter = '{parameter.stored_as}' AND {condition}"
    )


def select_matches(criterion: RowCriterion | CompositeCriterion, resource_type: str, binder: Binder) -> list[str]:
    """The ids of child rows that meet a criterion, in a query for each value.

    An index runs through one range at a time: values in one condition would have it read every row of the parameter.
    """
    conditions = [children_condition(each, binder) for each in split_criterion(criterion)]
    return [select_children(criterion.parameter, resource_type, each) for each in conditions]


def ask_children(parameter: SearchParameter, resource_type: str, condition: str) -> str:
    """Whether a child row of this resource meets the condition; NULL where it has none.

    No EXISTS, which the planner may turn into a join that gathers all of them first; IS TRUE keeps it to the index by
    resource, whose few rows it compares, instead of running through all that have such a value.
    """
    asked = select_children(parameter, resource_type, f"c.id = r.id AND ({condition}) IS TRUE")
    return f"({asked.replace('SELECT c.id', 'SELECT true', 1)} LIMIT 1)"


def children_condition(
    criterion: RowCriterion | CompositeCriterion, binder: Binder, low: str = "c.low", high: str = "c.high"
) -> str:
    """On a child row ``c``, whose dates stand in the columns ``low`` and ``high``."""
    match criterion:
        case TokenCriterion(_, tokens):
            codes = tuple(each.code for each in tokens if each.code is not None and each.system is None)
            if len(codes) == len(tokens):
                return f"c.code {binder.one_of(codes)}"
            return any_of(token_condition(each, binder) for each in tokens)
        case ReferenceCriterion(_, targets) | UriCriterion(_, targets):
            return f"c.target {binder.one_of(targets)}"
        case StringCriterion(_, texts, mode):
            return any_of(string_condition(mode, each, binder) for each in texts)
        case NumberCriterion(_, ranges):
            return any_of(number_condition(each, binder) for each in ranges)
        case DateCriterion(_, intervals):
            return any_of(compare(COMPARISONS[each.comparator], each, binder, low=low, high=high) for each in intervals)
        case CompositeCriterion(_, pairs):
            return any_of(pair_condition(first, second, binder) for first, second in pairs)


def pair_condition(first: TokenCriterion, second: RowCriterion, binder: Binder) -> str:
    """On a row ``c`` of a composite: its key, then its value."""
    keys = any_of(token_condition(each, binder, "key_") for each in first.values)
    return f"({keys} AND {children_condition(second, binder, 'c.since', 'c.until')})"


def token_condition(value: TokenValue, binder: Binder, prefix: str = "") -> str:
    """On ``c``; ``prefix`` is that of the columns."""
    parts = []
    if value.code is not None:
        parts.append(f"c.{prefix}code = {binder.add(value.code)}")
    if value.system is not None:
        parts.append(f"c.{prefix}system = {binder.add(value.system)}")
    return " AND ".join(parts)


def string_condition(mode: str, value: str, binder: Binder) -> str:
    """On ``c``: by the index as far as it reaches, then by the whole text."""
    if mode == "contains":
        return f"position({binder.add(value)} in c.folded) > 0"
    if mode == "exact":
        return f"c.exact = {binder.add(value)}"
    start = value[:INDEXED_PREFIX]
    indexed = f"left(c.folded, {INDEXED_PREFIX})"
    condition = f"{indexed} >= {binder.add(start)} AND {indexed} < {binder.add(start + BEYOND)}"
    if len(value) > INDEXED_PREFIX:
        condition += f" AND starts_with(c.folded, {binder.add(value)})"
    return condition


def number_condition(wanted: NumberRange, binder: Binder) -> str:
    """On ``c``: the number, then the unit where one is asked for."""
    template = NUMBER_COMPARISONS[wanted.comparator]
    named = {"l": wanted.low, "h": wanted.high, "v": wanted.value}
    bound = {name: binder.add(value, "numeric") for name, value in named.items() if f"{{{name}}}" in template}
    parts = [template.format(**bound)]
    if wanted.code is not None:
        parts.append(f"c.code = {binder.add(wanted.code)}")
    if wanted.system is not None:
        parts.append(f"c.system = {binder.add(wanted.system)}")
    return f"({' AND '.join(parts)})"
