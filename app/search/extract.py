"""What the index holds of a resource: its search columns and child rows, compiled once for each type."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from app.fhir.registry import TYPES, Path, SearchParameter
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


def index_rows(parameter: SearchParameter, resource: dict[str, Any], base: str | None = None) -> list[Row]:
    """The index rows of one parameter."""
    index_value = KINDS[parameter.kind].index_value
    return [
        row
        for path in parameter.paths
        for value in find_values(resource, path)
        for row in index_value(path, value, base)
    ]


def scalar_width(parameter: SearchParameter) -> int:
    """How many search columns a single-valued parameter has."""
    return 2 if parameter.kind == "date" else 1


@cache
def list_row_paths(resource_type: str) -> dict[str, list[tuple[SearchParameter, Path]]]:
    """What the child rows of a type are made of, by the element that a path begins at; empty for the whole resource."""
    found: dict[str, list[tuple[SearchParameter, Path]]] = {}
    for parameter in TYPES[resource_type].indexed:
        if parameter.in_rows and parameter.stored_as == parameter.code:
            for path in parameter.paths:
                found.setdefault("".join(path.steps[:1]), []).append((parameter, path))
    return found


def has_same_rows(resource_type: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether two versions have the same values where child rows come from; with others rows may be the same too."""
    return all(
        (name and before.get(name) == after.get(name))
        or all(find_values(before, path) == find_values(after, path) for _, path in paths)
        for name, paths in list_row_paths(resource_type).items()
    )


@cache
def extractor(resource_type: str, base: str | None = None) -> Callable[[dict[str, Any]], IndexEntry]:
    """The function that indexes resources of a type; absolute references below ``base`` are indexed as relative."""
    single = [(each, scalar_width(each)) for each in TYPES[resource_type].indexed if not each.in_rows]
    paths = list_row_paths(resource_type)
    kinds = sorted({parameter.row_kind for each in paths.values() for parameter, _ in each})

    def extract(resource: dict[str, Any]) -> IndexEntry:
        columns: list[Any] = []
        for parameter, width in single:
            found = index_rows(parameter, resource, base)
            columns.extend(found[0][-width:] if found else (parameter.absent,) * width)
        rows: dict[str, set[Row]] = {kind: set() for kind in kinds}
        for name in ("", *resource):
            for parameter, path in paths.get(name, ()):
                index_value = KINDS[parameter.kind].index_value
                for value in find_values(resource, path):
                    rows[parameter.row_kind].update((parameter.code, *row) for row in index_value(path, value, base))
        return IndexEntry(tuple(columns), {kind: tuple(sorted(found)) for kind, found in rows.items()})

    return extract
