"""Text for a terminal: tables, moments, and nothing that a stranger's bytes could do to it."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from app.core.settings import Settings

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def plain(text: str) -> str:
    """The text with a ? for each control character: what came over the wire must not drive the terminal."""
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)


def moment(at: datetime | None, settings: Settings) -> str:
    """In the operator's time zone, to the second."""
    return f"{at.astimezone(ZoneInfo(settings.time_zone)):%Y-%m-%d %H:%M:%S %Z}" if at else "-"


def span(seconds: float | None) -> str:
    """A length of time in its largest unit."""
    if seconds is None:
        return "-"
    return next((f"{int(seconds // size)} {unit}" for unit, size in UNITS if seconds >= size), "0 s")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Columns, each as wide as its widest cell."""
    cells = [list(head), *([" ".join(plain(str(cell)).split()) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def read_moment(text: str, settings: Settings) -> datetime | None:
    """An ISO 8601 moment, in the operator's time zone where it names none; None for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(settings.time_zone))
