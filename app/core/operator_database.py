"""Finds the database for a command: one's own, that of the running server, or the embedded one for the duration."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from app.core.data_dir import DATABASE, read_address, remove_address, write_address
from app.core.embedded_postgres import serving_url, start_postgres
from app.core.errors import Conflict, HandoffError
from app.core.settings import Settings

PATIENCE = 30
"""Seconds for a server that is starting to say where its database is."""


def find_database(settings: Settings) -> str:
    """The address of a database that somebody runs, as who serves. Raises HandoffError where nobody says one."""
    if settings.database_url:
        return settings.database_url
    url = read_address(settings.data_dir, DATABASE)
    if url is None:
        raise HandoffError("There is no database: set HANDOFF_DATABASE_URL, or start `handoff serve` first")
    return serving_url(url)


def application_url(settings: Settings, owner_url: str) -> str:
    """The database under the role that serves; ``owner_url`` is what ``own_database`` gave."""
    return settings.database_url or serving_url(owner_url)


@contextmanager
def own_database(settings: Settings) -> Iterator[str]:
    """A database for as long as the block runs, as its owner: one's own, else the embedded one, started for it.

    Raises Conflict where another process owns the data directory.
    """
    if settings.database_url:
        yield settings.migration_url or settings.database_url
        return
    running = start_postgres(settings.data_dir)
    try:
        write_address(settings.data_dir, DATABASE, running.url)
        yield running.url
    finally:
        remove_address(settings.data_dir, DATABASE)
        running.stop()


@contextmanager
def reach_database(settings: Settings) -> Iterator[str]:
    """The database of the server that runs on this data directory; where none runs, as ``own_database``."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(own_database(settings))
        except Conflict:
            url = await_address(settings)
        yield url


def await_address(settings: Settings) -> str:
    """What the owner of the data directory says; it may be starting still. Raises HandoffError after ``PATIENCE``."""
    deadline = time.monotonic() + PATIENCE
    while (url := read_address(settings.data_dir, DATABASE)) is None:
        if time.monotonic() > deadline:
            raise HandoffError(f"{settings.data_dir} is in use by a process that does not say where its database is")
        time.sleep(0.05)
    return url
