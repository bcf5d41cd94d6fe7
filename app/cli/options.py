"""Options that commands of several groups take."""

from typing import Annotated

import typer

Organization = Annotated[str, typer.Option(help="The organisation, as Organization/ID.")]
