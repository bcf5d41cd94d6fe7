"""Front door: operator commands, `handoff ...`.

A command imports for itself what only it needs: so `serve` answers a second sooner.
"""

import asyncio
import os
import sys
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import asyncpg
import typer
from pydantic import ValidationError

from app.core.caller import Role
from app.core.connection_budget import check_connections
from app.core.data_dir import ADDRESS, load_secret_key, new_private_file, read_address, remove_address, write_address
from app.core.errors import HandoffError
from app.core.operator_database import own_database, reach_database
from app.core.progress import tell, when_slow
from app.core.settings import Settings
from app.core.supervisor import Supervisor, bind_listener, defer_signals, listening_url
from app.core.welcome import describe_server
from app.store.migrate import check_database, upgrade_database

if TYPE_CHECKING:
    from app.access.clients import RegisteredClient
    from app.interactions.hub import Hub

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Warm Handoff: a FHIR R4 referral server.")
db = typer.Typer(no_args_is_help=True, help="The database: bring it up to date, check it, index it again.")
client = typer.Typer(no_args_is_help=True, help="The systems that may call: EHRs, partner organisations.")
webhook = typer.Typer(no_args_is_help=True, help="The endpoints that are told of events.")
app.add_typer(db, name="db")
app.add_typer(client, name="client")
app.add_typer(webhook, name="webhook")

Organization = Annotated[str, typer.Option(help="The organisation, as Organization/ID.")]
KeyFile = Annotated[Path, typer.Option(help="The client's private key (JWK), as `client add` made it.")]


def main() -> None:
    """Runs a command; what goes wrong is told in a line, with exit code 1."""
    try:
        app()
    except HandoffError as error:
        for issue in error.all_issues():
            tell(f"handoff: {issue.diagnostics}")
    except ValidationError as error:
        for each in error.errors():
            tell(f"handoff: HANDOFF_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        tell(f"handoff: {type(error).__name__}: {error}")
    else:
        return
    sys.exit(1)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.")] = 8000,
    data_dir: Annotated[Path | None, typer.Option(help="Instead of HANDOFF_DATA_DIR.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many web processes.")] = 1,
    demo: Annotated[bool, typer.Option("--demo", help="Put a demonstration network in place.")] = False,
    no_delivery: Annotated[bool, typer.Option("--no-delivery", help="Leave delivery to `handoff worker`.")] = False,
) -> None:
    """Run the server: database, web processes and delivery, until Ctrl-C or SIGTERM."""
    received = defer_signals()
    settings = Settings(data_dir=data_dir.resolve()) if data_dir else Settings()
    listener = bind_listener(host, port)
    with ExitStack() as stack:
        with when_slow("Starting the database"):
            url = stack.enter_context(own_database(settings))
        with when_slow("Bringing the database up to date"):
            upgrade_database(url)
        load_secret_key(settings)
        settings = settings.model_copy(update={"public_url": settings.public_url or listening_url(listener)})
        asyncio.run(check_connections(url, settings.pool_size, workers + (not no_delivery)))
        supervisor = Supervisor(
            listener=listener,
            web=workers,
            delivery=not no_delivery,
            environment={
                "HANDOFF_DATABASE_URL": url,
                "HANDOFF_DATA_DIR": str(settings.data_dir.resolve()),
                "HANDOFF_PUBLIC_URL": settings.public_url or "",
            },
            log_level="debug" if settings.log_level == "debug" else "warning",
            received=received,
        )
        asyncio.run(run_server(supervisor, settings, url, demo=demo))
    tell("Stopped.")


async def run_server(supervisor: Supervisor, settings: Settings, url: str, *, demo: bool) -> None:
    """Runs until a signal; once it answers, says what to try."""
    address = listening_url(supervisor.listener)

    async def when_ready() -> None:
        write_address(settings.data_dir, ADDRESS, address)
        if demo:
            from app.interactions.command import open_hub
            from app.interactions.operate import seed_network

            async with open_hub(settings, url) as hub:
                made = [reference async for reference, missing in seed_network(hub) if missing]
            typer.echo(f"The demonstration network is in place ({len(made)} resources made now).")
        organization = "Organization/song-huong-hospital" if demo else "Organization/my-hospital"
        typer.echo(describe_server(settings, address, organization))

    try:
        await supervisor.run(when_ready)
    finally:
        remove_address(settings.data_dir, ADDRESS)


@app.command()
def worker() -> None:
    """Deliver webhooks, and nothing else; any number of these may run."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", "app.worker"])  # noqa: S606 -- our own program


@app.command()
def demo(
    source: Annotated[
        Path | None, typer.Option("--from", help="Play the referrals in a directory of FHIR JSON.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the wire.")] = False,
) -> None:
    """Play a referral, from the hospital to the partner and back, on a server of its own."""
    from app.demo.scenarios import our_scenario, read_scenarios
    from app.demo.stage import perform

    scenarios, left_out = read_scenarios(source) if source else ([our_scenario()], [])
    for line in left_out:
        typer.echo(f"Left out: {line}.")
    if not scenarios:
        raise HandoffError(f"{source} holds no referral that can be played")
    if not perform(scenarios, typer.echo, typer.echo if verbose else lambda _: None):
        raise typer.Exit(1)


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="The client's name.")],
    key: KeyFile,
    url: Annotated[str | None, typer.Option(help="The server's address; else that of the running `serve`.")] = None,
    scope: Annotated[str | None, typer.Option(help="Less than all that the client may have.")] = None,
) -> None:
    """Print an access token for a client."""
    from app.access.token_client import fetch_token

    settings = Settings()
    base = url or read_address(settings.data_dir, ADDRESS)
    if base is None:
        raise HandoffError(f"No server runs on {settings.data_dir}: start `handoff serve`, or name one with --url")
    typer.echo(fetch_token(base, name, key.read_text(), scope)["access_token"])


@app.command(name="settings")
def list_settings() -> None:
    """List the settings: name, default, meaning."""
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else repr(field.default) if field.default == "" else field.default
        typer.echo(f"HANDOFF_{name.upper()}  (default: {default})\n    {field.description}")


@db.command()
def upgrade() -> None:
    """Bring the database to the schema of this program."""
    with reach_database(Settings()) as url, when_slow("Bringing the database up to date"):
        upgrade_database(url)
    typer.echo("The database is up to date.")


@db.command()
def check() -> None:
    """Say where the database differs from what this program needs; exit code 1 if it does."""
    with reach_database(Settings()) as url, when_slow("Comparing"):
        differences = asyncio.run(check_database(url))
    for line in differences:
        typer.echo(line)
    if differences:
        raise typer.Exit(1)
    typer.echo("The database is as this program needs it.")


@db.command()
def reindex(
    types: Annotated[list[str] | None, typer.Argument(metavar="[TYPE]...", help="Resource types; else all.")] = None,
    after: Annotated[str | None, typer.Option(help="Go on after this TYPE/ID, which a stopped run told.")] = None,
) -> None:
    """Extract search values again, after a search parameter was added. The server may run meanwhile."""
    from app.interactions.command import run_command
    from app.store.reindex import reindex_resources

    kind, _, last = (after or "").partition("/")

    def progress(name: str, done: int, total: int, last_id: str) -> None:
        tell(f"{name}: {done} of {total} (to go on from here: --after {name}/{last_id})")

    async def work(hub: "Hub") -> int:
        async with hub.pool.acquire() as connection:
            return await reindex_resources(connection, types or [], progress, (kind, last) if after else None)

    typer.echo(f"Indexed {run_command(Settings(), work)} resources.")


@client.command()
def add(
    name: Annotated[str, typer.Argument(help="The client's name, its client_id.")],
    organization: Organization,
    role: Annotated[Role, typer.Option(help="What it may do in a referral.")],
    scope: Annotated[str, typer.Option(help='SMART v2 scopes, such as "system/Task.rus system/Patient.rs".')],
    generate_key: Annotated[Path | None, typer.Option(help="Make a key; its private half is written here.")] = None,
    public_key: Annotated[Path | None, typer.Option(help="The client's own public key (JWK).")] = None,
    makes_tasks: Annotated[
        Literal["client", "server"], typer.Option(help="Who makes the Task of a bare ServiceRequest.")
    ] = "client",
) -> None:
    """Register a client; its Organization is made if it is missing."""
    from app.access.clients import generate_key as make_key
    from app.access.clients import register_client
    from app.access.scopes import parse_scopes
    from app.interactions.command import run_command
    from app.interactions.operate import ensure_organization

    if (generate_key is None) == (public_key is None):
        raise typer.BadParameter("give one of --generate-key and --public-key")
    private_jwk, public_jwk = ("", public_key.read_text()) if public_key else make_key()
    parse_scopes(scope)

    async def work(hub: "Hub") -> bool:
        async with hub.pool.acquire() as connection, connection.transaction():
            await register_client(
                connection,
                client_id=name,
                organization=organization.removeprefix("Organization/"),
                role=role,
                scopes=scope,
                server_makes_tasks=makes_tasks == "server",
                public_jwk=public_jwk,
            )
            return await ensure_organization(hub, organization, name)

    with new_private_file(generate_key, private_jwk + "\n") if generate_key else nullcontext():
        if run_command(Settings(), work):
            typer.echo(f"Made {organization}.")
    typer.echo(f"Registered {name}, a {role} of {organization}.")
    if generate_key:
        typer.echo(f"Its private key is in {generate_key}: give it to the client, and keep no copy.")


@client.command(name="list")
def show_clients() -> None:
    """List the registered clients."""
    from app.access.clients import list_clients
    from app.interactions.command import run_command

    async def work(hub: "Hub") -> "list[RegisteredClient]":
        async with hub.pool.acquire() as connection:
            return await list_clients(connection)

    for each in run_command(Settings(), work):
        makes = "server makes Tasks" if each.server_makes_tasks else "makes its own Tasks"
        state = f"disabled {each.disabled_at:%Y-%m-%d}" if each.disabled_at else "active"
        typer.echo(f"{each.id}  {state}  {each.role} of Organization/{each.organization}  {makes}  {each.scopes}")


@client.command()
def disable(name: Annotated[str, typer.Argument(help="The client's name.")]) -> None:
    """Take a client's access away, within seconds."""
    from app.access.clients import disable_client
    from app.interactions.command import run_command

    async def work(hub: "Hub") -> None:
        async with hub.pool.acquire() as connection:
            await disable_client(connection, name)

    run_command(Settings(), work)
    typer.echo(f"{name} is disabled.")


@webhook.command(name="add")
def register_webhook(
    url: Annotated[str, typer.Argument(help="Where events are posted.")],
    organization: Organization,
    events: Annotated[str, typer.Option(help="Which events, comma-separated.")],
) -> None:
    """Register an endpoint for an organisation's events; its secret is printed once."""
    from app.interactions.command import run_command
    from app.interactions.webhooks import add_webhook

    settings = Settings()
    wanted = [each.strip() for each in events.split(",") if each.strip()]

    async def work(hub: "Hub") -> tuple[str, str]:
        return await add_webhook(hub, load_secret_key(settings), url, organization, wanted)

    webhook_id, secret = run_command(settings, work)
    typer.echo(f"Registered as Subscription/{webhook_id}. Its secret, shown this once:")
    typer.echo(secret)


if __name__ == "__main__":
    main()
