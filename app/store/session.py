"""One transaction's view of the store: what it has read under its locks and what it writes, kept in line in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, cast

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import TYPES
from app.store.audit import AuditRow
from app.store.binaries import find_dependants
from app.store.grounds import Ground, hold_consents
from app.store.outbox import Event
from app.store.packages import find_package
from app.store.read import group_by_type, load_resources, read_row
from app.store.referrals import find_members, lock_referrals_of
from app.store.rows import Draft, Key, Stored
from app.store.statements import CLOCK, audience_parameter, filter_visible, row_columns
from app.store.write import Batch, Share, admit

EVERYTHING = Scope((), everything=True)
"""What a session holds is for the rules; who may see it is asked where it leaves."""

MEMBERS = ("Task", "CarePlan")
"""What a referral's package is made from."""

NO_ROW = (
    "NULL::bool, NULL::text, NULL::text, NULL::text[], NULL::text, NULL::text, NULL::text, NULL::text, NULL::text[]"
)


@dataclass(frozen=True, slots=True)
class Weighed:
    """The Consents that are weighed: those about these patients that an organisation keeps."""

    patients: frozenset[str] = frozenset()
    owner_org: str = ""


NOBODY = Weighed()


@cache
def prepare_statement(types: tuple[str, ...], *, sharing: bool) -> str:
    """$1 audience, one array of ids for each type; with ``sharing`` referrals, patients, organisation, references.

    The time of writing, and rows; with ``sharing`` the referrals' members, the Consents, and the ids of the Binaries
    that hang on the references.
    """
    parts = [
        f"SELECT 'at', NULL::text, NULL::text, NULL::text, NULL::bigint, {CLOCK}, {NO_ROW} WHERE $1::text[] IS NOT NULL"
    ]
    parts += [
        f"SELECT 'row', NULL, {row_columns(name)} FROM {TYPES[name].table} r WHERE r.id = ANY(${n}::text[]) "
        f"AND {filter_visible(name, EVERYTHING, 1)}"
        for n, name in enumerate(types, start=2)
    ]
    if sharing:
        n = len(types) + 2
        parts += [
            f"SELECT 'row', NULL, {row_columns(name)} FROM {TYPES[name].table} r WHERE r.referral = ANY(${n}::text[]) "
            f"AND {filter_visible(name, EVERYTHING, 1)}"
            for name in MEMBERS
        ]
        parts.append(
            f"SELECT 'consent', r.s_patient, {row_columns('Consent')} FROM {TYPES['Consent'].table} r "
            f"WHERE r.s_patient = ANY(${n + 1}::text[]) AND r.owner_org = ${n + 2} AND NOT r.deleted "
            f"AND {filter_visible('Consent', EVERYTHING, 1)}"
        )
        parts.append(
            f"SELECT 'hanging', c.security_context, NULL, c.id, NULL, NULL, {NO_ROW} FROM binary_content c "
            f"JOIN {TYPES['Binary'].table} r ON r.id = c.id AND r.version = c.version "
            f"WHERE c.security_context = ANY(${n + 3}::text[]) AND r.owner_org = ${n + 2}"
        )
    return " UNION ALL ".join(parts)


@dataclass
class Session:
    """Stands where a connection stands: a statement that is sent through it first writes what waits, then forgets what
    is known, for it may change anything. ``fresh`` are resources that are to be made, ``made`` those that are.

    ``at`` is the time of writing, taken once in each transaction (0010-polling-low-water-mark.md).
    """

    inner: Connection
    at: datetime | None = None
    rows: dict[Key, Stored | None] = field(default_factory=dict)
    whole: set[Key] = field(default_factory=set)
    consents: dict[tuple[str, str], tuple[datetime, list[Stored]]] = field(default_factory=dict)
    packages: dict[Share, set[Key]] = field(default_factory=dict)
    hanging: dict[tuple[Key, str], list[str]] = field(default_factory=dict)
    fresh: set[Key] = field(default_factory=set)
    made: set[Key] = field(default_factory=set)
    batch: Batch = field(default_factory=Batch)

    async def fetch(self, *arguments: Any) -> Any:
        return await (await self.settle()).fetch(*arguments)

    async def fetchrow(self, *arguments: Any) -> Any:
        return await (await self.settle()).fetchrow(*arguments)

    async def fetchval(self, *arguments: Any) -> Any:
        return await (await self.settle()).fetchval(*arguments)

    async def execute(self, *arguments: Any) -> Any:
        return await (await self.settle()).execute(*arguments)

    @property
    def connection(self) -> Connection:
        """This session, for functions that want a connection."""
        return cast(Connection, self)

    async def settle(self) -> Connection:
        """Writes what waits and forgets what is known; the connection itself."""
        await self.flush()
        for known in (self.rows, self.whole, self.consents, self.packages, self.hanging):
            known.clear()
        return self.inner

    async def flush(self, events: Sequence[Event] = (), accesses: Sequence[AuditRow] = ()) -> None:
        """Writes what waits. Raises LostRace, asyncpg.UniqueViolationError."""
        batch, self.batch = self.batch, Batch()
        await batch.write(self.inner, events, accesses)

    async def stamp(self) -> datetime:
        """The time of writing."""
        if self.at is None:
            self.at = await self.inner.fetchval(f"SELECT {CLOCK}")
        return self.at

    async def prepare(
        self, scope: Scope, touched: Iterable[Key], keys: Iterable[Key], weighed: Weighed = NOBODY
    ) -> None:
        """Locks the referrals of what is touched and holds the Consents, then reads these rows and what is weighed."""
        referrals: list[str] = []
        held: datetime | None = None
        locking = list(touched)
        if locking or weighed.patients:
            await self.settle()
            referrals, held = await lock_referrals_of(self.inner, scope, locking, sorted(weighed.patients))
        wanted = set(keys) - self.rows.keys() - self.fresh
        if wanted or held or self.at is None:
            await self.load(wanted, referrals, weighed, held)

    async def load(self, wanted: set[Key], referrals: list[str], weighed: Weighed, held: datetime | None) -> None:
        """One statement for all of it; ``held`` is since when the Consents are."""
        grouped = group_by_type(wanted)
        sharing = [referrals, [f"Patient/{each}" for each in sorted(weighed.patients)], weighed.owner_org]
        if held:
            sharing.append([f"{name}/{each}" for name, each in sorted(wanted)])
            self.expect(wanted, referrals, weighed, held)
        found = await self.inner.fetch(
            prepare_statement(tuple(grouped), sharing=held is not None),
            audience_parameter(EVERYTHING),
            *grouped.values(),
            *(sharing if held else ()),
        )
        self.rows |= dict.fromkeys(wanted)
        for row in found:
            self.take(row, weighed)

    def expect(self, wanted: set[Key], referrals: list[str], weighed: Weighed, held: datetime) -> None:
        """What is not found now is known to be absent."""
        self.whole |= {(name, each) for name in MEMBERS for each in referrals}
        self.consents |= {(each, weighed.owner_org): (held, []) for each in weighed.patients}
        self.hanging |= {(key, weighed.owner_org): [] for key in wanted}

    def take(self, row: Any, weighed: Weighed) -> None:
        """One row of what ``prepare_statement`` gives."""
        what, about = row[0], row[1]
        if what == "at":
            self.at = self.at or row[5]
        elif what == "row":
            stored = read_row(row[2:])
            self.rows[stored.key] = stored
        elif what == "consent":
            self.consents[about.removeprefix("Patient/"), weighed.owner_org][1].append(read_row(row[2:]))
        else:
            name, _, each = about.partition("/")
            self.hanging[(name, each), weighed.owner_org].append(row[3])

    async def find_rows(self, keys: Iterable[Key]) -> dict[Key, Stored]:
        """The current versions of these resources, whoever may see them."""
        wanted = list(keys)
        missing = set(wanted) - self.rows.keys() - self.fresh
        if missing:
            self.rows |= dict.fromkeys(missing)
            self.rows |= await load_resources(self.inner, EVERYTHING, missing)
        return {key: row for key in wanted if (row := self.rows.get(key))}

    async def find_members(self, resource_type: str, referral: str) -> list[Stored]:
        """As ``app.store.referrals.find_members``, with what waits to be written."""
        if (resource_type, referral) not in self.whole:
            for row in await find_members(self.inner, EVERYTHING, resource_type, referral):
                if row.key not in self.batch.versions:
                    self.rows[row.key] = row
            self.whole.add((resource_type, referral))
        members = [row for row in self.rows.values() if row and (row.type, row.referral) == (resource_type, referral)]
        return sorted((row for row in members if not row.deleted), key=lambda row: row.id)

    async def find_consents(self, patient: str, owner_org: str) -> tuple[datetime, list[Stored]]:
        """The Consents about a patient that an organisation keeps, and since when they are held still."""
        key = (patient, owner_org)
        if key not in self.consents:
            await self.flush()
            held = await hold_consents(self.inner, [patient], writing=False)
            await self.load(set(), [], Weighed(frozenset({patient}), owner_org), held)
        held, rows = self.consents[key]
        return held, sorted(rows, key=lambda row: row.id)

    async def find_package(self, task_id: str, organization: str) -> set[Key]:
        """What the organisation reads because of this Task."""
        share = (task_id, organization)
        if share not in self.packages:
            opened = self.batch.members.keys() if self.batch.share == share else set()
            self.packages[share] = await find_package(self.inner, task_id, organization) | opened
        return set(self.packages[share])

    async def find_dependants(self, keys: Iterable[Key], owner_org: str) -> list[str]:
        """The ids of the organisation's Binaries whose security context is one of these."""
        standing = set(keys) - self.made
        unknown = {key for key in standing if (key, owner_org) not in self.hanging}
        found = {each for key in standing - unknown for each in self.hanging[key, owner_org]}
        if unknown:
            found |= set(await find_dependants(self.inner, unknown, owner_org))
        return sorted(found)

    async def insert(self, draft: Draft) -> Stored:
        """The first version."""
        stored = self.batch.insert(draft, await self.stamp())
        self.rows[stored.key] = stored
        if stored.key in self.fresh:
            self.fresh.discard(stored.key)
            self.made.add(stored.key)
            if stored.referral == stored.reference:
                self.whole |= {(name, stored.referral) for name in MEMBERS}
            if stored.assigned_org:
                self.packages[stored.id, stored.assigned_org] = set()
        return stored

    async def update(self, draft: Draft, old: Stored, *, children_changed: bool = True) -> Stored:
        """The version after ``old``; owner and audience stay."""
        if old.key in self.batch.versions or old.key in self.batch.members:
            await self.flush()
        stored = self.batch.update(draft, old, await self.stamp(), children_changed=children_changed)
        self.rows[stored.key] = stored
        return stored

    async def open_package(self, task_id: str, organization: str, versions: Mapping[Key, int]) -> None:
        """Lets the organisation read these resources because of this Task; what it reads already stays.

        ``versions`` are those that were weighed: LostRace comes where a resource has changed since, perhaps its label.
        """
        share = (task_id, organization)
        if not versions:
            return
        if not self.batch.may_open(share, versions):
            await self.flush()
        self.batch.open(share, versions)
        for key in versions:
            if row := self.rows.get(key):
                self.rows[key] = admit(row, organization)
        if share in self.packages:
            self.packages[share] |= versions.keys()

    async def replace_grounds(self, task_id: str, organization: str, grounds: Sequence[Ground]) -> None:
        """What the package rests on from now on; nothing where it is closed."""
        share = (task_id, organization)
        if self.batch.grounds.get(share) == ():
            await self.flush()  # what was taken away and comes back has no time to close at any more
        self.batch.grounds[share] = tuple(grounds)

    def begin_referral(self, referral: str) -> None:
        """The row of a new referral, held because this transaction makes it."""
        self.batch.begun.add(referral)
