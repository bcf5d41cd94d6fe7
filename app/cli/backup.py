"""`handoff backup` and `handoff restore`: the database, and what must be kept apart from it."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.core.data_dir import KEY, find_secret_key, load_secret_key
from app.core.operator_database import application_url, own_database, reach_database
from app.core.progress import tell, when_slow
from app.core.secrets import derive_key
from app.core.settings import Settings
from app.store.roles import find_role, grant_role

if TYPE_CHECKING:
    from app.interactions.hub import Hub
    from app.store.backup import Manifest

Directory = Annotated[Path, typer.Argument(metavar="DIRECTORY", help="The backup: a directory of its own.")]
BACK_AGAIN = """\
What was done since the backup is undone. Before you serve, do again what took access away: `handoff client disable`,
Consents withdrawn, `handoff purge`. Receivers are sent again what was queued, under the same ids."""


def fingerprint(key: bytes) -> str:
    """Tells two keys apart, and nothing else of them."""
    return derive_key(key, "fingerprint").hex()[:16]


def list_settings() -> list[str]:
    """The names of the settings that the environment sets."""
    return sorted(name for name in os.environ if name.startswith("HANDOFF_"))


def backup(directory: Directory) -> None:
    """Back up the database into a new directory, while the server runs; say what is to be kept apart."""
    from app.store.backup import take_backup

    settings = Settings()
    key = fingerprint(load_secret_key(settings))
    with reach_database(settings) as url, when_slow("Backing up"):
        record(settings)
        manifest = take_backup(url, directory, key, list_settings())
    size = sum(each.stat().st_size for each in directory.iterdir())
    typer.echo(f"{directory} holds {sum(manifest.rows.values())} rows in {size} bytes, and was read to its end.")
    typer.echo("It holds all patients' data, readable: encrypt it, and keep it where only you come.")
    place = "HANDOFF_SECRET_KEY" if settings.secret_key else str(settings.data_dir / KEY)
    typer.echo(f"Not in it, to be kept apart: the secret key ({place}, fingerprint {key}), without which every webhook")
    typer.echo("needs a new secret; the settings, and the files that they name:")
    typer.echo(f"  {', '.join(manifest.settings) or 'no HANDOFF_* is set in this environment'}")


def restore(
    directory: Directory,
    check: Annotated[
        bool, typer.Option("--check", help="Only read the backup to its end, and say what it is.")
    ] = False,
) -> None:
    """Restore a backup into an empty database; one that holds anything is left as it is."""
    from app.store.backup import check_backup, load_backup, publish_again
    from app.store.migrate import upgrade_database

    settings = Settings()
    key = find_secret_key(settings)
    with when_slow("Reading the backup"):
        manifest = check_backup(directory)
    typer.echo(f"{directory}: of {manifest.taken}, {sum(manifest.rows.values())} rows, program {manifest.program}.")
    if not check:
        with own_database(settings) as url, when_slow("Restoring"):
            asyncio.run(load_backup(url, directory, manifest))
            upgrade_database(url)
            asyncio.run(grant_role(url, asyncio.run(find_role(application_url(settings, url)))))
            asyncio.run(publish_again(url))
            record(settings)
        typer.echo("It is restored, and every table holds what the backup counts.")
        typer.echo(BACK_AGAIN)
    tell_key(key, settings.data_dir / KEY, manifest)
    if missing := sorted(set(manifest.settings) - set(list_settings())):
        tell(f"Set when it was taken, and not here: {', '.join(missing)}")


def record(settings: Settings) -> None:
    """The audit trail tells of the command: of a backup before anything leaves, of a restore the restored one."""
    from app.interactions.command import run_command

    async def work(_: "Hub") -> None:
        return

    run_command(settings, work)


def tell_key(key: bytes | None, path: Path, manifest: "Manifest") -> None:
    """Warns of a key that is not the one under which the secrets were sealed."""
    if key is None or fingerprint(key) != manifest.key:
        found = "There was no secret key here" if key is None else "The secret key here is another one"
        tell(f"{found}: put the one of fingerprint {manifest.key} into HANDOFF_SECRET_KEY or {path}")
        tell("before you serve, or give each webhook a new secret (`handoff webhook secret`).")
