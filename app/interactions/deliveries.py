"""What the operator does about delivery: sends again, pauses, resumes."""

from app.delivery.replay import Replay, announce_deliveries, pause_webhook, resume_webhook
from app.delivery.replay import replay as replay_chosen
from app.interactions.hub import Hub
from app.interactions.operate import act_for
from app.interactions.unit import Unit, run_unit
from app.interactions.webhook_status import show_statuses

OPERATOR = act_for("operator")


async def replay(hub: Hub, wanted: Replay) -> tuple[int, int]:
    """(sent again, due at once instead of later). Raises NotFound, and Conflict for one that was delivered."""

    async def work(unit: Unit) -> tuple[int, int]:
        return await replay_chosen(unit.connection, wanted)

    counts = await run_unit(hub, OPERATOR, work)
    await announce(hub)
    return counts


async def pause(hub: Hub, webhook_id: str) -> None:
    """Queues for a webhook and sends it nothing; its Subscription is off. Raises NotFound, Conflict."""

    async def work(unit: Unit) -> None:
        await pause_webhook(unit.connection, webhook_id)

    await run_unit(hub, OPERATOR, work)
    await show_statuses(hub)


async def resume(hub: Hub, webhook_id: str) -> None:
    """Sends to a webhook again, whatever stopped it; its Subscription is active. Raises NotFound."""

    async def work(unit: Unit) -> None:
        await resume_webhook(unit.connection, webhook_id)

    await run_unit(hub, OPERATOR, work)
    await announce(hub)
    await show_statuses(hub)


async def announce(hub: Hub) -> None:
    async with hub.pool.acquire() as connection:
        await announce_deliveries(connection)
