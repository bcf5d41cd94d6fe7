"""What a Subscription may ask of the e-mail channel, and why the rest is refused."""

import re
from typing import Any

from app.core.errors import NotOffered, Unprocessable
from app.core.settings import Settings, split_list
from app.delivery.channel import MAILTO
from app.delivery.message import FHIR_JSON

PLAIN = "text/plain"
WITH_BUNDLE = f"{PLAIN};attach={FHIR_JSON}"
PAYLOADS = (PLAIN, WITH_BUNDLE)
"""The type of the text, and of what is attached to it (Backport, Channels, Email)."""

ATOM = r"[A-Za-z0-9!$*+/=_~'-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = re.compile(
    rf"(?=.{{3,254}}$)(?=[^@]{{1,64}}@){ATOM}(?:\.{ATOM})*@((?:{LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?)",
    re.ASCII,
)
"""A plain mailbox (RFC 5321) that needs no escape in ``mailto:``: no quoted part, no address literal, no space."""


def check_mail_channel(channel: dict[str, Any], content: str, settings: Settings, where: str) -> None:
    """Raises NotOffered and Unprocessable, with the FHIRPath, for whatever would not be obeyed."""
    if settings.smtp_host is None:
        raise NotOffered("The channel email is not offered: the operator has set no mail server", (f"{where}.type",))
    check_address(channel.get("endpoint"), settings, f"{where}.endpoint")
    if read_payload(channel) not in PAYLOADS:
        asked = channel.get("payload")
        raise NotOffered(
            f"The payload of a mail is one of {' or '.join(PAYLOADS)}, not {asked!r}", (f"{where}.payload",)
        )
    if content == "full-resource":
        raise NotOffered(
            "Resources are not sent by e-mail, which is no secure channel: ask for id-only or empty",
            (f"{where}.payload",),
        )
    if "header" in channel:
        raise NotOffered("A mail takes no headers of its own", (f"{where}.header",))


def read_payload(channel: dict[str, Any]) -> str:
    """The media type without the spaces that it may hold."""
    return re.sub(r"\s+", "", str(channel.get("payload"))).lower()


def check_address(endpoint: Any, settings: Settings, where: str) -> None:
    """Raises Unprocessable for anything but ``mailto:`` and one plain address in a domain that mail may go to."""
    address = endpoint.removeprefix(MAILTO) if isinstance(endpoint, str) and endpoint.startswith(MAILTO) else ""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise Unprocessable("The endpoint of an e-mail channel is mailto: and one plain address", (where,))
    domain, allowed = found[1].lower(), [each.lower() for each in split_list(settings.mail_domains)]
    if allowed and not any(domain == each or domain.endswith(f".{each}") for each in allowed):
        raise Unprocessable(f"Mail may not go to {domain} (HANDOFF_MAIL_DOMAINS)", (where,))
