"""`handoff client` and `handoff token`: the systems that may call."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from app.cli.options import Organization
from app.cli.text import moment, table
from app.core.caller import Role
from app.core.data_dir import ADDRESS, new_private_file, read_address
from app.core.errors import HandoffError
from app.core.settings import Settings

if TYPE_CHECKING:
    from app.access.clients import RegisteredClient
    from app.interactions.hub import Hub

commands = typer.Typer(no_args_is_help=True, help="The systems that may call: EHRs, partner organisations.")
Result = TypeVar("Result")
Name = Annotated[str, typer.Argument(help="The client's name.")]
GenerateKey = Annotated[Path | None, typer.Option(help="Make a key; its private half is written here.")]
PublicKey = Annotated[Path | None, typer.Option(help="The client's own public key (JWK).")]
MakesTasks = Annotated[Literal["client", "server"], typer.Option(help="Who makes the Task of a bare ServiceRequest.")]
KeyFile = Annotated[Path, typer.Option(help="The client's private key (JWK), as `client add` made it.")]


@commands.command()
def add(
    name: Annotated[str, typer.Argument(help="The client's name, its client_id.")],
    organization: Organization,
    role: Annotated[Role, typer.Option(help="What it may do in a referral.")],
    scope: Annotated[str, typer.Option(help='SMART v2 scopes, such as "system/Task.rus system/Patient.rs".')],
    generate_key: GenerateKey = None,
    public_key: PublicKey = None,
    jwks_url: Annotated[str | None, typer.Option(help="Where the client publishes its public keys.")] = None,
    makes_tasks: MakesTasks = "client",
    rate: Annotated[float | None, typer.Option(min=0.001, help="Requests a second; else HANDOFF_RATE_LIMIT.")] = None,
) -> None:
    """Register a client; its Organization is made if it is missing."""
    from app.interactions import clients
    from app.interactions.operate import OPERATOR

    if jwks_url is None:
        private_jwk, public_jwk = read_or_make(generate_key, public_key)
    elif generate_key or public_key:
        raise typer.BadParameter("give one of --generate-key, --public-key and --jwks-url")
    else:
        private_jwk, public_jwk = None, None
    new = clients.NewClient(name, organization, role, scope, makes_tasks == "server", public_jwk, jwks_url, rate)
    with keeping(generate_key, private_jwk):
        if run(lambda hub: clients.register(hub, OPERATOR, new)):
            typer.echo(f"Made {organization}.")
    typer.echo(f"Registered {name}, a {role} of {organization}.")
    tell_key(generate_key)


@commands.command(name="list")
def show_clients() -> None:
    """List the registered clients."""
    from app.interactions import clients
    from app.interactions.operate import OPERATOR

    settings = Settings()
    head = ("CLIENT", "STATE", "ROLE", "ORGANIZATION", "KEYS", "LAST TOKEN", "SCOPES")
    rows = [
        (
            each.id,
            f"disabled {moment(each.disabled_at, settings)}" if each.disabled_at else "active",
            each.role,
            f"Organization/{each.organization}",
            "URL" if each.jwks_url else len(each.keys),
            moment(each.last_token_at, settings),
            each.scopes,
        )
        for each in run(lambda hub: clients.list_clients(hub, OPERATOR))
    ]
    for line in table(head, rows) if rows else ["There is no client."]:
        typer.echo(line)


@commands.command()
def show(name: Name) -> None:
    """Show one client with its keys."""
    from app.interactions import clients
    from app.interactions.operate import OPERATOR

    describe(run(lambda hub: clients.read_client(hub, OPERATOR, name)))


@commands.command()
def change(
    name: Name,
    role: Annotated[Role | None, typer.Option(help="What it may do in a referral.")] = None,
    scope: Annotated[str | None, typer.Option(help="All its SMART v2 scopes.")] = None,
    makes_tasks: Annotated[
        Literal["client", "server"] | None, typer.Option(help="Who makes the Task of a bare ServiceRequest.")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="Requests a second; 0 for HANDOFF_RATE_LIMIT.")] = None,
) -> None:
    """Change what a client may do; tokens that say more count no longer."""
    from app.interactions import clients
    from app.interactions.operate import OPERATOR

    wanted = clients.Change(role, scope, None if makes_tasks is None else makes_tasks == "server", rate)
    describe(run(lambda hub: clients.update(hub, OPERATOR, name, wanted)))


@commands.command(name="add-key")
def add_key(name: Name, generate_key: GenerateKey = None, public_key: PublicKey = None) -> None:
    """Add a key beside the others, or in place of a JWKS URL."""
    from app.interactions import clients
    from app.interactions.operate import OPERATOR

    private_jwk, public_jwk = read_or_make(generate_key, public_key)
    with keeping(generate_key, private_jwk):
        describe(run(lambda hub: clients.add_key(hub, OPERATOR, name, public_jwk)))
    tell_key(generate_key)


# A kid may begin with "-": it is no option.
@commands.command(name="remove-key", context_settings={"ignore_unknown_options": True})
def remove_key(name: Name, kid: Annotated[str, typer.Argument(help="The key's kid, as `client show` has it.")]) -> None:
    """Take a key away; tokens that were got by it live out their 300 seconds."""
    from app.interactions import clients
    from app.interactions.operate import OPERATOR

    describe(run(lambda hub: clients.remove_key(hub, OPERATOR, name, kid)))


@commands.command(name="jwks-url")
def use_jwks_url(name: Name, url: Annotated[str, typer.Argument(help="The address of a JWK Set, https.")]) -> None:
    """Take the client's keys from a URL from now on; those registered go."""
    from app.interactions import clients
    from app.interactions.operate import OPERATOR

    describe(run(lambda hub: clients.use_jwks_url(hub, OPERATOR, name, url)))


@commands.command()
def disable(name: Name) -> None:
    """Take a client's access away, within 5 seconds."""
    from app.interactions import clients
    from app.interactions.operate import OPERATOR

    run(lambda hub: clients.disable(hub, OPERATOR, name))
    typer.echo(f"{name} is disabled.")


@commands.command()
def enable(name: Name) -> None:
    """Give a client its access back."""
    from app.interactions import clients
    from app.interactions.operate import OPERATOR

    run(lambda hub: clients.enable(hub, OPERATOR, name))
    typer.echo(f"{name} is enabled.")


@commands.command()
def remove(name: Name) -> None:
    """Forget a client that is disabled; the audit trail does not."""
    from app.interactions import clients
    from app.interactions.operate import OPERATOR

    run(lambda hub: clients.remove(hub, OPERATOR, name))
    typer.echo(f"{name} is removed.")


def run(work: "Callable[[Hub], Awaitable[Result]]") -> "Result":
    """What ``work`` answers, on the operator's database."""
    from app.interactions.command import run_command

    return run_command(Settings(), work)


def describe(client: "RegisteredClient") -> None:
    """Prints a client, a line for each thing."""
    settings = Settings()
    lines = {
        "state": f"disabled {moment(client.disabled_at, settings)}" if client.disabled_at else "active",
        "role": f"{client.role} of Organization/{client.organization}",
        "scopes": client.scopes,
        "Tasks": "made by the server" if client.server_makes_tasks else "made by the client",
        "rate": f"{client.rate:g} a second" if client.rate else "that of HANDOFF_RATE_LIMIT",
        "registered": moment(client.created_at, settings),
        "last token": moment(client.last_token_at, settings),
        **({"keys at": client.jwks_url} if client.jwks_url else {}),
    }
    typer.echo(client.id)
    for name, value in lines.items():
        typer.echo(f"  {name:<11} {value}")
    for key in client.keys:
        typer.echo(f"  {'key':<11} {key['kid']}  {key['alg']}")


def read_or_make(generate_key: Path | None, public_key: Path | None) -> tuple[str, str]:
    """A private key to write down, and its public half; of a key that was given there is the latter alone."""
    from app.access.clients import generate_key as make_key

    if (generate_key is None) == (public_key is None):
        raise typer.BadParameter("give one of --generate-key and --public-key")
    return ("", public_key.read_text()) if public_key else make_key()


def keeping(path: Path | None, private_jwk: str | None) -> AbstractContextManager[None]:
    """Writes a private key down if the block succeeds, where there is one to be written."""
    return new_private_file(path, f"{private_jwk}\n") if path else nullcontext()


def tell_key(path: Path | None) -> None:
    if path:
        typer.echo(f"Its private key is in {path}: give it to the client, and keep no copy.")


def token(
    name: Name,
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
