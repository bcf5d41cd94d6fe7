"""What a write of a Subscription does to delivery, in the same transaction."""

from typing import Any

import orjson

from app.access.interaction_rules import authorize
from app.delivery.headers import hide_headers, open_headers, seal_headers
from app.delivery.subscription import read_subscription
from app.delivery.webhooks import delete_webhook, find_headers, put_subscription
from app.interactions.unit import Unit

Resource = dict[str, Any]


async def settle_subscription(unit: Unit, resource: Resource, resource_id: str, owner: str, root: str) -> Resource:
    """Registers or changes the endpoint; the Subscription as it is to be kept.

    Raises Unprocessable where it cannot be served as it asks, Forbidden where the token may not read what it would be
    told of. Each change that asks for it begins with a handshake; the count of events goes on.
    """
    key = unit.hub.secret_key
    sealed = await find_headers(unit.connection, resource_id)
    kept = open_headers(key, sealed)
    wanted = read_subscription(resource, unit.hub.settings, unit.hub.base_url, root, kept)
    for name in wanted.types:
        authorize(unit.caller, "read", name)
    await put_subscription(
        unit.connection,
        resource_id,
        organization=owner,
        url=wanted.url,
        topics=wanted.topics,
        content=wanted.content,
        filters=orjson.dumps(wanted.filters).decode(),
        headers=sealed if wanted.headers == kept else seal_headers(key, wanted.headers),
        status=wanted.status,
        payload=wanted.payload,
        terms=wanted.terms,
    )
    return hide_headers({name: value for name, value in resource.items() if name != "error"})  # the server's to tell


async def end_subscription(unit: Unit, resource_id: str) -> None:
    """Takes the endpoint away, with what was queued for it."""
    await delete_webhook(unit.connection, resource_id)
