"""Dates, periods and timings as intervals (R4 search, 3.1.1.4.7)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from app.core.errors import Unsupported
from app.fhir.registry import Path, SearchParameter
from app.search.dates import FIRST, LAST, parse_interval, read_interval
from app.search.escaping import unescape
from app.search.plan import DateCriterion


class DateKind:
    def index_value(self, path: Path, value: Any) -> Iterator[tuple[datetime, datetime]]:
        """[low, high) of a date; an open side of a Period reaches to the end of time."""
        if isinstance(value, str):
            yield read_interval(value)
        elif path.type == "Period":
            low = read_interval(value["start"])[0] if "start" in value else FIRST
            high = read_interval(value["end"])[1] if "end" in value else LAST
            yield low, high
        elif path.type == "Timing":
            for event in value.get("event", ()):
                yield read_interval(event)

    def parse(self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str) -> DateCriterion:
        if modifier:
            raise Unsupported(f"The modifier :{modifier} is not offered on {parameter.code}", (parameter.code,))
        return DateCriterion(parameter, tuple(parse_interval(parameter.code, unescape(value)) for value in values))
