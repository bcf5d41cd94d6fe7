"""Shows in each Subscription what has become of its webhook: delivery itself knows nothing of resources."""

from app.delivery.overview import list_changed
from app.delivery.standing import SHOWN_AS, tell_error
from app.interactions.hub import Hub
from app.interactions.operate import act_for
from app.interactions.unit import SYSTEM, Unit, run_unit
from app.interactions.versions import parse_stored, record_provenance, replace_version
from app.store.read import read_resource


async def show_statuses(hub: Hub) -> int:
    """Writes a version of each Subscription whose webhook has another status than it shows; how many."""
    changed = await list_changed(hub.pool)
    return sum([await show_status(hub, webhook_id, organization) for webhook_id, organization in changed])


async def show_status(hub: Hub, webhook_id: str, organization: str) -> bool:
    """One of them; False where somebody else is at it, or was."""

    async def work(unit: Unit) -> bool:
        row = await unit.connection.fetchrow(
            "SELECT status, error FROM webhook WHERE id = $1 AND status <> shown_status FOR UPDATE SKIP LOCKED",
            webhook_id,
        )
        if row is None:
            return False
        status, error = row[0], tell_error(*row)
        stored = await read_resource(unit.connection, SYSTEM, "Subscription", webhook_id)
        if stored and not stored.deleted:
            before = parse_stored(stored)
            after = {name: value for name, value in before.items() if name != "error"}
            after["status"] = SHOWN_AS[status]
            if error:
                after["error"] = error
            new = await replace_version(unit, stored, before, after)
            await record_provenance(unit, new, "UPDATE", f"Its webhook is {status}")
        await unit.connection.execute("UPDATE webhook SET shown_status = $2 WHERE id = $1", webhook_id, status)
        return True

    return await run_unit(hub, act_for(organization), work)
