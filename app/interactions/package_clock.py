"""The clock of open packages: a period of a Consent begins or ends, or the time after a Task's end is over."""

import logging

from app.core.errors import HandoffError
from app.interactions.hub import Hub
from app.interactions.operate import act_for
from app.interactions.unit import SYSTEM, Unit, run_unit
from app.interactions.withdrawal import review_package, settle_sub_referrals
from app.store.grounds import find_due, is_due
from app.store.read import load_resources
from app.store.rows import Stored

logger = logging.getLogger("handoff")
BATCH = 100


async def review_due(hub: Hub) -> int:
    """Weighs the packages whose time has come, each in its own transaction; how many. The rest comes at the next look.

    One that fails does not keep the others from theirs.
    """
    async with hub.pool.acquire() as connection:
        due = await find_due(connection, BATCH)
        tasks = await load_resources(connection, SYSTEM, [("Task", task_id) for task_id, _ in due])
    done = 0
    for task_id, organization in due:
        try:
            await review_one(hub, tasks["Task", task_id], organization)
            done += 1
        except HandoffError as error:
            logger.warning("The package of Task/%s could not be weighed: %s", task_id, type(error).__name__)
    return done


async def review_one(hub: Hub, task: Stored, organization: str) -> None:
    """Weighs one of them on behalf of the organisation whose Task it is, unless another worker just has."""

    async def work(unit: Unit) -> None:
        await unit.lock_referrals([task.key])
        if await is_due(unit.connection, task.id, organization):
            await review_package(unit, task.id, organization)
            await settle_sub_referrals(unit, task.referral or task.reference)

    await run_unit(hub, act_for(task.owner_org), work)
