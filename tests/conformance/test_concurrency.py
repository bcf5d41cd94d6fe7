"""Many writers at once: each version written once, one resource created."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.conformance.conftest import Site

TASK: dict[str, Any] = {"resourceType": "Task", "status": "draft", "intent": "order", "description": "0"}
UPDATES = 1_000
CREATES = 500
WRITERS = 40


@pytest.mark.parametrize("updates", [UPDATES, pytest.param(20 * UPDATES, marks=pytest.mark.soak)])
def test_each_version_is_written_once(site: Site, updates: int) -> None:
    """Updates with If-Match by 40 writers that race for each version."""
    asyncio.run(race_for_versions(site.client("hospital", "referrer"), updates))


async def race_for_versions(client: httpx.AsyncClient, updates: int) -> None:
    async with client:
        made = (await client.post("/Task", json=TASK)).json()
        path = f"/Task/{made['id']}"
        written: list[tuple[int, str]] = []
        turns = iter(range(updates))

        async def write(writer: int) -> None:
            for _ in turns:
                current = (await client.get(path)).json()
                version = current["meta"]["versionId"]
                body = {**current, "description": f"{writer} after {version}"}
                answer = await client.put(path, json=body, headers={"If-Match": f'W/"{version}"'})
                assert answer.status_code in (200, 409, 412), answer.text
                if answer.status_code == 200:
                    written.append((int(version) + 1, body["description"]))

        await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
        versions = sorted(version for version, _ in written)
        assert versions == list(range(2, len(versions) + 2))
        for version, description in written[:: len(written) // 20]:
            stored = (await client.get(f"{path}/_history/{version}")).json()
            assert stored["description"] == description


def test_of_a_thousand_updates_of_one_version_one_wins(site: Site) -> None:
    async def race(client: httpx.AsyncClient) -> list[int]:
        async with client:
            made = (await client.post("/Task", json=TASK)).json()
            requests = [
                client.put(f"/Task/{made['id']}", json={**made, "description": str(n)}, headers={"If-Match": 'W/"1"'})
                for n in range(UPDATES)
            ]
            return [answer.status_code for answer in await asyncio.gather(*requests)]

    statuses = asyncio.run(race(site.client("hospital", "referrer")))
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 412}


def test_of_five_hundred_conditional_creates_one_creates(site: Site) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:test", "value": "one"}]}

    async def race(client: httpx.AsyncClient) -> tuple[list[int], int]:
        async with client:
            headers = {"If-None-Exist": "identifier=urn:test|one"}
            answers = await asyncio.gather(
                *(client.post("/Patient", json=patient, headers=headers) for _ in range(CREATES))
            )
            found = (await client.get("/Patient", params={"identifier": "urn:test|one"})).json()
            return [answer.status_code for answer in answers], len(found["entry"])

    statuses, found = asyncio.run(race(site.client("hospital", "referrer")))
    assert statuses.count(201) == 1
    assert statuses.count(200) == CREATES - 1
    assert found == 1
