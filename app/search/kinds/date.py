"""Dates, periods and timings as intervals (R4 search, 3.1.1.4.7)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from app.core.errors import Unsupported
from app.fhir.registry import Path, SearchParameter
from app.search.dates import FIRST, LAST, parse_interval, read_interval
from app.search.escaping import unescape
from app.search.plan import DateCriterion


def read_period(period: Any) -> tuple[datetime, datetime]:
    """[low, high) of a Period; an open side reaches to the end of time."""
    low = read_interval(period["start"])[0] if "start" in period else FIRST
    high = read_interval(period["end"])[1] if "end" in period else LAST
    return low, high


class DateKind:
    def index_value(self, path: Path, value: Any, base: str | None = None) -> Iterator[tuple[datetime, datetime]]:
        """[low, high) of a date; an open side of a Period reaches to the end of time."""
        if isinstance(value, str):
            yield read_interval(value)
        elif path.type == "Period":
            yield read_period(value)
        elif path.type == "Timing":
            yield from self.bound_timing(value)

    @staticmethod
    def bound_timing(timing: Any) -> Iterator[tuple[datetime, datetime]]:
        """The outer limits of its events and of the Period that bounds it; no detail counts (R4 search, 3.1.1.4.7)."""
        spans = [read_interval(event) for event in timing.get("event", ()) if event]
        bounds = timing.get("repeat", {}).get("boundsPeriod")
        if bounds:
            spans.append(read_period(bounds))
        if spans:
            yield min(low for low, _ in spans), max(high for _, high in spans)

    def parse(self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str) -> DateCriterion:
        if modifier:
            raise Unsupported(f"The modifier :{modifier} is not offered on {parameter.code}", (parameter.code,))
        return DateCriterion(parameter, tuple(parse_interval(parameter.code, unescape(value)) for value in values))
