"""What a Subscription asks for, and what of it is refused."""

from datetime import UTC, datetime

import pytest

from app.core.errors import Unprocessable
from app.core.settings import Settings
from app.delivery.filters import index_keys
from app.delivery.subscription import read_subscription
from app.delivery.terms import BACKPORT
from app.delivery.topics import GUIDE
from tests.api import Resource
from tests.integration.delivery.test_subscriptions import subscription

BASE = "https://refer.example/fhir"


def refused(change: str) -> Resource:
    """A Subscription that asks for one thing too many."""
    found = subscription("https://ehr.example/hook")
    channel = found["channel"]
    match change:
        case "topic":
            found["criteria"] = f"{GUIDE}/Observation"
        case "filter":
            found = subscription("https://ehr.example/hook", filters=("Task?priority=urgent",))
        case "filter's type":
            found = subscription("https://ehr.example/hook", filters=("Observation?status=final",))
        case "modifier":
            found = subscription("https://ehr.example/hook", filters=("status:not=draft",))
        case "missing":
            found = subscription("https://ehr.example/hook", filters=("owner:missing=true",))
        case "channel":
            channel["type"] = "websocket"
        case "payload":
            channel["payload"] = "application/fhir+xml"
        case "no payload":
            del channel["payload"]
        case "content":
            channel["_payload"]["extension"][0]["valueCode"] = "everything"
        case "no content":
            del channel["_payload"]
        case "ftp":
            channel["endpoint"] = "ftp://ehr.example/hook"
        case "private endpoint":
            channel["endpoint"] = "https://10.0.0.1/hook"
        case "no endpoint":
            del channel["endpoint"]
        case "heartbeat":
            channel["extension"] = [{"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 9}]
        case "two heartbeats":
            channel["extension"] = [{"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 60}] * 2
        case "timeout":
            channel["extension"] = [{"url": f"{BACKPORT}/backport-timeout", "valueUnsignedInt": 0}]
        case "max-count":
            channel["extension"] = [{"url": f"{BACKPORT}/backport-max-count", "valueUnsignedInt": 5}]
        case "the guide's, elsewhere":
            found["extension"] = [{"url": f"{BACKPORT}/backport-timeout", "valueUnsignedInt": 5}]
        case "cross-version":
            url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.topic"
            found["extension"] = [{"url": url, "valueCanonical": f"{GUIDE}/Task"}]
        case "header":
            channel["header"] = ["Host: elsewhere.example"]
        case "header's form":
            channel["header"] = ["no colon"]
        case "active":
            found["status"] = "active"
        case "http":
            channel["endpoint"] = "http://ehr.example/hook"
        case "end":
            found["end"] = "2020-01-01T00:00:00Z"
    return found


@pytest.mark.parametrize(
    ("change", "where", "code"),
    [
        ("topic", "criteria", "not-supported"),
        ("filter", "criteria.extension", "processing"),
        ("filter's type", "criteria.extension", "processing"),
        ("modifier", "criteria.extension", "processing"),
        ("missing", "criteria.extension", "processing"),
        ("channel", "channel.type", "not-supported"),
        ("payload", "channel.payload", "not-supported"),
        ("no payload", "channel.payload", "not-supported"),
        ("content", "channel.payload", "not-supported"),
        ("no content", "channel.payload", "not-supported"),
        ("http", "channel.endpoint", "processing"),
        ("ftp", "channel.endpoint", "processing"),
        ("private endpoint", "channel.endpoint", "processing"),
        ("no endpoint", "channel.endpoint", "processing"),
        ("heartbeat", "channel.extension[0]", "processing"),
        ("two heartbeats", "channel.extension[1]", "processing"),
        ("timeout", "channel.extension[0]", "processing"),
        ("max-count", "channel.extension[0]", "processing"),
        ("the guide's, elsewhere", "extension", "not-supported"),
        ("cross-version", "extension", "not-supported"),
        ("header", "channel.header[0]", "processing"),
        ("header's form", "channel.header[0]", "processing"),
        ("active", "status", "processing"),
        ("end", "end", "processing"),
    ],
)
def test_what_is_not_served_is_refused(change: str, where: str, code: str) -> None:
    read_subscription(subscription("https://ehr.example/hook"), Settings(), BASE)
    with pytest.raises(Unprocessable) as refusal:
        read_subscription(refused(change), Settings(), BASE)
    [issue] = refusal.value.all_issues()
    assert (issue.code, issue.expression) == (code, (f"Subscription.{where}",))


@pytest.mark.parametrize(
    "text",
    [
        "Task?owner=Organization/ngo",
        "owner=Organization/ngo",
        "Task.owner=Organization/ngo",
        "owner=https://refer.example/fhir/Organization/ngo",
    ],
)
def test_a_filter_may_be_written_in_each_of_the_guides_ways(text: str) -> None:
    wanted = read_subscription(subscription("https://ehr.example/hook", filters=(text,)), Settings(), BASE)
    assert wanted.filters == [["owner=Organization/ngo"]]


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("code=fulfill", True),
        ("code=http://hl7.org/fhir/CodeSystem/task-code|fulfill", True),
        ("code=http://hl7.org/fhir/CodeSystem/task-code|", True),
        ("code=http://elsewhere.example|fulfill", False),
        ("code=http%3A%2F%2Fhl7.org%2Ffhir%2FCodeSystem%2Ftask-code%7Cfulfill", True),
        ("status=accepted,rejected", True),
        ("status=rejected", False),
        ("owner=ngo", True),
        ("owner=Organization/elsewhere", False),
        ("_id=t", True),
        ("_id=u", False),
    ],
)
def test_a_filter_compares_as_a_search_does(text: str, matches: bool) -> None:
    coding = {"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}
    task = {
        "resourceType": "Task",
        "id": "t",
        "status": "accepted",
        "code": {"coding": [coding]},
        "owner": {"reference": "Organization/ngo"},
    }
    wanted = read_subscription(subscription("https://ehr.example/hook", filters=(text,)), Settings(), BASE)
    assert all(set(each) & set(index_keys(task, datetime.now(UTC), BASE)) for each in wanted.filters) is matches
