"""Liveness and readiness."""

import asyncpg
from fastapi import APIRouter, Request, Response

router = APIRouter(tags=["Operations"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request, response: Response) -> dict[str, str]:
    """Whether the database answers too; 503 where it does not."""
    try:
        await request.app.state.pool.fetchval("SELECT 1", timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        response.status_code = 503
        return {"status": "the database does not answer"}
    return {"status": "ok"}
