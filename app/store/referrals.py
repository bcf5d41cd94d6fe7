"""The referral: its row lock, taken first by every transaction that writes in it, and its members (delivery.md)."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import TYPES
from app.models.resources import REFERRAL_TYPES
from app.store.read import group_by_type, read_row
from app.store.rows import Key, Stored
from app.store.statements import audience_parameter, filter_visible, row_columns, shape


@cache
def lock_statement(types: tuple[str, ...], scope: Scope, *, hold: bool) -> str:
    """$1 audience, then one array of ids for each type, then with ``hold`` the keys of patients.

    The referrals first, in the order of their ids; then what there is of Consents about these patients, as
    ``hold_consents`` does.
    """
    members = " UNION ALL ".join(
        f"SELECT r.referral FROM {TYPES[name].table} r "
        f"WHERE r.id = ANY(${n}::text[]) AND {filter_visible(name, scope, 1, parts=True)}"
        for n, name in enumerate(types, start=2)
    )
    members = members or "SELECT NULL::text WHERE $1::text[] IS NULL"
    locked = f"SELECT id FROM referral WHERE id = ANY(ARRAY({members})) ORDER BY id FOR UPDATE"
    held = (
        "SELECT clock_timestamp() FROM (SELECT count(pg_advisory_xact_lock_shared(hashtextextended(id, 25))) "
        f"FROM (SELECT id FROM unnest(${len(types) + 2}::text[]) AS p(id) WHERE (SELECT count(*) FROM locked) >= 0 "
        "ORDER BY id) AS each) AS held"
        if hold
        else "NULL::timestamptz"
    )
    return f"WITH locked AS MATERIALIZED ({locked}) SELECT (SELECT array_agg(id) FROM locked), ({held})"


async def lock_referrals_of(
    connection: Connection, scope: Scope, keys: Iterable[Key], patients: Iterable[str] = ()
) -> tuple[list[str], datetime | None]:
    """Locks the referrals of these resources, then holds the patients' Consents, until the transaction ends.

    The ids of the referrals, and the database's time since which the Consents are held. Read in a statement after this
    one, which sees what whoever held them before has committed.
    """
    grouped = {name: ids for name, ids in group_by_type(keys).items() if name in REFERRAL_TYPES}
    held = [f"Patient/{each}" for each in patients]
    if not grouped and not held:
        return [], None
    row: Any = await connection.fetchrow(
        lock_statement(tuple(grouped), shape(scope), hold=bool(held)),
        audience_parameter(scope),
        *grouped.values(),
        *([held] if held else []),
    )
    return row[0] or [], row[1]


async def find_members(connection: Connection, scope: Scope, resource_type: str, referral: str) -> list[Stored]:
    """The resources of one of the referral's types that belong to it, deleted ones left out."""
    rows = await connection.fetch(
        f"SELECT {row_columns(resource_type)} FROM {TYPES[resource_type].table} r "
        f"WHERE r.referral = $2 AND NOT r.deleted AND {filter_visible(resource_type, scope, 1)} ORDER BY r.id",
        audience_parameter(scope),
        referral,
    )
    return [read_row(row) for row in rows]
