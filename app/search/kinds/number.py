"""Numbers, by the range that the digits of the search value imply (R4 search, 3.1.1.4.6)."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from app.core.errors import Unsupported
from app.fhir.registry import Path, SearchParameter
from app.search.escaping import unescape
from app.search.plan import NumberCriterion
from app.search.ranges import parse_number

Bounds = tuple[str, str, Decimal, Decimal]


class NumberKind:
    def index_value(self, path: Path, value: Any, base: str | None = None) -> Iterator[Bounds]:
        """(no system, no code, low, high): the digits of what is stored imply no range (R4 search, 3.1.1.4.6)."""
        if isinstance(value, int | Decimal):
            yield "", "", Decimal(value), Decimal(value)

    def parse(self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str) -> NumberCriterion:
        if modifier:
            raise Unsupported(f"The modifier :{modifier} is not offered on {parameter.code}", (parameter.code,))
        return NumberCriterion(parameter, tuple(parse_number(parameter.code, unescape(value)) for value in values))
