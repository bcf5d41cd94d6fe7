"""The terms that a Subscription sets to its delivery: heartbeat, timeout, max-count, end (Backport, channel)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.core.errors import NotOffered, Unprocessable
from app.core.settings import Settings
from app.search.dates import read_interval

Json = dict[str, Any]

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
HEARTBEAT = f"{BACKPORT}/backport-heartbeat-period"
TIMEOUT = f"{BACKPORT}/backport-timeout"
MAX_COUNT = f"{BACKPORT}/backport-max-count"
VALUES: Mapping[str, str] = {
    HEARTBEAT: "valueUnsignedInt",
    TIMEOUT: "valueUnsignedInt",
    MAX_COUNT: "valuePositiveInt",
}
"""Extensions of the channel, each with its value's key."""


@dataclass(frozen=True, slots=True)
class Terms:
    """``heartbeat`` and ``timeout`` in seconds; ``end`` is when the Subscription is turned off. None is not asked for.

    Each notification holds one event, so that every max-count is kept.
    """

    heartbeat: int | None = None
    timeout: int | None = None
    end: datetime | None = None


def read_terms(resource: Json, settings: Settings, root: str, *, beats: bool) -> Terms:
    """What it asks for; ``beats`` says whether there are heartbeats. Raises Unprocessable, with the FHIRPath."""
    found: dict[str, int] = {}
    for place, each in enumerate(resource["channel"].get("extension", ())):
        url = each.get("url")
        if url in VALUES:
            where = (f"{root}.channel.extension[{place}]",)
            value = each.get(VALUES[url])
            if url in found or isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise Unprocessable(f"{url.rpartition('/')[2]} has one {VALUES[url]} above 0", where)
            if url == HEARTBEAT and not beats:
                raise NotOffered("There are heartbeats for notification Bundles by rest-hook alone", where)
            if url == HEARTBEAT and value < settings.heartbeat_minimum:
                raise Unprocessable(f"A heartbeat comes every {settings.heartbeat_minimum} seconds at most", where)
            found[url] = value
    return Terms(found.get(HEARTBEAT), found.get(TIMEOUT), read_end(resource, root))


def read_end(resource: Json, root: str) -> datetime | None:
    """When it ends. Raises Unprocessable for a moment that has passed, save of one that is off anyway."""
    if "end" not in resource:
        return None
    try:
        end = read_interval(resource["end"])[0]
    except (ValueError, OverflowError) as error:
        raise Unprocessable("This is no instant", (f"{root}.end",)) from error
    if end <= datetime.now(UTC) and resource.get("status") != "off":
        raise Unprocessable("The end has passed: send a later one, none, or status off", (f"{root}.end",))
    return end
