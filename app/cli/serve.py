"""`handoff serve` and `handoff worker`."""

import asyncio
import os
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from app.core.child import preload
from app.core.connection_budget import check_connections
from app.core.data_dir import ADDRESS, load_secret_key, remove_address, write_address
from app.core.database import log_risks
from app.core.errors import HandoffError
from app.core.logs import configure_logging
from app.core.loopback import is_loopback
from app.core.operator_database import application_url, own_database
from app.core.progress import tell, when_slow
from app.core.settings import Settings, find_misnamed
from app.core.supervisor import PRELOADED, Supervisor, bind_listener, defer_signals, listening_url
from app.core.welcome import describe_server
from app.store.audit_months import keep_audit_young
from app.store.roles import find_role, grant_role


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.")] = 8000,
    data_dir: Annotated[Path | None, typer.Option(help="Instead of HANDOFF_DATA_DIR.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many web processes.")] = 1,
    demo: Annotated[bool, typer.Option("--demo", help="Put a demonstration network in place.")] = False,
    open_as: Annotated[
        str | None,
        typer.Option("--open", help="Open mode, on a loopback address alone: who has no token is ROLE:ORGANIZATION."),
    ] = None,
    no_delivery: Annotated[bool, typer.Option("--no-delivery", help="Leave delivery to `handoff worker`.")] = False,
) -> None:
    """Run the server: database, web processes and delivery, until Ctrl-C or SIGTERM."""
    received = defer_signals()
    settings = read_settings(data_dir, open_as)
    for line in find_misnamed(os.environ):
        tell(line)
    configure_logging(settings.log_level)
    listener = bind_listener(host, port)
    here = is_loopback(str(listener.getsockname()[0])) and not settings.trusted_hops
    if settings.open_as and not here:
        listener.close()
        raise HandoffError("Open mode (HANDOFF_OPEN_AS, --open) is for a loopback address and without proxies alone")
    with ExitStack() as stack:
        owner_url, url = prepare_database(settings, stack)
        load_secret_key(settings)
        tls = check_tls_files(settings)
        address = listening_url(listener, tls=tls is not None)
        settings = settings.model_copy(update={"public_url": settings.public_url or address})
        asyncio.run(check_connections(url, settings.pool_size, workers + (not no_delivery)))
        supervisor = Supervisor(
            listener=listener,
            web=workers,
            delivery=not no_delivery,
            environment={
                "HANDOFF_DATABASE_URL": url,
                "HANDOFF_MIGRATION_URL": "",  # what serves never learns how to be the owner
                "HANDOFF_DATA_DIR": str(settings.data_dir.resolve()),
                "HANDOFF_PUBLIC_URL": settings.public_url or "",
                "HANDOFF_DEMO_SIGN_IN": str(demo and here),
                **({"HANDOFF_OPEN_AS": settings.open_as} if settings.open_as else {}),
            },
            log_level="debug" if settings.log_level == "debug" else "warning",
            received=received,
            sharing=not settings.migration_url,  # as above: it would be in their memory
            tls=tls,
        )
        asyncio.run(run_server(supervisor, settings, (owner_url, url), address, demo=demo))
    tell("Stopped.")


def prepare_database(settings: Settings, stack: ExitStack) -> tuple[str, str]:
    """The addresses of a database that is up to date: the owner's, and ours. ``stack`` ends it.

    What is to be imported is imported meanwhile; never two things at once, whose modules may want one another.
    """
    with ThreadPoolExecutor(1) as beside:  # its thread has ended before anything is forked
        starting = beside.submit(start_database, settings, stack)
        preload(["app.store.migrate"])
        updating = beside.submit(lambda: update_database(settings, starting.result()))
        if not settings.migration_url:
            preload(PRELOADED)
        return updating.result()


def start_database(settings: Settings, stack: ExitStack) -> str:
    """The owner's address of one that runs until ``stack`` ends it."""
    with when_slow("Starting the database"):
        return stack.enter_context(own_database(settings))


def update_database(settings: Settings, owner_url: str) -> tuple[str, str]:
    """The addresses, the owner's and ours, once migrations and rights are in place."""
    from app.store.migrate import upgrade_database

    url = application_url(settings, owner_url)
    with when_slow("Bringing the database up to date"):
        upgrade_database(owner_url)
        asyncio.run(grant_role(owner_url, asyncio.run(find_role(url))))
    for line in asyncio.run(log_risks(url)):
        tell(f"PostgreSQL's log: {line}")
    return owner_url, url


def read_settings(data_dir: Path | None, open_as: str | None) -> Settings:
    """The settings, with what was given on the command line in place of theirs."""
    given: dict[str, Any] = {}
    if data_dir:
        given["data_dir"] = data_dir.resolve()
    if open_as:
        given["open_as"] = open_as
    return Settings(**given)


def check_tls_files(settings: Settings) -> tuple[Path, Path] | None:
    """The files of certificate and key, if the settings name them. Raises HandoffError where they do not fit."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise HandoffError(f"The certificate or its key cannot be used: {error}") from error
    return settings.tls_certificate.resolve(), settings.tls_key.resolve()


async def run_server(
    supervisor: Supervisor, settings: Settings, urls: tuple[str, str], address: str, *, demo: bool
) -> None:
    """Runs until a signal; once it answers, says what to try. ``urls`` are the owner's of the database, and ours."""
    owner_url, url = urls

    async def when_ready() -> None:
        write_address(settings.data_dir, ADDRESS, address)
        systems: list[tuple[str, str, Path]] = []
        if demo:
            from app.interactions.command import open_hub
            from app.interactions.demo_clients import ensure_demo_clients
            from app.interactions.operate import seed_network

            async with open_hub(settings, url) as hub:
                made = [reference async for reference, missing in seed_network(hub) if missing]
                systems = await ensure_demo_clients(hub, settings.data_dir / "demo")
            typer.echo(f"The demonstration network is in place ({len(made)} resources made now).")
        typer.echo(describe_server(settings, address, systems))
        if settings.open_as:
            tell(
                f"OPEN MODE: whoever calls from this machine without a token is {settings.open_as}. Not for real data."
            )

    pruning = asyncio.create_task(keep_audit_young(owner_url, settings.audit_retention_days, supervisor.stop))
    try:
        await supervisor.run(when_ready)
    finally:
        supervisor.stop.set()
        await pruning
        remove_address(settings.data_dir, ADDRESS)


def worker() -> None:
    """Deliver webhooks, and nothing else; any number of these may run."""
    for line in find_misnamed(os.environ):
        tell(line)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "app.worker"])  # noqa: S606 -- our own program
