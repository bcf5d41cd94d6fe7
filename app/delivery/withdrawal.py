"""Takes back what is queued for an organisation about resources that were just closed to it (delivery.md)."""

from collections.abc import Iterable

from app.core.database import Connection

FORGET = """
UPDATE event e SET audience = array_remove(e.audience, $1)
FROM unnest($2::text[], $3::text[]) AS closed(type, id)
WHERE e.fanned_out_at IS NULL AND e.focus_type = closed.type AND e.focus_id = closed.id AND $1 = ANY(e.audience)
"""
WITHDRAW = """
UPDATE delivery d SET state = 'withdrawn', ended_at = clock_timestamp()
FROM webhook w, event e, unnest($2::text[], $3::text[]) AS closed(type, id)
WHERE w.organization = $1 AND d.webhook_id = w.id AND d.state = 'queued'
  AND (d.leased_until IS NULL OR d.leased_until < clock_timestamp())
  AND e.id = d.event_id AND e.focus_type = closed.type AND e.focus_id = closed.id
"""


async def cancel_queued(connection: Connection, organization: str, keys: Iterable[tuple[str, str]]) -> None:
    """Withdraws the deliveries to an organisation that are about these resources; replay asks anew who may see.

    The events come first: a dispatcher that is at one of them has made its deliveries when we go on. An attempt under
    way has asked whether it may leave, and asks again before the next.
    """
    listed = sorted(keys)
    names, ids = [name for name, _ in listed], [each for _, each in listed]
    await connection.execute(FORGET, organization, names, ids)
    await connection.execute(WITHDRAW, organization, names, ids)
