"""What `serve` says once it answers: where things are, and commands to try that work as printed."""

import shlex
import sys
from pathlib import Path

from app.core.settings import Settings

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
    """The text, with the command `handoff` as it was called, and its data directory where it is not the usual one."""
    here, program = Path.cwd(), Path(sys.argv[0])
    handoff = str(program.relative_to(here)) if program.is_relative_to(here) else program.name
    if settings.data_dir.resolve() != here / Settings.model_fields["data_dir"].default:
        handoff = f"HANDOFF_DATA_DIR={shlex.quote(str(settings.data_dir))} {handoff}"
    return WELCOME.format(address=address, handoff=handoff, organization=organization)
