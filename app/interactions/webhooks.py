"""Registers a compact webhook and takes it away: its endpoint, its secret, the Subscription that stands for it."""

from collections.abc import Sequence
from dataclasses import replace

from app.access.clients import hold_client
from app.access.interaction_rules import authorize, hears_of_network
from app.core.caller import Caller
from app.core.errors import Conflict, Forbidden
from app.core.ids import new_id
from app.delivery.overview import WebhookState
from app.delivery.topics import BY_NAME, check_topics
from app.delivery.webhooks import add_webhook as insert_webhook
from app.delivery.webhooks import (
    check_endpoint,
    check_room,
    delete_webhook,
    rotate_secret,
    set_rate,
    write_criteria,
)
from app.interactions.deliveries import find_state
from app.interactions.hub import Hub
from app.interactions.operate import act_for, read_organization
from app.interactions.read import read_resource
from app.interactions.unit import SYSTEM, Unit, run_unit
from app.interactions.versions import insert_version
from app.interactions.writing import check_resource
from app.store.read import read_resource as read_current
from app.store.write import delete_resource


async def add_webhook(
    hub: Hub,
    caller: Caller,
    secret_key: bytes,
    url: str,
    organization: str,
    events: Sequence[str],
    *,
    reason_text: bool = False,
) -> tuple[str, str]:
    """(id, secret) of a new webhook of ``Organization/ID``; the secret is told here and never again.

    With ``reason_text`` it is told the words of a statusReason too, where no label forbids it.

    Raises Invalid, Forbidden for another's organisation, NotFound for an unknown one, Unprocessable for an endpoint
    or event not allowed, BusinessRule beyond the most of one organisation.
    """
    authorize(caller, "create", "Subscription")
    owner = read_organization(organization)
    if caller.role != "admin" and owner != caller.organization:
        raise Forbidden(f"A client of role {caller.role} registers webhooks of its own organisation")
    topics = check_topics(events, reason_text=reason_text)
    for name in sorted({BY_NAME[each].resource_type for each in topics}):
        authorize(caller, "read", name)
    check_endpoint(url, hub.settings, "url")
    acting = replace(caller, organization=owner)
    await read_resource(hub, act_for(owner), "Organization", owner)
    resource = {
        "resourceType": "Subscription",
        "status": "active",
        "reason": "Compact webhook",
        "criteria": write_criteria(topics, reason_text=reason_text),
        "channel": {"type": "rest-hook", "endpoint": url, "payload": "application/json"},
    }
    check_resource(resource)

    async def work(unit: Unit) -> tuple[str, str]:
        await hold_client(unit.connection, caller.client_id)
        await check_room(unit.connection, owner, hub.settings.max_subscriptions)
        stored = await insert_version(unit, resource, new_id(), owner)
        secret = await insert_webhook(
            unit.connection,
            webhook_id=stored.id,
            organization=owner,
            url=url,
            topics=topics,
            client_id=caller.client_id,
            secret_key=secret_key,
            reason_text=reason_text,
            network=hears_of_network(caller),
        )
        return stored.id, secret

    return await run_unit(hub, acting, work)


def own(caller: Caller) -> Caller:
    """The caller without its network: where notifications go, and under which secret, each organisation says itself."""
    return replace(caller, acts_for=())


async def change_secret(hub: Hub, caller: Caller, secret_key: bytes, webhook_id: str, grace: float) -> str:
    """A new secret, told here and never again; the one before it is good for ``grace`` seconds more. NotFound."""
    authorize(caller, "update", "Subscription")

    async def work(unit: Unit) -> str:
        await find_state(unit.connection, own(caller), webhook_id)
        return await rotate_secret(unit.connection, webhook_id, grace, secret_key)

    return await run_unit(hub, caller, work)


async def change_rate(hub: Hub, caller: Caller, webhook_id: str, rate: float | None) -> WebhookState:
    """Most deliveries a second to a webhook, None for that of the settings. Raises NotFound."""
    authorize(caller, "update", "Subscription")

    async def work(unit: Unit) -> WebhookState:
        await find_state(unit.connection, caller, webhook_id)
        await set_rate(unit.connection, webhook_id, rate)
        return await find_state(unit.connection, caller, webhook_id)

    return await run_unit(hub, caller, work)


async def remove_webhook(hub: Hub, caller: Caller, webhook_id: str, *, drop: bool) -> int:
    """Takes a webhook away with all its deliveries; how many of them were queued.

    Raises NotFound, and Conflict where some are queued, unless they may be dropped.
    """
    authorize(caller, "delete", "Subscription")

    async def work(unit: Unit) -> int:
        await find_state(unit.connection, own(caller), webhook_id)
        queued = await delete_webhook(unit.connection, webhook_id)
        if queued and not drop:
            raise Conflict(f"{queued} deliveries are queued for webhook {webhook_id}: drop takes them away with it")
        stored = await read_current(unit.connection, SYSTEM, "Subscription", webhook_id)
        if stored and not stored.deleted:
            await delete_resource(unit.connection, *stored.key, stored.version)
        return queued

    return await run_unit(hub, caller, work)
