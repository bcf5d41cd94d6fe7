"""Holds each new version against the searches that Subscriptions follow (R4 Subscription, criteria)."""

import logging
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from app.core.caller import Scope
from app.core.database import DATABASE_AWAY, Connection
from app.core.errors import HandoffError
from app.core.settings import Settings
from app.delivery.criteria import parse_criteria
from app.fhir.json_text import STORED_LIMITS, parse
from app.fhir.labels import is_labelled
from app.search.match import Version
from app.search.plan import Criterion
from app.store.audience import sees_whole
from app.store.followed import (
    Follower,
    Told,
    insert_version_events,
    is_any_followed,
    list_followed_types,
    list_followers,
    list_versions,
    lock_cursor,
    move_cursor,
    skip_while_off,
)
from app.store.low_water import LowWater
from app.store.rows import Stored

logger = logging.getLogger("handoff.delivery")

BATCH = 200
SYSTEM = Scope((), everything=True)
"""What is read here leaves only after the audience of each follower was asked, and again when it is sent."""


@dataclass
class Follow:
    """One worker's eyes on the followed types; any number of workers may look at once."""

    pool: asyncpg.Pool
    settings: Settings
    base_url: str
    low_water: LowWater = field(default_factory=LowWater)

    async def look(self) -> int:
        """Looks at what came since; how many versions were told to somebody."""
        if not await is_any_followed(self.pool):
            return 0
        async with self.pool.acquire() as connection:
            # Before any of it is read, and in no transaction: whatever is stamped below has been committed by then.
            mark = await self.low_water.read(connection)
            await skip_while_off(connection, mark)
            types = await list_followed_types(connection)
            told = 0
            for each in types:
                try:
                    told += await self.look_at(connection, each, mark)
                except DATABASE_AWAY:
                    raise
                except Exception:
                    # One type that cannot be looked at must not keep the others waiting.
                    logger.exception("What is followed of %s could not be looked at", each)
            return told

    async def look_at(self, connection: Connection, resource_type: str, mark: datetime) -> int:
        """One type, batch by batch: what is told and how far it was looked are one transaction each."""
        told, seen = 0, BATCH
        while seen == BATCH:
            async with connection.transaction():
                cursor = await lock_cursor(connection, resource_type)
                if cursor is None:
                    return told
                followers = await list_followers(connection, resource_type)
                if not followers:
                    return told
                start = max(cursor, (min(each.since for each in followers), ""))
                versions = await list_versions(connection, SYSTEM, resource_type, start, mark, BATCH)
                seen = len(versions)
                if versions:
                    found = await self.weigh(connection, resource_type, followers, versions)
                    await insert_version_events(connection, found)
                    await move_cursor(connection, resource_type, versions[-1])
                    told += len(found)
        return told

    async def weigh(
        self, connection: Connection, resource_type: str, followers: list[Follower], versions: list[Stored]
    ) -> list[Told]:
        """Which versions are told, and to whom. A search that is understood no more puts its Subscription in error."""
        wanted: list[tuple[Follower, tuple[Criterion, ...]]] = []
        for each in followers:
            try:
                wanted.append((each, parse_criteria(each.criteria, self.settings, self.base_url)[1]))
            except HandoffError as error:
                logger.warning("The criteria of Subscription %s are not understood", each.webhook_id)
                await connection.execute(
                    "UPDATE webhook SET status = 'error', error = $2 WHERE id = $1 AND status = 'active'",
                    each.webhook_id,
                    f"criteria: {error.diagnostics}",
                )
        found = (self.weigh_version(each, wanted) for each in versions if not each.deleted)
        return [each for each in found if each.followers]

    def weigh_version(self, stored: Stored, wanted: list[tuple[Follower, tuple[Criterion, ...]]]) -> Told:
        """Who is told of one version: whoever may see the resource, and asked for one like this."""
        near = [each for each in wanted if stored.last_updated > each[0].since and sees_whole(each[0].scope, stored)]
        if not near:
            return Told(stored, False, ())
        resource = parse(stored.content.encode(), STORED_LIMITS)
        version = Version(resource, stored.last_updated, self.base_url)
        told = tuple(follower for follower, criteria in near if version.meets(criteria))
        return Told(stored, is_labelled(resource), told)
