"""Our own address: from the settings, or from as many proxies as are trusted, and from nobody else."""

from collections.abc import AsyncIterator

import pytest

from app.core.settings import Settings
from tests.api import World, open_world

SPOOFED = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "https"}
PATIENT = {"resourceType": "Patient"}


@pytest.fixture
async def behind_a_proxy(settings: Settings) -> AsyncIterator[World]:
    """One trusted proxy, and no public URL."""
    async with open_world(settings.model_copy(update={"public_url": None, "trusted_hops": 1})) as opened:
        yield opened


async def test_a_public_url_rules(world: World) -> None:
    caller = await world.caller("hospital")
    answer = await caller.send("POST", "/Patient", PATIENT, **SPOOFED)
    assert answer.headers["location"].startswith("http://handoff.test/fhir/Patient/")
    entries = (await caller.get("/Patient", **SPOOFED)).json()
    assert entries["entry"][0]["fullUrl"].startswith("http://handoff.test/fhir/Patient/")
    assert all(link["url"].startswith("http://handoff.test/fhir/") for link in entries["link"])


async def test_without_trusted_hops_headers_count_for_nothing(settings: Settings) -> None:
    async with open_world(settings.model_copy(update={"public_url": None})) as world:
        caller = await world.caller("hospital")
        answer = await caller.send("POST", "/Patient", PATIENT, **SPOOFED)
        assert answer.headers["location"].startswith("http://127.0.0.1:8000/fhir/")


@pytest.mark.parametrize(
    ("host", "proto", "expected"),
    [
        ("refer.example.org", "https", "https://refer.example.org/fhir/"),
        ("evil.example, refer.example.org", "http, https", "https://refer.example.org/fhir/"),
        ("refer.example.org/evil", "https", "http://127.0.0.1:8000/fhir/"),
        ("refer.example.org", "gopher", "http://127.0.0.1:8000/fhir/"),
    ],
)
async def test_the_trusted_proxy_is_the_last_to_write(
    behind_a_proxy: World, host: str, proto: str, expected: str
) -> None:
    caller = await behind_a_proxy.caller("hospital")
    answer = await caller.send("POST", "/Patient", PATIENT, X_Forwarded_Host=host, X_Forwarded_Proto=proto)
    assert answer.headers["location"].startswith(expected)
