"""Subscription/x/$webhook-secret: a new secret, shown this once (delivery.md, On the wire)."""

from app.access.interaction_rules import authorize
from app.core.caller import Caller
from app.core.errors import Invalid
from app.delivery.webhooks import rotate_secret
from app.interactions.hub import Hub
from app.interactions.subscription_events import find_standing
from app.interactions.unit import Unit, run_unit

DAY = 86_400
LONGEST = 365 * DAY


def read_grace(arguments: dict[str, list[str]]) -> int:
    """Seconds for which the secret before is good still. Raises Invalid."""
    grace = int(arguments.get("grace", [str(DAY)])[0])
    if grace > LONGEST:
        raise Invalid(f"grace is {LONGEST} seconds at most, a year", ("grace",))
    return grace


async def make_secret(hub: Hub, caller: Caller, subscription_id: str, grace: int) -> str:
    """The secret (``whsec_``); from now on handshake and messages are signed with it. Raises NotFound, Forbidden."""
    authorize(caller, "update", "Subscription")

    async def work(unit: Unit) -> str:
        standing = await find_standing(unit.connection, unit.scope, subscription_id)
        return await rotate_secret(unit.connection, standing.id, grace, hub.secret_key)

    return await run_unit(hub, caller, work)
