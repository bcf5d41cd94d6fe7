"""capabilities: what this server can do, generated from the registry (R4 http, capabilities)."""

from functools import cache
from typing import Any

from app.fhir.capability import capability_statement
from app.interactions.hub import Hub

VERSION = "0.1.0"


@cache
def build_statement(base_url: str) -> dict[str, Any]:
    return capability_statement(base_url, VERSION)


def describe_capabilities(hub: Hub) -> dict[str, Any]:
    """The CapabilityStatement for the address that the caller used."""
    return build_statement(hub.base_url)
