"""Composites: two values that stand in one element, joined by $ (R4 search, 3.1.1.4.17)."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from app.core.errors import Invalid, Unsupported
from app.fhir.registry import Path, SearchParameter
from app.search.elements import find_values
from app.search.escaping import split_values
from app.search.plan import CompositeCriterion, RowCriterion, TokenCriterion

if TYPE_CHECKING:
    from app.search.kinds import Kind

PLACES = {
    "token": ("system", "code"),
    "quantity": ("system", "code", "low", "high"),
    "reference": ("target",),
    "string": ("folded",),
    "date": ("since", "until"),
}
"""The columns that a row of the second component fills; the first is a token, ``key_system`` and ``key_code``."""

VALUE_COLUMNS = ("system", "code", "target", "folded", "low", "high", "since", "until")


class CompositeKind:
    def __init__(self, kinds: Mapping[str, "Kind"]) -> None:
        """``kinds`` are those of the components."""
        self.kinds = kinds

    def index_value(self, path: Path, value: Any, base: str | None = None) -> Iterator[tuple[Any, ...]]:
        """(key system, key code, the value columns): each first value with each second one of the same element."""
        first, second = path.components
        values = [dict(zip(PLACES[second.kind], row, strict=False)) for row in self.list_rows(second, value, base)]
        for key in self.list_rows(first, value, base):
            for named in values:
                yield *key, *(named.get(column) for column in VALUE_COLUMNS)

    def list_rows(self, component: SearchParameter, element: Any, base: str | None) -> list[tuple[Any, ...]]:
        """The index rows that a component would have by itself."""
        kind = self.kinds[component.kind]
        found = [(path, value) for path in component.paths for value in find_values(element, path)]
        return [row for path, value in found for row in kind.index_value(path, value, base)]

    def parse(
        self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str
    ) -> CompositeCriterion:
        if modifier:
            raise Unsupported(f"The modifier :{modifier} is not offered on {parameter.code}", (parameter.code,))
        return CompositeCriterion(parameter, tuple(self.parse_value(parameter, value, base) for value in values))

    def parse_value(self, parameter: SearchParameter, text: str, base: str) -> tuple[TokenCriterion, RowCriterion]:
        """``first$second``, each as its own kind reads it."""
        components, parts = parameter.paths[0].components, split_values(text, "$")
        if len(parts) != len(components):
            raise Invalid(f"{text!r} is not {len(components)} values with $ between", (parameter.code,))
        first, second = (
            self.kinds[component.kind].parse(component, None, [part], base)
            for component, part in zip(components, parts, strict=True)
        )
        if not isinstance(first, TokenCriterion) or not isinstance(second, RowCriterion):
            raise TypeError(f"{parameter.code} is no pair of a token and a value")  # the generator makes none
        return first, second
