"""What the store takes and gives: a stored version with its audience, and a version about to be written."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from app.search.extract import IndexEntry

Key = tuple[str, str]
"""(resource type, id)"""

Due = tuple[datetime | None, timedelta | None, timedelta | None]
"""The clock of a Task: a moment, else a time after this version, else a shift of the moment that there was."""
NO_CLOCK: Due = (None, None, None)


class Stored(NamedTuple):
    """One version of a resource; ``content`` is its JSON text, empty where this version is a deletion.

    ``reduced`` is the part of the current version that those in ``reduced_for`` see; ``content`` is that part too where
    it was selected for one of them. A tuple, for a page is made of many.
    """

    type: str
    id: str
    version: int
    last_updated: datetime
    deleted: bool
    content: str
    owner_org: str
    shared_with: tuple[str, ...]
    referral: str | None = None
    requester_org: str | None = None
    assigned_org: str | None = None
    reduced: str | None = None
    reduced_for: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.type, self.id

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Draft:
    """A version about to be written.

    ``pieces`` are the text before the version number, between it and the time, and after: the database puts
    in both, so that the stamp is its own clock's (delivery.md, Polling).
    """

    type: str
    id: str
    pieces: tuple[str, str, str]
    index: IndexEntry
    owner_org: str
    shared_with: tuple[str, ...] = ()
    referral: str | None = None
    requester_org: str | None = None
    assigned_org: str | None = None
    due: Due = NO_CLOCK
