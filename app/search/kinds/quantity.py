"""Quantities: a number, and the unit by system and code or by its text (R4 search, 3.1.1.4.11)."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from app.core.errors import Invalid, Unsupported
from app.fhir.registry import Path, SearchParameter
from app.search.escaping import split_values, unescape
from app.search.keys import index_key
from app.search.plan import NumberCriterion, NumberRange
from app.search.ranges import parse_number

Bounds = tuple[str, str, Decimal, Decimal]
LOWEST, HIGHEST = Decimal("-Infinity"), Decimal("Infinity")
OPEN_BELOW, OPEN_ABOVE = ("<", "<="), (">", ">=")


class QuantityKind:
    def index_value(self, path: Path, value: Any, base: str | None = None) -> Iterator[Bounds]:
        """(system, code, low, high), and once more under the text of the unit where that differs from the code.

        A Range reaches from its low to its high, a comparator to the end of the numbers. The samples of SampledData
        are no quantity to compare with.
        """
        if path.type == "SampledData" or not isinstance(value, dict):
            return
        low = high = value
        if path.type == "Range":
            low, high = value.get("low", {}), value.get("high", {})
        if not ("value" in low or "value" in high):
            return
        bounds = (
            LOWEST if low.get("comparator") in OPEN_BELOW or "value" not in low else Decimal(low["value"]),
            HIGHEST if high.get("comparator") in OPEN_ABOVE or "value" not in high else Decimal(high["value"]),
        )
        measured = low if "value" in low else high
        code, unit = measured.get("code", ""), measured.get("unit", "")
        yield index_key(measured.get("system", "")), index_key(code), *bounds
        if unit and unit != code:
            yield "", index_key(unit), *bounds

    def parse(self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str) -> NumberCriterion:
        if modifier:
            raise Unsupported(f"The modifier :{modifier} is not offered on {parameter.code}", (parameter.code,))
        return NumberCriterion(parameter, tuple(self.parse_value(parameter.code, value) for value in values))

    @staticmethod
    def parse_value(code: str, text: str) -> NumberRange:
        """``number``, ``number|system|code``, or ``number||unit`` for a code or a unit of any system."""
        parts = [unescape(part) for part in split_values(text, "|")]
        number = parse_number(code, parts[0])
        if len(parts) == 1:
            return number
        if len(parts) != 3 or not parts[2]:
            raise Invalid(f"{text!r} is not number, number|system|code or number||code", (code,))
        return replace(number, system=index_key(parts[1]) if parts[1] else None, code=index_key(parts[2]))
