"""Options that commands of several groups take."""

from typing import Annotated

import typer

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id, that of its Subscription.")]
Organization = Annotated[str, typer.Option(help="The organisation, as Organization/ID.")]
