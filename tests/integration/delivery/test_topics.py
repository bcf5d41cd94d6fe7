"""Topics as a client discovers them: resources, the CapabilityStatement, versions."""

import pytest

from app.core.errors import Unprocessable
from app.core.settings import Settings
from app.delivery.subscription import read_subscription
from app.delivery.topic_resources import R4B, R5
from app.delivery.topics import FILTERS, GUIDE, SUBSCRIPTION_TOPICS
from app.fhir.validation import validate
from app.interactions.topics import publish_topics
from app.main import create_app
from tests.api import Resource, World
from tests.integration.delivery.test_subscriptions import subscription

FIND = "Basic?code=http://hl7.org/fhir/fhir-types|SubscriptionTopic"


def tell(topic: Resource, url: str) -> list[Resource]:
    return [each for each in topic["extension"] if each["url"] == url]


async def test_every_caller_finds_every_topic(world: World) -> None:
    assert await publish_topics(world.hub) == len(SUBSCRIPTION_TOPICS)
    for caller in (await world.caller("hospital"), await world.caller("ngo", "provider")):
        answer = await caller.get(f"/{FIND}&_count=200")
        found = [entry["resource"] for entry in answer.json()["entry"]]
        by_url = {tell(each, f"{R5}.url")[0]["valueUri"]: each for each in found}
        assert by_url.keys() == {each.canonical for each in SUBSCRIPTION_TOPICS}
        for topic in SUBSCRIPTION_TOPICS:
            told = by_url[topic.canonical]
            assert [issue for issue in validate(told) if issue.severity == "error"] == []
            assert tell(told, f"{R5}.version")[0]["valueString"] == topic.version
            [trigger] = tell(told, f"{R4B}.{'resource' if topic.on else 'event'}Trigger")
            told_on = [each["valueCode"] for each in trigger["extension"] if each["url"] == "supportedInteraction"]
            assert told_on == list(topic.on)
            filters = [each["extension"][-1]["valueString"] for each in tell(told, f"{R4B}.canFilterBy")]
            assert filters == list(FILTERS[topic.resource_type])
            assert (await caller.get(f"/Basic/{told['id']}")).status_code == 200


async def test_the_statement_names_the_same_topics(world: World) -> None:
    anyone = await world.caller("anyone")
    statement = (await anyone.get("/metadata")).json()
    [own] = [each for each in statement["rest"][0]["resource"] if each["type"] == "Subscription"]
    assert [each["valueCanonical"] for each in own["extension"]] == [each.canonical for each in SUBSCRIPTION_TOPICS]
    assert [issue for issue in validate(statement) if issue.severity == "error"] == []


async def test_nobody_changes_them(world: World) -> None:
    await publish_topics(world.hub)
    for caller in (await world.caller("hospital"), await world.caller("operator", "admin")):
        [first, *_] = await caller.find(FIND)
        resource = await caller.read(first)
        assert (await caller.update(resource)).status_code == 403
        assert (await caller.send("DELETE", f"/{first}")).status_code == 403


async def test_they_follow_the_program(world: World) -> None:
    await publish_topics(world.hub)
    assert await publish_topics(world.hub) == 0
    await world.pool.execute("UPDATE basic SET content = replace(content, 'got its owner', 'has an owner')")
    assert await publish_topics(world.hub) == 1
    hospital = await world.caller("hospital")
    assert "got its owner" in (await hospital.get("/Basic/topic-task-assigned")).text


@pytest.mark.parametrize(("version", "taken"), [("", True), ("|3.0.0", True), ("|2.0.0", False), ("|", False)])
def test_a_topic_may_be_asked_for_in_its_version(version: str, taken: bool) -> None:
    wanted = subscription("https://ehr.example/hook", topic=f"{GUIDE}/Task{version}")
    if taken:
        assert read_subscription(wanted, Settings(), "https://refer.example/fhir").topics == ["task-version"]
        return
    with pytest.raises(Unprocessable) as refusal:
        read_subscription(wanted, Settings(), "https://refer.example/fhir")
    assert refusal.value.expression == ("Subscription.criteria",)


async def test_a_server_publishes_them_when_it_starts(settings: Settings) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        assert await app.state.pool.fetchval("SELECT count(*) FROM basic") == len(SUBSCRIPTION_TOPICS)
