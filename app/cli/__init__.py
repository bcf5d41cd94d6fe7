"""Front door: operator commands, `handoff ...`, one file for each group of them.

A command imports for itself what only it needs: so `serve` answers a second sooner.
"""

import sys

import asyncpg
import typer
from pydantic import ValidationError

from app.cli import audit, backup, client, db, delivery, demo, listen, network, purge, serve, settings, webhook
from app.core.command import COMMAND
from app.core.errors import HandoffError
from app.core.logs import describe_error
from app.core.progress import tell

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Warm Handoff: a FHIR R4 referral server.")
app.command()(serve.serve)
app.command()(serve.worker)
app.command()(demo.demo)
app.command()(listen.listen)
app.command()(audit.audit)
app.command()(purge.purge)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(client.token)
app.command(name="settings")(settings.list_settings)
app.add_typer(db.commands, name="db")
app.add_typer(client.commands, name="client")
app.add_typer(network.commands, name="network")
app.add_typer(webhook.commands, name="webhook")
app.add_typer(delivery.commands, name="delivery")


def note_command(context: typer.Context) -> None:
    group = context.info_name if context.parent else None
    COMMAND.set(" ".join(filter(None, [group, context.invoked_subcommand])))


for each in (app, db.commands, client.commands, network.commands, webhook.commands, delivery.commands):
    each.callback()(note_command)


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
    except asyncpg.PostgresError as error:
        # Its first argument alone: the others are DETAIL and the like, which hold rows.
        tell(f"handoff: {type(error).__name__}: {error.args[0] if error.args else ''}")
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        tell(f"handoff: {type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 -- told below, without its text
        tell("handoff: something went wrong on our side:")
        for line in describe_error(error):
            tell(f"  {line}")
    else:
        return
    sys.exit(1)
