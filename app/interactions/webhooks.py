"""Registers a compact webhook and takes it away: its endpoint, its secret, the Subscription that stands for it."""

from collections.abc import Sequence

from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.delivery.topics import check_topics
from app.delivery.webhooks import CRITERIA, check_endpoint, delete_webhook, rotate_secret
from app.delivery.webhooks import add_webhook as insert_webhook
from app.interactions.hub import Hub
from app.interactions.operate import act_for
from app.interactions.read import read_resource
from app.interactions.unit import SYSTEM, Unit, run_unit
from app.interactions.versions import insert_version
from app.interactions.writing import check_resource
from app.store.read import read_resource as read_current
from app.store.write import delete_resource


async def add_webhook(
    hub: Hub, secret_key: bytes, url: str, organization: str, events: Sequence[str]
) -> tuple[str, str]:
    """(id, secret) of a new webhook of ``Organization/ID``; the secret is told here and never again.

    Raises Invalid, NotFound for an unknown organisation, Unprocessable for an endpoint or event not allowed.
    """
    kind, _, owner = organization.partition("/")
    if kind != "Organization" or not owner:
        raise Invalid(f"{organization!r} is not Organization/ID")
    topics = check_topics(events)
    check_endpoint(url, hub.settings)
    caller = act_for(owner)
    await read_resource(hub, caller, "Organization", owner)
    resource = {
        "resourceType": "Subscription",
        "status": "active",
        "reason": "Compact webhook",
        "criteria": f"{CRITERIA}?events={','.join(topics)}",
        "channel": {"type": "rest-hook", "endpoint": url, "payload": "application/json"},
    }
    check_resource(resource)

    async def work(unit: Unit) -> tuple[str, str]:
        stored = await insert_version(unit, resource, new_id(), owner)
        secret = await insert_webhook(
            unit.connection,
            webhook_id=stored.id,
            organization=owner,
            url=url,
            topics=topics,
            secret_key=secret_key,
        )
        return stored.id, secret

    return await run_unit(hub, caller, work)


async def find_owner(hub: Hub, webhook_id: str) -> str:
    """The organisation of a webhook. Raises NotFound."""
    owner: str | None = await hub.pool.fetchval("SELECT organization FROM webhook WHERE id = $1", webhook_id)
    if owner is None:
        raise NotFound(f"There is no webhook {webhook_id}")
    return owner


async def change_secret(hub: Hub, secret_key: bytes, webhook_id: str, grace: float) -> str:
    """A new secret, told here and never again; the one before it is good for ``grace`` seconds more. NotFound."""
    caller = act_for(await find_owner(hub, webhook_id))

    async def work(unit: Unit) -> str:
        return await rotate_secret(unit.connection, webhook_id, grace, secret_key)

    return await run_unit(hub, caller, work)


async def remove_webhook(hub: Hub, webhook_id: str, *, drop: bool) -> int:
    """Takes a webhook away with all its deliveries; how many of them were queued.

    Raises NotFound, and Conflict where some are queued, unless they may be dropped.
    """
    caller = act_for(await find_owner(hub, webhook_id))

    async def work(unit: Unit) -> int:
        queued = await delete_webhook(unit.connection, webhook_id)
        if queued and not drop:
            raise Conflict(f"{queued} deliveries are queued for webhook {webhook_id}; --drop takes them away with it")
        stored = await read_current(unit.connection, SYSTEM, "Subscription", webhook_id)
        if stored and not stored.deleted:
            await delete_resource(unit.connection, *stored.key, stored.version)
        return queued

    return await run_unit(hub, caller, work)
