"""What `serve` says once it answers: where things are, and commands to try that work as printed."""

import shlex
import shutil
import sys
from pathlib import Path

from app.core.settings import Settings

NAME = "handoff"

WELCOME = """
Warm Handoff answers at {address}
  FHIR base   {address}/fhir
  docs        {address}/docs

Try, in another terminal:
  curl {address}/fhir/metadata
  {handoff} client add my-ehr --organization {organization} --role referrer \\
    --scope 'system/*.cruds' --generate-key my-ehr.json
  curl -H "Authorization: Bearer $({handoff} token my-ehr --key my-ehr.json)" {address}/fhir/Organization

Ctrl-C stops it."""


def describe_server(settings: Settings, address: str, organization: str) -> str:
    """The text, with the command `handoff` as one can type it here, and its data directory if it is not the usual."""
    handoff = own_command()
    if settings.data_dir.resolve() != Path.cwd() / Settings.model_fields["data_dir"].default:
        handoff = f"HANDOFF_DATA_DIR={shlex.quote(str(settings.data_dir))} {handoff}"
    return WELCOME.format(address=address, handoff=handoff, organization=organization)


def own_command() -> str:
    """`handoff` where the shell finds it, else the way to it from here."""
    beside, here = Path(sys.executable).with_name(NAME), Path.cwd()
    if shutil.which(NAME) or not beside.exists():
        return NAME
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))
