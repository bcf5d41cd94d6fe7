"""Puts the matches of a search in order, and goes on where the page before ended (R4 search, 3.1.1.5.1)."""

from dataclasses import dataclass

from app.fhir.registry import TYPES, SearchParameter
from app.models.resources import column_names
from app.models.search_rows import CHILD_TABLES, INDEXED_PREFIX
from app.search.plan import KeyValue, SortKey, StringCriterion
from app.store.criteria import Binder, children_condition, select_children

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
    """A sort key as SQL on the row ``r``, selected as ``name``; ``join`` makes its value of child rows."""

    key: SortKey
    expression: str
    name: str
    cast: str = "text"
    join: str = ""

    @property
    def nullable(self) -> bool:
        return self.key.parameter is not None and self.key.within is None

    @property
    def direction(self) -> str:
        """What stands behind the key in ORDER BY."""
        return f"{'DESC' if self.key.descending else 'ASC'}{' NULLS LAST' if self.nullable else ''}"

    @property
    def sign(self) -> str:
        """How a later value compares with an earlier one."""
        return "<" if self.key.descending else ">"


def render_keys(resource_type: str, keys: tuple[SortKey, ...]) -> list[RenderedKey]:
    """The keys of an order."""
    if keys[0].within:
        # As ``walk_texts`` gives them, so that its index serves the order.
        return [RenderedKey(keys[0], "found.value", "k0"), RenderedKey(keys[1], "found.id", "id")]
    return [render_key(resource_type, key, f"k{n}") for n, key in enumerate(keys)]


def walk_texts(resource_type: str, criterion: StringCriterion, binder: Binder) -> str:
    """The source of rows ``r`` in the order of their first text that matches, each with that text, ``found.value``."""
    columns, parameter = SORTED_COLUMNS["string"], criterion.parameter
    condition = children_condition(criterion, binder)
    matches = select_children(parameter, resource_type, condition).replace(
        "SELECT c.id", f"SELECT c.id, {columns[0]} AS value", 1
    )
    text = columns[0].replace("c.", "earlier.")
    earlier = (
        f"SELECT true FROM {CHILD_TABLES['string'].name} earlier WHERE earlier.type = c.type AND earlier.id = c.id "
        f"AND earlier.parameter = c.parameter AND ({condition.replace('c.', 'earlier.')}) IS TRUE "
        f"AND (({text}, earlier.ctid) < ({columns[0]}, c.ctid)) IS TRUE LIMIT 1"
    )
    return (
        f"({matches} AND ({earlier}) IS NULL) found CROSS JOIN LATERAL "
        f"(SELECT * FROM {TYPES[resource_type].table} WHERE id = found.id OFFSET 0) r"
    )


def render_key(resource_type: str, key: SortKey, alias: str) -> RenderedKey:
    parameter = key.parameter
    if parameter is None:
        if key.code == "_id":
            return RenderedKey(key, "r.id", "id")
        return RenderedKey(key, "r.last_updated", "last_updated", "timestamptz")
    cast = CASTS.get(parameter.kind, "text")
    if parameter.in_rows:
        return RenderedKey(
            key, f"{alias}.value", alias, cast, join_rows(resource_type, parameter, key.descending, alias)
        )
    names = column_names(parameter)
    return RenderedKey(key, f"r.{names[-1] if key.descending else names[0]}", alias, cast)


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
