"""Gathers what a transaction writes, and writes it in one statement: rows, history, index, packages, events, audit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.core.database import Connection
from app.core.errors import LostRace
from app.fhir.moments import write_instant
from app.models.search_rows import CHILD_TABLES
from app.store.audit import RECORD, AuditRow, copy_rows
from app.store.grounds import REPLACE, Ground, list_ground_values
from app.store.outbox import EVENTS, Event, list_event_values
from app.store.packages import open_step
from app.store.read import group_by_type, read_row
from app.store.rows import Draft, Key, Stored
from app.store.statements import (
    child_kinds,
    delete_statement,
    extra_columns,
    has_clock,
    insert_step,
    update_step,
)
from app.store.steps import Step, run_steps

TOGETHER = 3
"""Versions and audit rows in one statement at most: each mix of types is a statement of its own to be planned."""

Share = tuple[str, str]
Work = tuple[Step, Sequence[Any]]


def child_arrays(draft: Draft) -> list[list[Any]]:
    """The child rows turned into one array for each column, as the statements want them."""
    arrays: list[list[Any]] = []
    for kind in child_kinds(draft.type):
        width = len(CHILD_TABLES[kind].columns) - 2
        rows = draft.index.rows[kind]
        arrays.extend([list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)])
    return arrays


def extra_values(draft: Draft) -> list[str | None]:
    return [getattr(draft, name) for name in extra_columns(draft.type)]


@dataclass(slots=True)
class Version:
    """One that is about to be written. ``replaces`` is the version before it, 0 for none."""

    draft: Draft
    stored: Stored
    replaces: int
    children_changed: bool = True

    def step(self) -> Work:
        draft, stored = self.draft, self.stored
        moment, after, shift = draft.due
        moment = moment if moment or after is None else stored.last_updated + after
        children = child_arrays(draft) if self.children_changed else []
        values = [*extra_values(draft), *draft.index.columns]
        if not self.replaces:
            clock = [moment] if has_clock(draft.type) else []
            first = [draft.id, stored.last_updated, stored.content, draft.owner_org, list(stored.shared_with)]
            return insert_step(draft.type), [*first, *values, *clock, *children]
        clocks = [moment, shift] if has_clock(draft.type) else []
        first = [draft.id, self.replaces, stored.last_updated, stored.content]
        return update_step(draft.type, children=self.children_changed), [*first, *values, *clocks, *children]


def build_stored(
    draft: Draft, version: int, at: datetime, shared_with: tuple[str, ...], reduced_for: tuple[str, ...] = ()
) -> Stored:
    """A draft as it will stand: its text with the version and the time in it."""
    head, middle, tail = draft.pieces
    stamp = write_instant(at)
    return Stored(
        draft.type,
        draft.id,
        version,
        at,
        False,
        f"{head}{version}{middle}{stamp}{tail}",
        draft.owner_org,
        shared_with,
        draft.referral,
        draft.requester_org,
        draft.assigned_org,
        # What it shows in part is settled anew; to whom it did is remembered.
        reduced_for=reduced_for,
    )


@dataclass
class Batch:
    """What is to be written at once. Each row stands in it once: ``may_open`` tells what must be written out before."""

    versions: dict[Key, Version] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    share: Share | None = None
    members: dict[Key, int] = field(default_factory=dict)
    grounds: dict[Share, Sequence[Ground]] = field(default_factory=dict)

    def insert(self, draft: Draft, at: datetime) -> Stored:
        """The first version."""
        stored = build_stored(draft, 1, at, draft.shared_with)
        self.versions[stored.key] = Version(draft, stored, 0)
        return stored

    def update(self, draft: Draft, old: Stored, at: datetime, *, children_changed: bool) -> Stored:
        """The version after ``old``; owner and audience stay."""
        later = max(at, old.last_updated + timedelta(milliseconds=1))
        stored = build_stored(draft, old.version + 1, later, old.shared_with, old.reduced_for)
        self.versions[stored.key] = Version(draft, stored, old.version, children_changed)
        return stored

    def may_open(self, share: Share, keys: Iterable[Key]) -> bool:
        """Whether what is opened touches no row that is written here already, but first versions."""
        updated = any(key in self.versions and self.versions[key].replaces for key in keys)
        return self.share in (None, share) and not updated

    def open(self, share: Share, versions: Mapping[Key, int]) -> None:
        """Lets the organisation of a share read these resources because of its Task."""
        self.share = share
        self.members |= versions
        for key in versions.keys() & self.versions.keys():
            version = self.versions[key]
            version.stored = admit(version.stored, share[1])

    def steps(self) -> Iterable[Work]:
        """What there is to do but for the versions."""
        if self.share and self.members:
            standing = group_by_type(self.members.keys() - self.versions.keys())
            names, ids = zip(*sorted(self.members), strict=True)
            yield open_step(tuple(standing)), [*self.share, list(names), list(ids), *standing.values()]
        for share, grounds in self.grounds.items():
            yield REPLACE, list_ground_values(*share, grounds)

    def expect(self) -> dict[Key, int]:
        """The version of each row that must be there once this is written."""
        standing = {key: each for key, each in self.members.items() if key not in self.versions}
        return standing | {key: each.stored.version for key, each in self.versions.items() if each.replaces}

    async def write(self, connection: Connection, events: Sequence[Event], accesses: Sequence[AuditRow]) -> None:
        """Writes it all, in one statement unless it is much.

        Raises LostRace where a row has changed since it was read, asyncpg.UniqueViolationError where an id is taken.
        """
        versions = [self.versions[key].step() for key in sorted(self.versions)]
        others = list(self.steps())
        if self.begun or events:
            others.append((EVENTS, list_event_values(self.begun, events)))
        if len(accesses) <= TOGETHER:
            others += [(RECORD, row) for row in accesses]
        else:
            await copy_rows(connection, accesses)
        together = [[*versions, *others]] if len(versions) <= TOGETHER else [*([each] for each in versions), others]
        found: dict[Key, int] = {}
        for steps in together:
            if steps:
                found |= {(row[0], row[1]): row[2] for row in await run_steps(connection, steps)}
        for key, version in self.expect().items():
            if found.get(key) != version:
                raise LostRace(f"{key[0]}/{key[1]} was changed by someone else meanwhile")


def admit(stored: Stored, organization: str) -> Stored:
    """The row, once this organisation may read it."""
    known = organization in stored.shared_with or organization == stored.owner_org
    return stored if known else stored._replace(shared_with=(*stored.shared_with, organization))


async def delete_resource(connection: Connection, resource_type: str, resource_id: str, version: int) -> Stored:
    """The tombstone after ``version``. Raises LostRace where ``version`` is not current."""
    row = await connection.fetchrow(delete_statement(resource_type), resource_id, version)
    if row is None:
        raise LostRace(f"{resource_type}/{resource_id} was changed by someone else meanwhile")
    return read_row(row)
