"""The query with which a client polls again: the same, from the mark on."""

from collections.abc import Sequence
from datetime import datetime

from app.fhir.moments import write_instant
from app.search.dates import read_interval

NEXT_POLL = "urn:warm-handoff:next-poll"
"""The link's relation; one that is not registered is a URI (RFC 8288, 2.1.2)."""


def write_next_poll(query: Sequence[tuple[str, str]], mark: datetime) -> list[tuple[str, str]] | None:
    """The query with the mark in place of its lower bounds; None where a bound is more than one plain comparison.

    It never leads back: another process may have given the caller a later mark than this one knows of.
    """
    kept = []
    for name, value in query:
        if name != "_lastUpdated":
            kept.append((name, value))
        elif "," in value or value[:2] not in ("gt", "ge", "sa", "lt", "le", "eb"):
            return None
        elif value[:2] in ("lt", "le", "eb"):
            kept.append((name, value))
        else:
            mark = max(mark, read_interval(value[2:])[0])
    return [*kept, ("_lastUpdated", f"ge{write_mark(mark)}")]


def write_mark(mark: datetime) -> str:
    """The mark as an instant in an address."""
    return write_instant(mark)
