"""Operators' commands on this test's database."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.core.settings import Settings

Command = Callable[..., Awaitable[str]]
Attempt = Callable[..., Awaitable[Result]]


@pytest.fixture
def attempt(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    """Runs a command, whatever becomes of it; in a thread, since it has an event loop of its own."""
    monkeypatch.setenv("HANDOFF_DATABASE_URL", settings.database_url or "")
    monkeypatch.setenv("HANDOFF_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("HANDOFF_SECRET_KEY", settings.secret_key or "")
    monkeypatch.setenv("HANDOFF_WEBHOOK_ALLOWED_NETWORKS", settings.webhook_allowed_networks)
    monkeypatch.setenv("HANDOFF_WEBHOOK_ALLOW_HTTP", "true")
    monkeypatch.setenv("COLUMNS", "200")

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    return run


@pytest.fixture
def handoff(attempt: Attempt) -> Command:
    """Runs a command that must succeed; what it printed."""

    async def run(*arguments: str) -> str:
        result = await attempt(*arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    return run
