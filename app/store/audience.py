"""Whether a scope sees a resource now: asked again before each notification leaves."""

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import STORED, TYPES
from app.store.statements import audience_parameter, filter_visible


async def may_see(connection: Connection, scope: Scope, resource_type: str, resource_id: str) -> bool:
    """True where the scope's organisations are in the audience of the resource, deleted or not."""
    if resource_type not in STORED:
        return False
    table = TYPES[resource_type].table
    found = await connection.fetchval(
        f"SELECT true FROM {table} r WHERE r.id = $1 AND {filter_visible(resource_type, scope, 2)}",
        resource_id,
        audience_parameter(scope),
    )
    return found is True


async def set_audience(connection: Connection, key: tuple[str, str], shared_with: tuple[str, ...]) -> None:
    """Replaces the audience of a directory entry, whose label may have come or gone."""
    table = TYPES[key[0]].table
    await connection.execute(
        f"UPDATE {table} SET shared_with = $2 WHERE id = $1 AND shared_with <> $2",
        key[1],
        list(shared_with),
    )
