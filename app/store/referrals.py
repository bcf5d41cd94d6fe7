"""The referral: its row lock, taken first by every transaction that writes in it, and its members (delivery.md)."""

from collections.abc import Iterable

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import TYPES
from app.models.resources import REFERRAL_TYPES
from app.store.read import group_by_type, read_row
from app.store.rows import Key, Stored
from app.store.statements import audience_parameter, filter_visible, row_columns


async def lock_referrals_of(connection: Connection, scope: Scope, keys: Iterable[Key]) -> None:
    """Locks, in id order, the referrals to which these resources belong, until the transaction ends."""
    grouped = {name: ids for name, ids in group_by_type(keys).items() if name in REFERRAL_TYPES}
    if not grouped:
        return
    members = " UNION ALL ".join(
        f"SELECT r.referral FROM {TYPES[name].table} r "
        f"WHERE r.id = ANY(${n}::text[]) AND {filter_visible(name, scope, 1, parts=True)}"
        for n, name in enumerate(grouped, start=2)
    )
    await connection.execute(
        f"SELECT id FROM referral WHERE id IN ({members}) ORDER BY id FOR UPDATE",
        audience_parameter(scope),
        *grouped.values(),
    )


async def begin_referral(connection: Connection, referral: str) -> None:
    """The row of a new referral, locked because this transaction made it."""
    await connection.execute("INSERT INTO referral (id, sequence) VALUES ($1, 0) ON CONFLICT (id) DO NOTHING", referral)


async def find_members(connection: Connection, scope: Scope, resource_type: str, referral: str) -> list[Stored]:
    """The resources of one of the referral's types that belong to it, deleted ones left out."""
    rows = await connection.fetch(
        f"SELECT {row_columns(resource_type)} FROM {TYPES[resource_type].table} r "
        f"WHERE r.referral = $2 AND NOT r.deleted AND {filter_visible(resource_type, scope, 1)} ORDER BY r.id",
        audience_parameter(scope),
        referral,
    )
    return [read_row(row) for row in rows]
