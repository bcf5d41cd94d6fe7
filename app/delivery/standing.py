"""How the notifications of Subscriptions stand, for ``$status`` and ``$events`` (Subscriptions R5 Backport)."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.access.clients import DISABLED
from app.core.caller import Scope
from app.core.database import Connection
from app.core.outbound import UNREACHABLE

SHOWN_AS = {"requested": "requested", "active": "active", "paused": "off", "off": "off", "error": "error"}
"""By http://hl7.org/fhir/subscription-status, which knows no pause."""
PAUSED = "paused by the operator"
STANDING = """
SELECT id, organization, topics, content, status, error, last_number FROM webhook
WHERE ($1::bool OR organization = ANY($2::text[])) AND ($3::text[] IS NULL OR id = ANY($3)) ORDER BY created_at, id
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A Subscription's delivery: ``status`` is FHIR's code, ``count`` how many events it has had.

    ``content`` is None for a compact webhook.
    """

    id: str
    organization: str
    topics: list[str]
    content: str | None
    status: str
    error: str | None
    count: int


async def list_standings(connection: Connection, scope: Scope, ids: Sequence[str] | None) -> list[Standing]:
    """Those that the scope sees, the oldest first; of these ids, or all of them."""
    rows = await connection.fetch(
        STANDING, scope.everything, list(scope.organizations), None if ids is None else list(ids)
    )
    found = (
        Standing(
            id=row[0],
            organization=row[1],
            topics=row[2],
            content=row[3],
            status=SHOWN_AS[row[4]],
            error=tell_error(row[4], row[5]),
            count=row[6],
        )
        for row in rows
    )
    return [each for each in found if scope.admits(each.organization, ())]


def tell_error(status: str, error: str | None) -> str | None:
    """What the client is told is wrong; nothing of an active one."""
    if status == "active":
        return None
    if status == "paused":
        return DISABLED if error == DISABLED else PAUSED
    return tell_reason(error)


def tell_reason(reason: str | None) -> str | None:
    """A reason as others than the operator are told it.

    Why an endpoint cannot be reached is the operator's to know: it would map the network that the server stands in.
    """
    head, found, _ = (reason or "").partition(UNREACHABLE)
    return head + found if found else reason
