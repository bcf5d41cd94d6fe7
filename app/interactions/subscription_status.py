"""Subscription/$status: how notifications stand (Subscriptions R5 Backport, OperationDefinition status)."""

import uuid
from collections.abc import Sequence
from urllib.parse import urlencode

import orjson

from app.access.interaction_rules import authorize
from app.core.caller import Caller
from app.core.errors import Invalid
from app.delivery.notification import build_standing
from app.delivery.standing import SHOWN_AS, Standing, list_standings
from app.interactions.hub import Hub
from app.interactions.read import check_present, reading
from app.store.read import read_resource

CODES = frozenset(SHOWN_AS.values())


async def tell_status(hub: Hub, caller: Caller, subscription_id: str) -> str:
    """The searchset with the status of one Subscription. Raises NotFound, Gone, Forbidden."""
    authorize(caller, "read", "Subscription")
    async with reading(hub, caller) as (connection, scope):
        stored = await read_resource(connection, scope, "Subscription", subscription_id)
        check_present(stored, f"Subscription/{subscription_id}")
        found = await list_standings(connection, scope, [subscription_id])
    return write_statuses(hub.base_url, found, f"Subscription/{subscription_id}/$status")


async def tell_statuses(hub: Hub, caller: Caller, ids: Sequence[str], statuses: Sequence[str]) -> str:
    """The same of all that the caller sees; of these ids and statuses alone, where there are any.

    Raises Forbidden, and Invalid for a status that there is not.
    """
    authorize(caller, "search-type", "Subscription")
    if unknown := [each for each in statuses if each not in CODES]:
        raise Invalid(
            f"{unknown[0]!r} is no status of a Subscription; there are: {', '.join(sorted(CODES))}", ("status",)
        )
    async with reading(hub, caller) as (connection, scope):
        found = await list_standings(connection, scope, ids or None)
    query = urlencode([*(("id", each) for each in ids), *(("status", each) for each in statuses)])
    chosen = [each for each in found if not statuses or each.status in statuses]
    return write_statuses(hub.base_url, chosen, f"Subscription/$status{'?' if query else ''}{query}")


def write_statuses(base_url: str, standings: Sequence[Standing], path: str) -> str:
    """A searchset of one Parameters for each Subscription."""
    key = uuid.uuid4().hex
    resources = [build_standing(each, base_url, key=key, kind="query-status") for each in standings]
    bundle = {
        "resourceType": "Bundle",
        "id": str(uuid.uuid4()),
        "type": "searchset",
        "total": len(resources),
        "link": [{"relation": "self", "url": f"{base_url}/{path}"}],
    }
    if resources:
        bundle["entry"] = [
            {"fullUrl": f"urn:uuid:{each['id']}", "resource": each, "search": {"mode": "match"}} for each in resources
        ]
    return orjson.dumps(bundle).decode()
