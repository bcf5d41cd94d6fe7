"""`handoff client` and `handoff token`: the systems that may call."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.options import Organization
from app.cli.text import moment
from app.core.caller import Role
from app.core.data_dir import ADDRESS, new_private_file, read_address
from app.core.errors import HandoffError
from app.core.settings import Settings

if TYPE_CHECKING:
    from app.access.clients import RegisteredClient
    from app.interactions.hub import Hub

commands = typer.Typer(no_args_is_help=True, help="The systems that may call: EHRs, partner organisations.")
KeyFile = Annotated[Path, typer.Option(help="The client's private key (JWK), as `client add` made it.")]


@commands.command()
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


@commands.command(name="list")
def show_clients() -> None:
    """List the registered clients."""
    from app.access.clients import list_clients
    from app.interactions.command import run_command

    async def work(hub: "Hub") -> "list[RegisteredClient]":
        async with hub.pool.acquire() as connection:
            return await list_clients(connection)

    settings = Settings()
    for each in run_command(settings, work):
        makes = "server makes Tasks" if each.server_makes_tasks else "makes its own Tasks"
        state = f"disabled {moment(each.disabled_at, settings)}" if each.disabled_at else "active"
        typer.echo(f"{each.id}  {state}  {each.role} of Organization/{each.organization}  {makes}  {each.scopes}")


@commands.command()
def disable(name: Annotated[str, typer.Argument(help="The client's name.")]) -> None:
    """Take a client's access away, within seconds."""
    from app.access.clients import disable_client
    from app.interactions.command import run_command

    async def work(hub: "Hub") -> None:
        async with hub.pool.acquire() as connection:
            await disable_client(connection, name)

    run_command(Settings(), work)
    typer.echo(f"{name} is disabled.")


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
