"""What counts as this machine alone: for what is offered to nobody else."""

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str | None) -> bool:
    """Whether a name or address leads to this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def comes_from_here(remote: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request was sent by a program of this machine, and not at the bidding of a page or through a proxy.

    A name that somebody has made to lead here (DNS rebinding) shows in Host, another's page in Origin or
    Sec-Fetch-Site, a proxy in what it adds.
    """
    host = headers.get("host", "")
    origin = headers.get("origin")
    forwarded = any(name in headers for name in ("forwarded", "x-forwarded-for", "x-forwarded-host"))
    return (
        is_loopback(remote)
        and not forwarded
        and is_loopback(read_host(f"//{host}"))
        and (origin is None or origin.partition("://")[2] == host)
        and headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    )


def read_host(url: str) -> str | None:
    """The name or address in a URL; None where there is none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
