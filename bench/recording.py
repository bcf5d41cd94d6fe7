"""Records the statements that one request runs, and makes them into those of others: the floor's material."""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import asyncpg

from app.core.caller import Caller
from app.core.ids import new_id
from app.core.settings import Settings
from app.interactions.hub import Hub
from bench.floor import SESSION, Statement
from bench.stage import Stage

NOT_REPEATED = ("pg_notify", "typeinfo_tree", "'jit'")
"""In statements that come once for many requests, or once for each connection (asyncpg's look at array types)."""

MADE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
"""An id that the server made: of a resource, or of a row of the audit trail."""

Work = Callable[[Hub, Caller], Awaitable[Any]]
Renaming = Sequence[tuple[str, str]]


def act_as(organization: str, role: str) -> Caller:
    """A caller as the token of the bench's client makes it."""
    permissions = (("*", frozenset("cruds")),)
    if role == "provider":
        return Caller(f"{organization}-{role}", organization, "provider", permissions)
    return Caller(f"{organization}-{role}", organization, "referrer", permissions)


async def record(stage: Stage, caller: Caller, work: Work) -> tuple[list[Statement], Any]:
    """The statements of ``work``, run in this process against the stage's database, and its answer."""
    return await record_at(stage.settings, stage.url, f"{stage.address}/fhir", caller, work)


async def record_at(
    settings: Settings, url: str, base_url: str, caller: Caller, work: Work
) -> tuple[list[Statement], Any]:
    """As ``record``, for any database."""
    heard: list[Statement] = []

    def listen(query: Any) -> None:
        heard.append((query.query, tuple(query.args)))

    async def prepare(connection: asyncpg.Connection) -> None:
        connection.add_query_logger(listen)

    pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=1,
        init=prepare,
        reset=keep,
        server_settings=SESSION,
    )
    try:
        hub = Hub(settings, pool, base_url)
        answer = await work(hub, caller)
        await hub.announcer.close()
    finally:
        pool.terminate()
    return [each for each in heard if not any(mark in each[0] for mark in NOT_REPEATED)], answer


async def keep(_: object) -> None:
    """The server's pool resets a session between requests; the floor, which has no pool, does not."""


def rename(unit: Sequence[Statement], names: Renaming = ()) -> list[Statement]:
    """The same statements about other resources; each id that the server made becomes a new one."""
    strings = [each for _, values in unit for value in values for each in walk_strings(value)]
    made = sorted({found for each in strings for found in MADE.findall(each)})
    names = [*names, *((each, new_id()) for each in made)]
    return [(text, tuple(rename_value(value, names) for value in values)) for text, values in unit]


def walk_strings(value: Any) -> Iterator[str]:
    """The strings of a statement's argument."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from walk_strings(each)


def rename_value(value: Any, names: Renaming) -> Any:
    if isinstance(value, str):
        for old, new in names:
            value = value.replace(old, new)
        return value
    return [rename_value(each, names) for each in value] if isinstance(value, list) else value
