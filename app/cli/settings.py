"""`handoff settings`."""

import typer

from app.core.settings import Settings


def list_settings() -> None:
    """List the settings: name, default, meaning."""
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else repr(field.default) if field.default == "" else field.default
        typer.echo(f"HANDOFF_{name.upper()}  (default: {default})\n    {field.description}")
