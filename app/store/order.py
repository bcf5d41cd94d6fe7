"""Puts the matches of a search in order, and goes on where the page before ended (R4 search, 3.1.1.5.1)."""

from dataclasses import dataclass

from app.fhir.registry import SearchParameter
from app.models.resources import column_names
from app.models.search_rows import CHILD_TABLES, INDEXED_PREFIX
from app.search.plan import KeyValue, SortKey
from app.store.criteria import Binder

SORTED_COLUMNS = {
    "string": (f"left(c.folded, {INDEXED_PREFIX})",) * 2,
    "token": ("c.code",) * 2,
    "reference": ("c.target",) * 2,
    "date": ("c.low", "c.high"),
    "quantity": ("c.low", "c.high"),
}
"""What of a child row is compared, ascending and descending: an interval by the end that comes first."""

CASTS = {"date": "timestamptz", "number": "numeric", "quantity": "numeric"}


@dataclass(frozen=True, slots=True)
class RenderedKey:
    """A sort key as SQL on the row ``r``: ``join`` makes its value, where that needs child rows."""

    key: SortKey
    expression: str
    cast: str = "text"
    join: str = ""

    @property
    def nullable(self) -> bool:
        return self.key.parameter is not None

    @property
    def rule(self) -> str:
        """What stands after ORDER BY."""
        direction = "DESC" if self.key.descending else "ASC"
        return f"{self.expression} {direction}{' NULLS LAST' if self.nullable else ''}"

    @property
    def sign(self) -> str:
        """How a later value compares with an earlier one."""
        return "<" if self.key.descending else ">"


def render_keys(resource_type: str, keys: tuple[SortKey, ...]) -> list[RenderedKey]:
    """The keys of an order."""
    return [render_key(resource_type, key, f"k{n}") for n, key in enumerate(keys)]


def render_key(resource_type: str, key: SortKey, alias: str) -> RenderedKey:
    parameter = key.parameter
    if parameter is None:
        if key.code == "_id":
            return RenderedKey(key, "r.id")
        return RenderedKey(key, "r.last_updated", "timestamptz")
    cast = CASTS.get(parameter.kind, "text")
    if parameter.in_rows:
        return RenderedKey(key, f"{alias}.value", cast, join_rows(resource_type, parameter, key.descending, alias))
    names = column_names(parameter)
    return RenderedKey(key, f"r.{names[-1] if key.descending else names[0]}", cast)


def join_rows(resource_type: str, parameter: SearchParameter, descending: bool, alias: str) -> str:
    """The least of a resource's child rows, or descending the greatest; one row, NULL where there is none."""
    column, least = SORTED_COLUMNS[parameter.row_kind][descending], "max" if descending else "min"
    return (
        f" CROSS JOIN LATERAL (SELECT {least}({column}) AS value FROM {CHILD_TABLES[parameter.row_kind].name} c "
        f"WHERE c.type = '{resource_type}' AND c.id = r.id AND c.parameter = '{parameter.stored_as}') {alias}"
    )


def render_beyond(keys: list[RenderedKey], values: tuple[KeyValue, ...], binder: Binder) -> str:
    """Whether a row comes after the one that has these values."""
    if not any(each.nullable for each in keys) and len({each.sign for each in keys}) == 1:
        # One comparison of rows begins in the midst of an index over them all.
        bound = ", ".join(binder.add(value, each.cast) for each, value in zip(keys, values, strict=True))
        return f"({', '.join(each.expression for each in keys)}) {keys[0].sign} ({bound})"
    beyond = ""
    for each, value in reversed(list(zip(keys, values, strict=True))):
        if value is None:
            beyond = f"({each.expression} IS NULL AND {beyond})"
            continue
        bound = binder.add(value, each.cast)
        later = f"{each.expression} {each.sign} {bound}"
        if each.nullable:
            later += f" OR {each.expression} IS NULL"
        beyond = f"({later} OR ({each.expression} = {bound} AND {beyond}))" if beyond else f"({later})"
    return beyond
