"""A Task that the requester posts for a referral whose Task the server had made: that Task becomes it."""

from typing import Any

from app.core.errors import Issue
from app.interactions.links import Links, local_key, read_content
from app.interactions.loop import place_resource, settle_change
from app.interactions.unit import Unit
from app.interactions.versions import parse_stored, replace_version
from app.referral.server_task import adopt_task, is_adoptable
from app.store.rows import Stored


async def adopt_server_task(unit: Unit, links: Links, posted: dict[str, Any]) -> Stored | None:
    """The server-made Task turned into the posted one; None where there is none to turn.

    Both must be ``requested``, for the same focus and the same owner organisation; the server's made for this caller.
    """
    if posted.get("status") != "requested":
        return None
    base = unit.hub.base_url
    focus = links.visible_at((posted.get("focus") or {}).get("reference"))
    if focus is None or focus.referral is None:
        return None
    for row in await unit.session.find_members("Task", focus.referral):
        made = read_content(row)
        if (
            row.owner_org != unit.caller.organization
            or local_key((made.get("focus") or {}).get("reference"), base) != focus.key
            or not is_adoptable(made)
        ):
            continue
        place = await place_resource(unit, links, posted, row.key, None)
        if place.assigned_org != row.assigned_org:
            continue
        before = parse_stored(row)
        after = adopt_task(before, posted)
        new = await replace_version(unit, row, before, after)
        links.loaded[new.key] = new
        await settle_change(unit, links, row, before, new, after)
        unit.issues.append(
            Issue(
                "warning",
                "duplicate",
                f"{new.reference} had been made for this ServiceRequest already; it has become the Task that you sent",
                ("Task.focus",),
            )
        )
        return new
    return None
