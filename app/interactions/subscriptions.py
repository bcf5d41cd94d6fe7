"""What a write of a Subscription does to delivery, in the same transaction."""

from typing import Any

import orjson

from app.access.clients import hold_client
from app.access.interaction_rules import authorize, hears_of_network
from app.core.errors import BusinessRule
from app.delivery.headers import hide_headers, open_headers, seal_headers
from app.delivery.subscription import read_subscription
from app.delivery.webhooks import check_room, delete_webhook, find_kept, put_subscription
from app.interactions.unit import Unit
from app.store.followed import delete_followed, follower_key, put_followed

Resource = dict[str, Any]


async def settle_subscription(unit: Unit, resource: Resource, resource_id: str, owner: str, root: str) -> Resource:
    """Registers or changes the endpoint; the Subscription as it is to be kept.

    Raises BusinessRule while it is paused and beyond the most of one organisation, Unprocessable where it cannot be
    served as it asks, Forbidden where the token may not read what it would be told of. Each change begins with a
    handshake; the count of events goes on.
    """
    key = unit.hub.secret_key
    await hold_client(unit.connection, unit.caller.client_id)
    sealed, former = await find_kept(unit.connection, resource_id)
    if former is None:
        await check_room(unit.connection, owner, unit.hub.settings.max_subscriptions)
    if former == "paused":
        raise BusinessRule("It is paused: whoever paused it resumes it, or it is deleted", (f"{root}.status",))
    kept = open_headers(key, sealed)
    wanted = read_subscription(resource, unit.hub.settings, unit.hub.base_url, root, kept)
    for name in wanted.types:
        authorize(unit.caller, "read", name)
    # Without a handshake in the standard, one with classic criteria is active at once; that is shown a little later.
    at_once = wanted.follows is not None and wanted.status == "requested"
    filters = wanted.filters if wanted.follows is None else [[follower_key(resource_id)]]
    await put_subscription(
        unit.connection,
        resource_id,
        organization=owner,
        url=wanted.url,
        topics=wanted.topics,
        content=wanted.content,
        filters=orjson.dumps(filters).decode(),
        headers=sealed if wanted.headers == kept else seal_headers(key, wanted.headers),
        status="active" if at_once else wanted.status,
        shown=wanted.status,
        payload=wanted.payload,
        client_id=unit.caller.client_id,
        terms=wanted.terms,
        reason_text=wanted.reason_text,
        network=hears_of_network(unit.caller),
    )
    if wanted.follows is None:
        await delete_followed(unit.connection, resource_id)
    else:
        goes_on = former not in (None, "off")
        at = await unit.session.stamp()
        await put_followed(unit.connection, resource_id, wanted.types[0], wanted.follows, at, goes_on=goes_on)
    return hide_headers({name: value for name, value in resource.items() if name != "error"})  # the server's to tell


async def end_subscription(unit: Unit, resource_id: str) -> None:
    """Takes the endpoint away, with what was queued for it."""
    await delete_webhook(unit.connection, resource_id)
