"""What searches are followed by Subscriptions, and the versions to hold against them, each once.

Read like a poll, below the low-water mark (docs/decisions/0013-classic-criteria.md): writers do nothing for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import asyncpg

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import TYPES
from app.store.read import read_row
from app.store.rows import Stored
from app.store.statements import audience_parameter, filter_visible, row_columns, shape, version_columns

RESOURCE_VERSION = "resource-version"
"""The topic of the events: one version of any resource."""


@dataclass(frozen=True, slots=True)
class Follower:
    """A Subscription that follows a search, from after ``since`` on, among what its ``scope`` sees."""

    webhook_id: str
    organization: str
    criteria: str
    since: datetime
    scope: Scope


PUT = """
INSERT INTO followed (webhook_id, type, criteria, since) VALUES ($1, $2, $3, $5)
ON CONFLICT (webhook_id) DO UPDATE SET type = excluded.type, criteria = excluded.criteria,
    since = CASE WHEN $4::bool AND followed.type = excluded.type THEN followed.since ELSE excluded.since END
"""
PUT_CURSOR = """
INSERT INTO follow_cursor (type, last_updated, id) VALUES ($1, $2, '') ON CONFLICT DO NOTHING
"""


async def put_followed(
    connection: Connection, webhook_id: str, resource_type: str, criteria: str, at: datetime, *, goes_on: bool
) -> None:
    """Follows a search from the version ``at`` of its Subscription, or with ``goes_on`` from where it was before."""
    await connection.execute(PUT, webhook_id, resource_type, criteria, goes_on, at)
    await connection.execute(PUT_CURSOR, resource_type, at)


async def delete_followed(connection: Connection, webhook_id: str) -> None:
    """Follows it no more."""
    await connection.execute("DELETE FROM followed WHERE webhook_id = $1", webhook_id)


async def is_any_followed(connection: Connection | asyncpg.Pool) -> bool:
    """Whether any search is followed at all."""
    found: bool = await connection.fetchval("SELECT EXISTS (SELECT 1 FROM followed)")
    return found


async def list_followed_types(connection: Connection) -> list[str]:
    """The types that some Subscription follows that is not off."""
    rows = await connection.fetch(
        "SELECT DISTINCT f.type FROM followed f JOIN webhook w ON w.id = f.webhook_id "
        "WHERE w.status <> 'off' ORDER BY f.type"
    )
    return [row[0] for row in rows]


async def skip_while_off(connection: Connection, mark: datetime) -> None:
    """What happens while a Subscription is off is not told to it, to the minute."""
    await connection.execute(
        "UPDATE followed f SET since = $1::timestamptz FROM webhook w "
        "WHERE w.id = f.webhook_id AND w.status = 'off' AND f.since < $1::timestamptz - interval '1 minute'",
        mark,
    )


async def list_followers(connection: Connection, resource_type: str) -> list[Follower]:
    """Those of a type, the ones that are off left out."""
    rows = await connection.fetch(
        "SELECT w.id, w.organization, f.criteria, f.since, CASE WHEN w.network THEN ARRAY("
        "SELECT n.member FROM network_member n WHERE n.coordinator = w.organization) END "
        "FROM followed f JOIN webhook w ON w.id = f.webhook_id "
        "WHERE f.type = $1 AND w.status <> 'off' ORDER BY f.webhook_id",
        resource_type,
    )
    return [Follower(row[0], row[1], row[2], row[3], Scope((row[1],), network=tuple(row[4] or ()))) for row in rows]


async def lock_cursor(connection: Connection, resource_type: str) -> tuple[datetime, str] | None:
    """How far a type has been looked at, ours until the transaction ends; None where another worker is at it."""
    row = await connection.fetchrow(
        "SELECT last_updated, id FROM follow_cursor WHERE type = $1 FOR UPDATE SKIP LOCKED", resource_type
    )
    return (row[0], row[1]) if row else None


async def move_cursor(connection: Connection, resource_type: str, last: Stored) -> None:
    """Everything up to this version has been looked at."""
    await connection.execute(
        "UPDATE follow_cursor SET last_updated = $2, id = $3 WHERE type = $1", resource_type, last.last_updated, last.id
    )


@cache
def versions_statement(resource_type: str, scope: Scope) -> str:
    """$1 audience, $2 and $3 the cursor, $4 the mark, $5 how many; a version of the past has today's audience."""
    table = TYPES[resource_type].table
    visible = filter_visible(resource_type, scope, 1)
    span = "({0}.last_updated, {0}.id) > ($2, $3) AND {0}.last_updated < $4 ORDER BY {0}.last_updated, {0}.id LIMIT $5"
    return (
        f"SELECT * FROM ((SELECT {row_columns(resource_type)} FROM {table} r WHERE {visible} AND {span.format('r')}) "
        f"UNION ALL (SELECT {version_columns(resource_type)} FROM resource_history h JOIN {table} r ON r.id = h.id "
        f"WHERE h.type = '{resource_type}' AND {visible} AND {span.format('h')})) v "
        "ORDER BY last_updated, id, version LIMIT $5"
    )


async def list_versions(
    connection: Connection, scope: Scope, resource_type: str, cursor: tuple[datetime, str], mark: datetime, most: int
) -> list[Stored]:
    """The next versions of a type after the cursor and below the mark, deletions too, in the order of their stamps."""
    statement = versions_statement(resource_type, shape(scope))
    rows = await connection.fetch(statement, audience_parameter(scope), *cursor, mark, most)
    return [read_row(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Told:
    """A version that some followers are told of."""

    stored: Stored
    labelled: bool
    followers: tuple[Follower, ...]


INSERT = """
INSERT INTO event
    (topic, referral, sequence, focus_type, focus_id, focus_version, audience, labelled, facts, keys, created_at)
SELECT $1, type || '/' || id || '/_history', version, type, id, version, string_to_array(audience, ' '), labelled, '{}',
       string_to_array(keys, ' '), at
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::bool[], $7::text[], $8::timestamptz[])
    WITH ORDINALITY AS v(type, id, version, audience, labelled, keys, at, place)
ORDER BY place ON CONFLICT (referral, sequence) DO NOTHING
"""
"""The stream of a version is its resource's history, and its place in it the version: two are told in their order."""


def follower_key(webhook_id: str) -> str:
    """What an event and the filter of its Subscription have in common."""
    return f"subscription={webhook_id}"


async def insert_version_events(connection: Connection, told: Sequence[Told]) -> None:
    """An event for each version, for its followers alone."""
    if not told:
        return
    await connection.execute(
        INSERT,
        RESOURCE_VERSION,
        [each.stored.type for each in told],
        [each.stored.id for each in told],
        [each.stored.version for each in told],
        [" ".join(sorted({follower.organization for follower in each.followers})) for each in told],
        [each.labelled for each in told],
        [" ".join(follower_key(follower.webhook_id) for follower in each.followers) for each in told],
        [each.stored.last_updated for each in told],
    )
