"""What the index holds of a resource: its search columns and child rows, compiled once for each type."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from app.fhir.registry import TYPES, SearchParameter
from app.search.elements import find_values
from app.search.kinds import KINDS

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """``columns``: one value for each search column of the type, in the registry's order (None is absent).

    ``rows``: for each kind its child rows, (parameter code, value columns...), sorted, without repetition.
    """

    columns: tuple[Any, ...]
    rows: dict[str, tuple[Row, ...]]


def index_rows(parameter: SearchParameter, resource: dict[str, Any], base: str | None = None) -> Iterator[Row]:
    """The index rows of one parameter."""
    kind = KINDS[parameter.kind]
    for path in parameter.paths:
        for value in find_values(resource, path):
            yield from kind.index_value(path, value, base)


def scalar_width(parameter: SearchParameter) -> int:
    """How many search columns a single-valued parameter has."""
    return 2 if parameter.kind == "date" else 1


@cache
def extractor(resource_type: str, base: str | None = None) -> Callable[[dict[str, Any]], IndexEntry]:
    """The function that indexes resources of a type; absolute references below ``base`` are indexed as relative."""
    parameters = TYPES[resource_type].indexed
    single = [each for each in parameters if not each.in_rows]
    many = [each for each in parameters if each.in_rows and each.stored_as == each.code]
    kinds = sorted({each.row_kind for each in many})

    def extract(resource: dict[str, Any]) -> IndexEntry:
        columns: list[Any] = []
        for parameter in single:
            width = scalar_width(parameter)
            row = next(index_rows(parameter, resource, base), None)
            columns.extend(row[-width:] if row else (parameter.absent,) * width)
        rows: dict[str, set[Row]] = {kind: set() for kind in kinds}
        for parameter in many:
            found = rows[parameter.row_kind]
            found.update((parameter.code, *row) for row in index_rows(parameter, resource, base))
        return IndexEntry(tuple(columns), {kind: tuple(sorted(found)) for kind, found in rows.items()})

    return extract
