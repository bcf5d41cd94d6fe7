"""The application's database role: it owns nothing, and of the audit trail it can only read and add."""

import asyncpg

LOCK = 0x68616E64
"""That of the migrations (alembic/env.py)."""
GRANTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "REVOKE ALL ON audit, alembic_version FROM {role}",
    "GRANT SELECT, INSERT ON audit TO {role}",
    "GRANT SELECT ON alembic_version TO {role}",
    "GRANT SELECT, UPDATE, USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "GRANT EXECUTE ON FUNCTION make_audit_months() TO {role}",
)


async def grant_role(url: str, role: str) -> None:
    """Gives a role what the application needs of a migrated database, as its owner at ``url``.

    Nothing is done where the role is the owner itself.
    """
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SELECT current_user <> $1", role):
            quoted = await connection.fetchval("SELECT quote_ident($1)", role)
            async with connection.transaction():
                # Of several that start together, one at a time: GRANT would fail on a row that another is changing.
                await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
                for statement in GRANTS:
                    await connection.execute(statement.format(role=quoted))
    finally:
        await connection.close()


async def find_role(url: str) -> str:
    """The role that an address logs in as."""
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()
