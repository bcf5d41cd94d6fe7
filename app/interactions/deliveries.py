"""What is done about delivery by command and over REST: looked at, sent again, paused, resumed.

The operator steers every webhook, an organisation its own ones; those of others look absent (access.md, Roles).
"""

from dataclasses import dataclass, replace

from app.access.interaction_rules import authorize, steered_by
from app.core.caller import Caller
from app.core.database import Connection
from app.core.errors import NotFound
from app.delivery.overview import (
    Kind,
    Undelivered,
    WebhookState,
    count_waiting,
    list_states,
    list_undelivered,
)
from app.delivery.replay import Replay, announce_deliveries, find_stopped, pause_webhook, resume_webhook
from app.delivery.replay import replay as replay_chosen
from app.delivery.standing import tell_reason
from app.interactions.hub import Hub
from app.interactions.unit import Unit, run_unit
from app.interactions.webhook_status import show_statuses


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many are sent again, and how many are due at once instead of later.

    ``stopped`` is (webhook, status) where nothing goes before that webhook is resumed.
    """

    again: int
    hurried: int
    stopped: tuple[str, str] | None


async def read_states(hub: Hub, caller: Caller) -> tuple[list[WebhookState], int | None]:
    """The webhooks, the oldest first; and, for the operator, how many events no dispatcher has fanned out yet."""
    authorize(caller, "search-type", "Subscription")
    steered = steered_by(caller)

    async def work(unit: Unit) -> tuple[list[WebhookState], int | None]:
        states = [tell_state(each, caller) for each in await list_states(unit.connection, steered)]
        return states, None if steered else (await count_waiting(unit.connection))[0]

    return await run_unit(hub, caller, work)


async def read_state(hub: Hub, caller: Caller, webhook_id: str) -> WebhookState:
    """One webhook. Raises NotFound."""
    authorize(caller, "read", "Subscription")

    async def work(unit: Unit) -> WebhookState:
        return await find_state(unit.connection, caller, webhook_id)

    return await run_unit(hub, caller, work)


async def find_state(connection: Connection, caller: Caller, webhook_id: str) -> WebhookState:
    """One that the caller steers. Raises NotFound."""
    states = await list_states(connection, steered_by(caller), webhook_id)
    if not states:
        raise NotFound(f"There is no webhook {webhook_id}")
    return tell_state(states[0], caller)


def tell_state(state: WebhookState, caller: Caller) -> WebhookState:
    """As the caller may know it."""
    return replace(state, error=tell_reason(state.error)) if steered_by(caller) else state


def tell_undelivered(each: Undelivered, caller: Caller) -> Undelivered:
    """As the caller may know it."""
    if steered_by(caller) is None:
        return each
    return replace(each, attempts=[replace(attempt, reason=tell_reason(attempt.reason)) for attempt in each.attempts])


async def read_undelivered(
    hub: Hub, caller: Caller, kind: Kind, *, webhook_id: str | None, before: int | None, most: int
) -> list[Undelivered]:
    """What was given up, or is blocked, the newest first, with ids below ``before``."""
    authorize(caller, "search-type", "Subscription")

    async def work(unit: Unit) -> list[Undelivered]:
        found = await list_undelivered(
            unit.connection,
            kind,
            organizations=steered_by(caller),
            webhook_id=webhook_id,
            before=before,
            most=most,
        )
        return [tell_undelivered(each, caller) for each in found]

    return await run_unit(hub, caller, work)


async def replay(hub: Hub, caller: Caller, wanted: Replay) -> Replayed:
    """Sends again what is wanted. Raises NotFound, and Conflict for one that was delivered."""
    authorize(caller, "update", "Subscription")

    async def work(unit: Unit) -> Replayed:
        counts = await replay_chosen(unit.connection, wanted, steered_by(caller))
        return Replayed(*counts, await find_stopped(unit.connection, wanted))

    replayed = await run_unit(hub, caller, work)
    await announce(hub)
    return replayed


async def pause(hub: Hub, caller: Caller, webhook_id: str) -> WebhookState:
    """Queues for a webhook and sends it nothing; its Subscription is off. Raises NotFound, Conflict."""
    authorize(caller, "update", "Subscription")

    async def work(unit: Unit) -> WebhookState:
        await pause_webhook(unit.connection, webhook_id, steered_by(caller))
        return await find_state(unit.connection, caller, webhook_id)

    state = await run_unit(hub, caller, work)
    await show_statuses(hub)
    return state


async def resume(hub: Hub, caller: Caller, webhook_id: str) -> WebhookState:
    """Sends to a webhook again, whatever stopped it; its Subscription is active. Raises NotFound."""
    authorize(caller, "update", "Subscription")

    async def work(unit: Unit) -> WebhookState:
        await resume_webhook(unit.connection, webhook_id, steered_by(caller))
        return await find_state(unit.connection, caller, webhook_id)

    state = await run_unit(hub, caller, work)
    await announce(hub)
    await show_statuses(hub)
    return state


async def announce(hub: Hub) -> None:
    async with hub.pool.acquire() as connection:
        await announce_deliveries(connection)
