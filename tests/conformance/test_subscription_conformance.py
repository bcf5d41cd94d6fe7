"""The conformance cases of a rest-hook server, over HTTP with a real receiver (Subscriptions R5 Backport 1.2, R4)."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.core.embedded_postgres import start_postgres
from tests.conformance.conftest import LOOPBACK, Site, token_for
from tests.conformance.profiles import GUIDE, find_notification_faults, find_status_faults
from tests.integration.delivery.receiver import Receiver, Request, open_receiver
from tests.integration.delivery.test_subscriptions import BACKPORT, bare, parameters, subscription
from tests.integration.delivery.test_subscriptions import GUIDE as TOPICS
from tests.integration.interactions.samples import patient, reference, service_request, task
from tests.json_schema import find_errors
from tests.processes import PATIENCE
from tests.server import Server
from tests.waiting import until

Resource = dict[str, Any]

if not GUIDE.exists():
    pytest.skip(f"no definitions of the guide below {GUIDE}; set HANDOFF_TEST_DATA", allow_module_level=True)

TOPIC = f"{TOPICS}/Task"
PROFILE = f"{BACKPORT}/backport-subscription"


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all of these cases."""
    data_dir = tmp_path_factory.mktemp("conformance") / "data"
    site = Site(data_dir, Server(data_dir, heartbeat_minimum="1", **LOOPBACK))
    try:
        yield site
    finally:
        site.server.process.terminate()
        site.server.process.communicate(timeout=PATIENCE)
        start_postgres(data_dir).destroy()


class Client:
    """A client that has nothing but an address and a token."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def post(self, resource: Resource) -> httpx.Response:
        return await self.http.post(f"/{resource['resourceType']}", json=resource)

    async def create(self, resource: Resource) -> Resource:
        answer = await self.post(resource)
        assert answer.status_code == 201, answer.text
        created: Resource = answer.json()
        return created

    async def read(self, path: str) -> Resource:
        answer = await self.http.get(f"/{path}")
        assert answer.status_code == 200, answer.text
        found: Resource = answer.json()
        return found

    async def until_status(self, created: Resource, status: str) -> Resource:
        async def shown() -> bool:
            return bool((await self.read(reference(created)))["status"] == status)

        await until(shown)
        return await self.read(reference(created))

    async def refer(self) -> Resource:
        subject = reference(await self.create(patient()))
        request = await self.create(service_request(subject))
        return await self.create(task(subject, reference(request)))


@asynccontextmanager
async def open_client(site: Site) -> AsyncIterator[Client]:
    token = await asyncio.to_thread(token_for, site, "hospital", "referrer")
    await asyncio.to_thread(token_for, site, "ngo", "provider")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    async with httpx.AsyncClient(base_url=f"{site.server.address}/fhir", headers=headers, timeout=PATIENCE) as http:
        yield Client(http)


@pytest.fixture
async def client(shared_site: Site) -> AsyncIterator[Client]:
    async with open_client(shared_site) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as opened:
        yield opened


async def subscribe(client: Client, receiver: Receiver, content: str, **channel: Any) -> Resource:
    """A Subscription that is active."""
    created = await client.create(subscription(receiver.url, content, **channel))
    return await client.until_status(created, "active")


async def wait_for_event(receiver: Receiver) -> Request:
    async def has_come() -> bool:
        return any(parameters(each)["type"] == "event-notification" for each in receiver.requests)

    await until(has_come, PATIENCE)
    return next(each for each in receiver.requests if parameters(each)["type"] == "event-notification")


def check_notification(request: Request) -> None:
    """Valid by our tables, and by the rules of the published profiles."""
    assert request.headers["content-type"] == "application/fhir+json"
    assert find_errors(request.json) == []
    assert find_notification_faults(request.json) == []


async def test_the_capability_statement(client: Client) -> None:
    statement = await client.read("metadata")
    assert find_errors(statement) == []
    [told] = [each for each in statement["rest"][0]["resource"] if each["type"] == "Subscription"]
    published = json.loads((GUIDE / "CapabilityStatement-backport-subscription-server-r4.json").read_text())
    [wanted] = [each for each in published["rest"][0]["resource"] if each["type"] == "Subscription"]
    assert set(wanted["supportedProfile"]) <= set(told["supportedProfile"])
    for kind, key in (("interaction", "code"), ("searchParam", "name")):
        assert {each[key] for each in wanted[kind]} <= {each[key] for each in told[kind]}
    operations = {each["name"]: each["definition"] for each in told["operation"]}
    for each in wanted["operation"]:
        if each["name"] != "get-ws-binding-token":  # MAY, and of the websocket channel
            assert operations[each["name"]] == each["definition"]


async def test_topic_discovery(client: Client) -> None:
    statement = await client.read("metadata")
    [told] = [each for each in statement["rest"][0]["resource"] if each["type"] == "Subscription"]
    url = f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"
    named = [each["valueCanonical"] for each in told["extension"] if each["url"] == url]
    assert TOPIC in named
    bundle = await client.read("Basic?code=http://hl7.org/fhir/fhir-types|SubscriptionTopic&_count=100")
    found = [
        extension["valueUri"]
        for entry in bundle["entry"]
        for extension in entry["resource"]["extension"]
        if extension["url"].endswith("extension-SubscriptionTopic.url")
    ]
    assert sorted(found) == sorted(named)


async def test_the_subscription_conforms_to_its_profile(client: Client, receiver: Receiver) -> None:
    created = await subscribe(client, receiver, "id-only")
    found = await client.read(reference(created))
    assert find_errors(found) == []
    assert found["criteria"] == TOPIC
    assert found["channel"]["payload"] == "application/fhir+json"
    [content] = found["channel"]["_payload"]["extension"]
    assert content == {"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}


async def test_the_response_to_the_creation(client: Client, receiver: Receiver) -> None:
    answer = await client.post(subscription(receiver.url))
    assert answer.status_code == 201
    created = answer.json()
    assert created["status"] == "requested"
    assert f"/Subscription/{created['id']}/_history/1" in answer.headers["location"]
    assert (await client.read(reference(created)))["id"] == created["id"]


async def test_handshake_and_event_are_delivered(client: Client, receiver: Receiver) -> None:
    created = await client.create(subscription(receiver.url))
    [handshake] = await receiver.wait_for(1)
    check_notification(handshake)
    assert (parameters(handshake)["type"], parameters(handshake)["status"]) == ("handshake", "requested")
    assert parameters(handshake)["events-since-subscription-start"] == "0"
    await client.until_status(created, "active")
    made = await client.refer()
    event = await wait_for_event(receiver)
    assert parameters(event)["notification-event"]["focus"].endswith(reference(made))


async def test_a_notification_is_there_and_conforms(client: Client, receiver: Receiver) -> None:
    created = await subscribe(client, receiver, "id-only", header=["X-Tenant: one"])
    await client.refer()
    event = await wait_for_event(receiver)
    check_notification(event)
    assert event.headers["x-tenant"] == "one"
    said = parameters(event)
    assert said["subscription"].endswith(reference(created))
    assert (said["status"], said["topic"]) == ("active", TOPIC)
    assert said["events-since-subscription-start"] == said["notification-event"]["event-number"] == "1"


async def test_an_empty_payload(client: Client, receiver: Receiver) -> None:
    await subscribe(client, receiver, "empty")
    made = await client.refer()
    event = await wait_for_event(receiver)
    check_notification(event)
    assert len(event.json["entry"]) == 1
    assert parameters(event)["notification-event"].keys() == {"event-number", "timestamp"}
    assert "topic" not in parameters(event)
    assert made["id"] not in event.body.decode()


async def test_an_id_only_payload(client: Client, receiver: Receiver) -> None:
    await subscribe(client, receiver, "id-only")
    made = await client.refer()
    event = await wait_for_event(receiver)
    check_notification(event)
    _, entry = event.json["entry"]
    assert "resource" not in entry
    assert entry["fullUrl"] == parameters(event)["notification-event"]["focus"]
    assert entry["fullUrl"].endswith(reference(made))


async def test_a_full_resource_payload(client: Client, receiver: Receiver) -> None:
    await subscribe(client, receiver, "full-resource")
    made = await client.refer()
    event = await wait_for_event(receiver)
    check_notification(event)
    _, entry = event.json["entry"]
    assert entry["resource"] == made
    assert entry["request"] == {"method": "POST", "url": "Task"}


async def test_a_heartbeat(client: Client, receiver: Receiver) -> None:
    heartbeat = {"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 1}
    await subscribe(client, receiver, "empty", extension=[heartbeat])

    async def has_come() -> bool:
        return len([each for each in receiver.requests if parameters(each)["type"] == "heartbeat"]) >= 2

    await until(has_come, PATIENCE)
    for each in receiver.requests[1:]:
        check_notification(each)
        said = parameters(each)
        assert (said["type"], said["status"], said["events-since-subscription-start"]) == ("heartbeat", "active", "0")
        assert "notification-event" not in said


async def test_the_status_operation(client: Client, receiver: Receiver) -> None:
    created = await subscribe(client, receiver, "id-only")
    for path in (f"Subscription/{created['id']}/$status", f"Subscription/$status?id={created['id']}&status=active"):
        bundle = await client.read(path)
        assert find_errors(bundle) == []
        assert (bundle["type"], bundle["total"]) == ("searchset", 1)
        status = bundle["entry"][0]["resource"]
        assert find_status_faults(status) == []
        said = {each["name"]: bare(each) for each in status["parameter"]}
        assert (said["type"], said["status"]) == ("query-status", "active")


async def expect_refusal(client: Client, wanted: Resource, code: str, expression: str) -> None:
    answer = await client.post(wanted)
    assert answer.status_code == 422, answer.text
    assert find_errors(answer.json()) == []
    issue = answer.json()["issue"][0]
    assert (issue["severity"], issue["code"]) == ("error", code)
    assert issue["expression"][0].startswith(f"Subscription.{expression}")


HOOK = "http://127.0.0.1:9/hook"


async def test_an_unsupported_topic_is_rejected(client: Client) -> None:
    await expect_refusal(client, subscription(HOOK, topic=f"{TOPICS}/Observation"), "not-supported", "criteria")


async def test_an_unsupported_filter_is_rejected(client: Client) -> None:
    await expect_refusal(client, subscription(HOOK, filters=("Task?priority=urgent",)), "processing", "criteria")


async def test_an_unsupported_channel_type_is_rejected(client: Client) -> None:
    await expect_refusal(client, subscription(HOOK, type="websocket"), "not-supported", "channel.type")
    custom = {"extension": [{"url": f"{BACKPORT}/backport-channel-type", "valueCoding": {"code": "zulip"}}]}
    await expect_refusal(client, subscription(HOOK, _type=custom), "not-supported", "channel.type")


@pytest.mark.parametrize("endpoint", ["ftp://ehr.example/hook", "https://10.0.0.1/hook", "not an address"])
async def test_an_unsupported_endpoint_is_rejected(client: Client, endpoint: str) -> None:
    answer = await client.post(subscription(endpoint))
    assert answer.status_code == 422, answer.text
    assert answer.json()["issue"][0]["expression"] == ["Subscription.channel.endpoint"]


async def test_an_unsupported_payload_type_is_rejected(client: Client) -> None:
    for payload in ("text/plain", "application/hl7-v2"):
        await expect_refusal(client, subscription(HOOK, payload=payload), "not-supported", "channel.payload")


async def test_an_unsupported_payload_content_is_rejected(client: Client) -> None:
    content = {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": "everything"}]}
    await expect_refusal(client, subscription(HOOK, _payload=content), "not-supported", "channel.payload")


async def test_a_payload_that_its_channel_cannot_carry_is_rejected(client: Client) -> None:
    mail = subscription("mailto:ward@ehr.example", "full-resource", type="email")
    answer = await client.post(mail)
    assert answer.status_code == 422, answer.text
    compact = subscription(HOOK, topic="urn:warm-handoff:webhook?events=task-assigned")
    await expect_refusal(client, compact, "not-supported", "channel.payload")


async def test_a_cross_version_extension_is_rejected(client: Client) -> None:
    for version in ("4.3", "5.0"):
        url = f"http://hl7.org/fhir/{version}/StructureDefinition/extension-Subscription.topic"
        wanted = {**subscription(HOOK), "extension": [{"url": url, "valueCanonical": TOPIC}]}
        await expect_refusal(client, wanted, "not-supported", "extension")


def test_the_checker_finds_faults() -> None:
    """A checker that finds nothing proves nothing."""
    status = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subscription", "valueReference": {"reference": "Subscription/x"}},
            {"name": "status", "valueCode": "active"},
            {"name": "type", "valueCode": "event-notification"},
            {"name": "notification-event", "part": [{"name": "event-number", "valueString": "1"}]},
        ],
    }
    entry = {"resource": status, "request": {"method": "GET", "url": "Subscription/x/$status"}}
    bundle = {"resourceType": "Bundle", "type": "history", "entry": [entry]}
    assert find_notification_faults(bundle) == []
    broken = json.loads(json.dumps(bundle))
    broken["entry"][0]["resource"]["parameter"][1] = {"name": "status", "valueCode": "asleep"}
    broken["entry"][0]["resource"]["parameter"][2] = {"name": "type", "valueString": "handshake"}
    broken["entry"][0]["resource"]["parameter"][3]["part"] = [{"name": "colour", "valueString": "red"}]
    broken["entry"].append({"resource": {"resourceType": "Task"}})
    faults = find_notification_faults(broken)
    assert len(faults) == 5, faults
    assert find_notification_faults({**bundle, "entry": [{"resource": {"resourceType": "Task"}}, entry]})
