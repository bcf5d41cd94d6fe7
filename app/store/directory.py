"""Looks up organisations in the directory."""

from app.core.database import Connection
from app.search.keys import index_key


async def find_organization_by_identifier(connection: Connection, system: str, value: str) -> str | None:
    """The id of the one Organization with this identifier; None for none or several."""
    rows = await connection.fetch(
        "SELECT DISTINCT id FROM search_token WHERE type = 'Organization' AND parameter = 'identifier' "
        "AND code = $1 AND system = $2 LIMIT 2",
        index_key(value),
        index_key(system),
    )
    return rows[0][0] if len(rows) == 1 else None
