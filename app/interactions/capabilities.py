"""capabilities: what this server can do, generated from the registry (R4 http, capabilities)."""

from functools import cache
from typing import Any

from app.delivery.terms import BACKPORT
from app.delivery.topics import SUBSCRIPTION_TOPICS
from app.fhir.capability import capability_statement
from app.interactions.hub import Hub

VERSION = "0.1.0"
TOPIC = f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"


@cache
def build_statement(base_url: str) -> dict[str, Any]:
    statement = capability_statement(base_url, VERSION)
    [own] = [each for each in statement["rest"][0]["resource"] if each["type"] == "Subscription"]
    own["extension"] = [{"url": TOPIC, "valueCanonical": each.canonical} for each in SUBSCRIPTION_TOPICS]
    own["supportedProfile"] = [f"{BACKPORT}/backport-subscription"]
    return statement


def describe_capabilities(hub: Hub) -> dict[str, Any]:
    """The CapabilityStatement for the address that the caller used."""
    return build_statement(hub.base_url)
