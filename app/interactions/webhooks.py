"""Registers a compact webhook: its endpoint, its secret, and the Subscription that stands for it."""

from collections.abc import Sequence

from app.core.errors import Invalid
from app.core.ids import new_id
from app.delivery.topics import check_topics
from app.delivery.webhooks import add_webhook as insert_webhook
from app.delivery.webhooks import check_endpoint
from app.interactions.hub import Hub
from app.interactions.operate import act_for
from app.interactions.read import read_resource
from app.interactions.unit import Unit, run_unit
from app.interactions.versions import insert_version
from app.interactions.writing import check_resource

CRITERIA = "urn:warm-handoff:webhook"


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
