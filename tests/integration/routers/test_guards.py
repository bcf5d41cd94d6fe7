"""What stands around every answer: the rate limit, headers for browsers, and who may call from a page."""

from collections.abc import AsyncIterator

import pytest

from app.core.settings import Settings
from tests.api import World, open_world

APP = "https://app.example.org"


@pytest.fixture
async def slow(settings: Settings) -> AsyncIterator[World]:
    """A server that lets each client make three requests, and then one a minute."""
    async with open_world(settings.model_copy(update={"rate_limit": 1 / 60, "rate_burst": 3})) as opened:
        yield opened


async def test_who_calls_too_often_waits(slow: World) -> None:
    hasty, patient = await slow.caller("hospital"), await slow.caller("ngo", "provider")
    assert [(await hasty.get("/Task")).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = await hasty.send("POST", "/Patient", {"resourceType": "Patient"})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.json()["issue"][0]["code"] == "throttled"
    assert (await patient.get("/Task")).status_code == 200
    # What needs no client is not counted.
    assert (await hasty.http.get("/healthz")).status_code == 200


async def test_who_is_not_known_uses_up_nobodys_requests(slow: World) -> None:
    caller = await slow.caller("hospital")
    for _ in range(10):
        assert (await caller.get("/Task", Authorization="Bearer x")).status_code == 401
    assert (await caller.get("/Task")).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [("/fhir/metadata", 200), ("/fhir/Task", 401), ("/nowhere", 404), ("/docs", 200), ("/healthz", 200)],
)
async def test_every_answer_is_guarded(world: World, path: str, status: int) -> None:
    caller = await world.caller("hospital")
    answer = await caller.http.get(path, headers={"Authorization": ""})
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers.get_list("content-security-policy")[0].startswith("default-src 'none'")
    assert len(answer.headers.get_list("content-security-policy")) == 1
    assert "strict-transport-security" not in answer.headers


async def test_a_bug_of_ours_is_guarded_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = await world.caller("hospital")
    monkeypatch.setattr(world.app.state, "verifier", None)
    answer = await caller.get("/Task")
    assert (answer.status_code, answer.headers["x-content-type-options"]) == (500, "nosniff")


async def test_by_https_browsers_are_told_to_stay_there(settings: Settings) -> None:
    async with open_world(settings.model_copy(update={"public_url": "https://refer.example.org"})) as world:
        caller = await world.caller("hospital")
        assert "max-age" in (await caller.get("/metadata")).headers["strict-transport-security"]


async def test_no_page_may_call_unless_named(world: World) -> None:
    caller = await world.caller("hospital")
    assert "access-control-allow-origin" not in (await caller.get("/metadata", Origin=APP)).headers
    asked = {"Origin": APP, "Access_Control_Request_Method": "GET"}
    assert (await caller.send("OPTIONS", "/Task", **asked)).status_code == 405


async def test_a_page_that_is_named_may_call(settings: Settings) -> None:
    async with open_world(settings.model_copy(update={"cors_origins": f"{APP}, https://b.example"})) as world:
        caller = await world.caller("hospital")
        answer = await caller.get("/Task", Origin=APP)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, APP)
        assert "access-control-allow-credentials" not in answer.headers
        asked = {"Access_Control_Request_Method": "PUT", "Access_Control_Request_Headers": "authorization,if-match"}
        assert (await caller.send("OPTIONS", "/Task", Origin=APP, **asked)).status_code == 200
        stranger = await caller.get("/Task", Origin="https://evil.example")
        assert "access-control-allow-origin" not in stranger.headers
