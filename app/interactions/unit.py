"""One unit of work: what one caller does in one transaction, tried again when it loses a race."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

import asyncpg

from app.access.scope import scope_of
from app.audit.access import note_recorded
from app.audit.record import build_unit_row
from app.core.caller import Caller, Scope
from app.core.database import Connection
from app.core.errors import Conflict, Issue, LostRace, Unavailable
from app.interactions.hub import Hub
from app.models.resources import REFERRAL_TYPES
from app.store.audit import AuditRow
from app.store.outbox import Event
from app.store.referrals import lock_referrals_of
from app.store.rows import Key, Stored
from app.store.session import NOBODY, Session, Weighed

Result = TypeVar("Result")

SYSTEM = Scope((), everything=True)
"""For what the server looks up or changes by itself; nothing read under it leaves with the answer."""

ATTEMPTS = 8
RACES = (
    LostRace,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
)


@dataclass
class Unit:
    """A transaction under way.

    ``issues`` are warnings for the answer; ``events`` are written last, when the referral's sequence is taken;
    ``focused`` are ServiceRequests (``ServiceRequest/id``) that a Task of the same Bundle has as its focus;
    ``coming`` are the resources that entries of the same Bundle create, which may be referred to before they exist;
    ``mark`` is the polling mark from before the transaction, if it searches, and ``lenient`` whether a search ignores
    what it does not know, as ``parse_search`` does; ``subject`` is the version that the caller wrote, and ``entries``
    are the audit rows of a Bundle's entries.
    """

    hub: Hub
    caller: Caller
    scope: Scope
    session: Session
    issues: list[Issue] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    focused: frozenset[str] = frozenset()
    coming: frozenset[Key] = frozenset()
    locked: set[Key] = field(default_factory=set)
    mark: datetime | None = None
    lenient: bool = False
    subject: Stored | None = None
    entries: list[AuditRow] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        """For what is not asked often: it sees all that was written before."""
        return self.session.connection

    @property
    def reach(self) -> Scope:
        """What a write of the caller's may touch: of those that it acts for, also what they keep from its eyes."""
        acts_for = self.caller.acts_for
        return replace(self.scope, organizations=(*self.scope.organizations, *acts_for)) if acts_for else self.scope

    def act_for(self, organization: str) -> "Unit":
        """This transaction as the doing of a member of the caller's network: its eyes, and what it alone is told."""
        if organization not in self.caller.network:
            return self
        caller = replace(self.caller, organization=organization, network=(), acts_for=())
        return replace(self, caller=caller, scope=Scope((organization,)), issues=[])

    async def prepare(self, touched: Iterable[Key], keys: Iterable[Key], weighed: Weighed = NOBODY) -> None:
        """Locks the referrals of what is touched, then reads at once what a write will ask for."""
        locking = {key for key in touched if key[0] in REFERRAL_TYPES} - self.locked
        self.locked |= locking
        await self.session.prepare(self.reach, locking, keys, weighed)

    async def lock_referrals(self, keys: Iterable[Key]) -> None:
        """Locks the referrals of these resources, those apart that this transaction has locked or begun."""
        wanted = {key for key in keys if key[0] in REFERRAL_TYPES} - self.locked
        if wanted:
            await lock_referrals_of(self.connection, self.reach, wanted)
            self.locked |= wanted


async def run_unit(hub: Hub, caller: Caller, work: Callable[[Unit], Awaitable[Result]]) -> Result:
    """Runs ``work`` in one transaction: all of it is committed, or none.

    Raises Conflict after too many lost races, Unavailable where the database cannot be reached or is too slow.
    """
    for attempt in range(ATTEMPTS):
        try:
            async with hub.pool.acquire() as connection, connection.transaction():
                unit = Unit(hub, caller, scope_of(caller, hub.settings), Session(connection))
                result = await work(unit)
                recorded = list_accesses(unit)
                await unit.session.flush(unit.events, recorded)
        except RACES:
            # A jittered pause lets the winner finish; the loser then reads what it wrote.
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 -- no secret
        except asyncpg.QueryCanceledError as error:
            raise Unavailable("The database took too long; try again") from error
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
            raise Unavailable("The database cannot be reached; try again") from error
        else:
            if recorded:
                note_recorded()
            hub.low_water.expire()
            if unit.events:
                hub.announcer.announce()
            return result
    raise Conflict("Other writers kept changing the same resources; try again")


def list_accesses(unit: Unit) -> list[AuditRow]:
    """What the audit trail says of this transaction: the entries of a Bundle, else the one thing that was done."""
    if unit.entries:
        return unit.entries
    row = build_unit_row(unit.caller, unit.subject, unit.hub.trail.hasher)
    return [row] if row else []
