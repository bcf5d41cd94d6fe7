"""What a write of a Subscription does to delivery, in the same transaction."""

from typing import Any

import orjson

from app.core.errors import BusinessRule
from app.delivery.subscription import read_subscription
from app.delivery.webhooks import CRITERIA, delete_webhook, put_subscription
from app.interactions.unit import Unit
from app.store.rows import Stored

Resource = dict[str, Any]


async def settle_subscription(
    unit: Unit, before: Resource | None, new: Stored, after: Resource | None, root: str
) -> None:
    """Registers, changes or takes away the endpoint. Raises Unprocessable where it cannot be served as it asks.

    Each change that asks for it begins with a handshake; the count of events goes on.
    """
    if any(str((each or {}).get("criteria")).startswith(CRITERIA) for each in (before, after)):
        raise BusinessRule("A compact webhook is the operator's: `handoff webhook`", (f"{root}.criteria",))
    if after is None:
        await delete_webhook(unit.connection, new.id)
        return
    wanted = read_subscription(after, unit.hub.settings, unit.hub.base_url, root)
    await put_subscription(
        unit.connection,
        new.id,
        organization=new.owner_org,
        url=wanted.url,
        topic=wanted.topic,
        content=wanted.content,
        filters=orjson.dumps(wanted.filters).decode(),
        headers=wanted.headers,
        status=wanted.status,
    )
