"""FHIR dates of any precision as intervals of time (R4 search, 3.1.1.4.7)."""

import re
from datetime import UTC, datetime, timedelta

from app.core.errors import Invalid
from app.search.plan import Comparator, Interval

DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
COMPARATORS: tuple[Comparator, ...] = ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def read_interval(text: str) -> tuple[datetime, datetime]:
    """The interval of a date, dateTime or instant; without a zone it is read as UTC.

    Raises ValueError where the text is no date.
    """
    found = DATE.fullmatch(text)
    if not found:
        raise ValueError(text)
    part = found.groupdict()
    zone = (part["zone"] or "Z").replace("Z", "+00:00")
    fraction = (part["fraction"] or "")[:6]
    second = min(int(part["second"] or 0), 59)  # a leap second counts as the one before it
    stamp = (
        f"{part['year']}-{part['month'] or '01'}-{part['day'] or '01'}"
        f"T{part['hour'] or '00'}:{part['minute'] or '00'}:{second:02}.{fraction:0<6}{zone}"
    )
    low = datetime.fromisoformat(stamp).astimezone(UTC)
    return low, min(end_of(low, part, fraction), LAST)


def end_of(low: datetime, part: dict[str, str | None], fraction: str) -> datetime:
    """The first moment after the interval that begins at ``low``."""
    try:
        if part["fraction"]:
            return low + timedelta(microseconds=10 ** (6 - len(fraction)))
        if part["second"]:
            return low + timedelta(seconds=1)
        if part["hour"]:
            return low + timedelta(minutes=1)
        if part["day"]:
            return low + timedelta(days=1)
        if part["month"]:
            return (low.replace(day=1) + timedelta(days=32)).replace(day=1)
        return low.replace(year=low.year + 1)
    except (OverflowError, ValueError):
        return LAST


def widen_interval(low: datetime, high: datetime, now: datetime) -> tuple[datetime, datetime]:
    """The interval that ``ap`` means: a tenth of the gap between it and now on both sides (R4 search, 3.1.1.4.5)."""
    gap = max(low - now, now - high, timedelta()) / 10
    return low - min(gap, low - FIRST), high + min(gap, LAST - high)


def parse_interval(code: str, text: str) -> Interval:
    """A search value such as ``ge2026-01``. Raises Invalid."""
    comparator: Comparator = "eq"
    value = text
    for each in COMPARATORS:
        if text.startswith(each):
            comparator, value = each, text[2:]
            break
    # An unescaped + in a query string arrives as a space; a date holds no other.
    value = value.replace(" ", "+")
    try:
        low, high = read_interval(value)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{text!r} is not a date, nor a prefix and a date", (code,)) from error
    if comparator == "ap":
        low, high = widen_interval(low, high, datetime.now(UTC))
    return Interval(comparator, low, high)
