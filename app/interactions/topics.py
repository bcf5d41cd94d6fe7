"""Publishes the topics of Subscriptions as resources that every caller finds, and keeps them true to the program."""

from typing import Any

from app.core.caller import EVERYONE, Caller
from app.delivery.topic_resources import build_topic, topic_id
from app.delivery.topics import SUBSCRIPTION_TOPICS, Topic
from app.interactions.hub import Hub
from app.interactions.unit import Unit, run_unit
from app.interactions.versions import insert_version, parse_stored, replace_version
from app.store.rows import Stored

OWNER = ":server"
"""No organisation has such an id: nobody changes or deletes them."""
SERVER = Caller("server", OWNER, "admin", ())


async def publish_topics(hub: Hub) -> int:
    """Writes each topic that is missing or says something else than the program; how many."""

    async def work(unit: Unit) -> int:
        keys = [("Basic", topic_id(each)) for each in SUBSCRIPTION_TOPICS]
        found = await unit.session.find_rows(keys)
        return sum(
            [
                await publish_topic(unit, each, found.get(key))
                for key, each in zip(keys, SUBSCRIPTION_TOPICS, strict=True)
            ]
        )

    return await run_unit(hub, SERVER, work)


async def publish_topic(unit: Unit, topic: Topic, stored: Stored | None) -> bool:
    """One of them; False where there is nothing to do, or an admin has taken the id for something else."""
    resource: dict[str, Any] = build_topic(topic)
    if stored is None:
        await insert_version(unit, resource, topic_id(topic), OWNER, shared_with=(EVERYONE,))
        return True
    if stored.deleted or stored.owner_org != OWNER:
        return False
    before = parse_stored(stored)
    if {name: value for name, value in before.items() if name not in ("id", "meta")} == resource:
        return False
    await replace_version(unit, stored, before, resource)
    return True
