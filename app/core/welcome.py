"""What `serve` says once it answers: where things are, and commands to try that work as printed."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from app.core.settings import Settings

NAME = "handoff"

WELCOME = """
Warm Handoff answers at {address}
  FHIR base   {address}/fhir
  docs        {address}/docs

Try, in another terminal:
  curl {address}/fhir/metadata
  {handoff} client add my-ehr --organization Organization/my-hospital --role referrer \\
    --scope 'system/*.cruds' --generate-key my-ehr.json
  curl -H "Authorization: Bearer $({handoff} token my-ehr --key my-ehr.json)" {address}/fhir/Organization

Ctrl-C stops it."""

DEMONSTRATION = """
Warm Handoff answers at {address}
  FHIR base   {address}/fhir
  docs        {address}/docs
  sign in     {address}/signin

Systems of the demonstration, each with its private key:
{systems}

Try, in another terminal:
  curl {address}/fhir/metadata
  curl -H "Authorization: Bearer $({handoff} token {first} --key {key})" {address}/fhir/Organization

Ctrl-C stops it."""


def describe_server(settings: Settings, address: str, systems: Sequence[tuple[str, str, Path]]) -> str:
    """The text, with the command `handoff` as one can type it here, and its data directory if it is not the usual.

    ``systems`` are those of the demonstration: client, organisation, the file of its key.
    """
    handoff = own_command()
    if settings.data_dir.resolve() != Path.cwd() / Settings.model_fields["data_dir"].default:
        handoff = f"HANDOFF_DATA_DIR={shlex.quote(str(settings.data_dir))} {handoff}"
    if not systems:
        return WELCOME.format(address=address, handoff=handoff)
    lines = "\n".join(f"  {name:<22} Organization/{organization:<20} {path}" for name, organization, path in systems)
    first, _, key = systems[0]
    return DEMONSTRATION.format(address=address, handoff=handoff, systems=lines, first=first, key=shlex.quote(str(key)))


def own_command() -> str:
    """`handoff` where the shell finds it, else the way to it from here."""
    beside, here = Path(sys.executable).with_name(NAME), Path.cwd()
    if shutil.which(NAME) or not beside.exists():
        return NAME
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))
