"""Which URLs the server may be told to ask: looked at before one is kept, and by its address at each connection."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from app.core.addresses import may_connect, parse_networks
from app.core.settings import Settings

LONGEST_URL = 2_000


def find_fault(url: str, settings: Settings, what: str) -> str | None:
    """Why nothing may be asked of this URL, which is called ``what``; None where it may.

    A name is checked again, by its address, at each connection: what it resolves to may change.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"{url!r} is not a URL"
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or not parts.hostname:
        return f"{what} is not a URL of at most 2,000 plain characters"
    if parts.username is not None or parts.password is not None or parts.fragment or port == 0:
        return f"{what} holds a name, a password, a fragment or port 0"
    if parts.scheme != "https" and not (parts.scheme == "http" and settings.webhook_allow_http):
        return f"{what} must be https (HANDOFF_WEBHOOK_ALLOW_HTTP allows http)"
    try:
        ip_address(parts.hostname)
    except ValueError:
        return None
    if not may_connect(parts.hostname, parse_networks(settings.webhook_allowed_networks)):
        return f"{what}'s address is private or reserved (HANDOFF_WEBHOOK_ALLOWED_NETWORKS allows networks)"
    return None
