"""Writes instants, and orders dates and times of differing precision (FHIRPath, comparison)."""

import re
from datetime import UTC, datetime, timedelta

_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?", re.ASCII)
_DAY = 10  # characters of YYYY-MM-DD


def write_instant(moment: datetime) -> str:
    """A moment in UTC as an instant, to the millisecond as everything is stamped (R4 datatypes, instant)."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_after(first: str, second: str) -> bool:
    """Whether ``first`` is certainly later than ``second``; what cannot be told, or read, is not."""
    left, right = _read_moment(first), _read_moment(second)
    if left is not None and right is not None:
        return left > right
    first, second = first[:_DAY], second[:_DAY]
    if not (_DATE.fullmatch(first) and _DATE.fullmatch(second)):
        return False
    shared = min(len(first), len(second))
    return first[:shared] > second[:shared]


def _read_moment(value: str) -> tuple[datetime, str] | None:
    found = _MOMENT.fullmatch(value)
    if not found:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction, sign, hours, minutes = found.groups()[6:]
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        moment += timedelta(seconds=second - min(second, 59))
        if sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            moment += -offset if sign == "+" else offset
    except (ValueError, OverflowError):
        return None
    return moment, (fraction or "").rstrip("0")
