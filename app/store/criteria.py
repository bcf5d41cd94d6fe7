"""Turns one criterion of a search plan into an SQL condition on the row ``r``."""

from dataclasses import dataclass, field
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
    """The parameters of a statement in the making."""

    values: list[Any] = field(default_factory=list)

    def add(self, value: Any, cast: str = "text") -> str:
        """The placeholder of a value."""
        self.values.append(value)
        return f"${len(self.values)}::{cast}"

    def one_of(self, values: tuple[str, ...]) -> str:
        """``= value``, or ``= ANY`` of several: an equality lets a prepared plan use the index order."""
        if len(values) == 1:
            return f"= {self.add(values[0])}"
        return f"= ANY({self.add(list(values), 'text[]')})"


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
            return f"({render_criterion(inner, resource_type, binder)}) IS NOT TRUE"
        case TokenCriterion(parameter, values):
            return render_token(parameter, values, resource_type, binder)
        case ReferenceCriterion(parameter, targets):
            return render_value(parameter, "target", binder.one_of(targets), resource_type)
        case UriCriterion(parameter, uris):
            return render_value(parameter, "target", binder.one_of(uris), resource_type)
        case CanonicalCriterion(url, version, names):
            return any_of(
                f"({render_value(url, 'target', binder.one_of((name,)), resource_type)} AND "
                f"{render_value(version, 'code', binder.one_of((of,)), resource_type) if of else 'true'})"
                for name, of in names
            )
        case StringCriterion():
            return render_string(criterion, resource_type, binder)
        case NumberCriterion(parameter, ranges):
            return in_children(parameter, resource_type, any_of(number_condition(each, binder) for each in ranges))
        case DateCriterion(parameter, intervals):
            return render_date(parameter, intervals, resource_type, binder)
        case CompositeCriterion(parameter, pairs):
            conditions = any_of(pair_condition(first, second, binder) for first, second in pairs)
            return in_children(parameter, resource_type, conditions)


def any_of(conditions: Any) -> str:
    return "(" + " OR ".join(conditions) + ")"


def compare(template: str, interval: Interval, binder: Binder, **columns: str) -> str:
    """A comparison of the tables above; only the bounds that it uses become parameters."""
    if "{l}" in template:
        columns["l"] = binder.add(interval.low, "timestamptz")
    if "{h}" in template:
        columns["h"] = binder.add(interval.high, "timestamptz")
    return template.format(**columns)


def in_children(parameter: SearchParameter, resource_type: str, condition: str) -> str:
    """Whether a child row of the parameter meets the condition (written on ``c``)."""
    table = CHILD_TABLES[parameter.row_kind].name
    return (
        f"r.id IN (SELECT c.id FROM {table} c WHERE c.type = '{resource_type}' "
        f"AND c.parameter = '{parameter.stored_as}' AND {condition})"
    )


def render_value(parameter: SearchParameter, column: str, comparison: str, resource_type: str) -> str:
    """A comparison with the parameter's own column, or with its child rows."""
    if parameter.in_rows:
        return in_children(parameter, resource_type, f"c.{column} {comparison}")
    return f"r.{column_names(parameter)[0]} {comparison}"


def render_missing(parameter: SearchParameter, missing: bool, resource_type: str) -> str:
    if parameter.in_rows:
        found = in_children(parameter, resource_type, "true")
        return f"NOT {found}" if missing else found
    return f"r.{column_names(parameter)[0]} IS {'' if missing else 'NOT '}NULL"


def render_token(parameter: SearchParameter, values: tuple[TokenValue, ...], resource_type: str, binder: Binder) -> str:
    codes = tuple(value.code for value in values if value.code is not None)
    if len(codes) == len(values) and all(value.system is None for value in values):
        return render_value(parameter, "code", binder.one_of(codes), resource_type)
    if not parameter.in_rows:
        return render_missing(parameter, False, resource_type)
    return any_of(in_children(parameter, resource_type, token_condition(value, binder)) for value in values)


def pair_condition(first: TokenCriterion, second: RowCriterion, binder: Binder) -> str:
    """On a row ``c`` of a composite: its key, then its value."""
    keys = any_of(token_condition(each, binder, "key_") for each in first.values)
    return f"({keys} AND {value_condition(second, binder)})"


def value_condition(criterion: RowCriterion, binder: Binder) -> str:
    """On the value columns of a composite's row ``c``."""
    match criterion:
        case TokenCriterion(_, tokens):
            return any_of(token_condition(each, binder) for each in tokens)
        case ReferenceCriterion(_, targets) | UriCriterion(_, targets):
            return f"c.target {binder.one_of(targets)}"
        case StringCriterion(_, texts, mode):
            return any_of(string_condition(mode, each, binder) for each in texts)
        case NumberCriterion(_, ranges):
            return any_of(number_condition(each, binder) for each in ranges)
        case DateCriterion(_, intervals):
            return any_of(
                compare(COMPARISONS[each.comparator], each, binder, low="c.since", high="c.until") for each in intervals
            )


def token_condition(value: TokenValue, binder: Binder, prefix: str = "") -> str:
    """On ``c``; ``prefix`` is that of the columns."""
    parts = []
    if value.code is not None:
        parts.append(f"c.{prefix}code = {binder.add(value.code)}")
    if value.system is not None:
        parts.append(f"c.{prefix}system = {binder.add(value.system)}")
    return " AND ".join(parts)


def render_string(criterion: StringCriterion, resource_type: str, binder: Binder) -> str:
    conditions = any_of(string_condition(criterion.mode, value, binder) for value in criterion.values)
    return in_children(criterion.parameter, resource_type, conditions)


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


def render_date(parameter: SearchParameter, intervals: tuple[Interval, ...], resource_type: str, binder: Binder) -> str:
    low, high = ("c.low", "c.high") if parameter.in_rows else (f"r.{name}" for name in column_names(parameter))
    condition = any_of(compare(COMPARISONS[each.comparator], each, binder, low=low, high=high) for each in intervals)
    return in_children(parameter, resource_type, condition) if parameter.in_rows else condition


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
