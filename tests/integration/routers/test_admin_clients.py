"""The register of clients over REST: for the operator alone, each change in the audit trail, with its effect."""

import asyncio
import json
from typing import Any

import asyncpg
import httpx
import pytest

from app.access.clients import generate_key, load_client
from app.access.token_client import sign_assertion
from app.access.tokens import TokenVerifier
from app.core.errors import Unauthenticated
from app.core.settings import Settings
from tests.api import Caller, World, open_world
from tests.integration.access.conftest import form
from tests.integration.routers.test_admin import call, take

Json = dict[str, Any]
ADDRESS = "/clients/ehr"
TOKEN_URL = "http://handoff.test/oauth/token"


def new_client(public: str, **more: Any) -> Json:
    body = {
        "id": "ehr",
        "organization": "Organization/hospital",
        "role": "referrer",
        "scopes": "system/*.cruds",
        "key": json.loads(public),
    }
    return {name: value for name, value in {**body, **more}.items() if value is not None}


@pytest.fixture
async def operator(world: World) -> Caller:
    return await world.caller("operator", "admin")


async def get_token(world: World, private: str) -> httpx.Response:
    """As a client does, without any other token."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url="http://handoff.test") as http:
        return await http.post("/oauth/token", data=form(sign_assertion("ehr", private, TOKEN_URL)))


async def test_a_client_from_its_registration_to_its_end(world: World, operator: Caller) -> None:
    first, second = generate_key(), generate_key()
    answer = await call(operator, "POST", "/clients", new_client(first[1], ratePerSecond=50))
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"http://handoff.test/admin{ADDRESS}"
    made = answer.json()
    assert (made["organization"], made["ratePerSecond"], made["lastTokenAt"]) == ("Organization/hospital", 50, None)
    assert await take(operator, "GET", ADDRESS) == made
    assert made in (await take(operator, "GET", "/clients"))["clients"]
    assert "d" not in made["keys"][0]
    assert (await call(operator, "POST", "/clients", new_client(first[1]))).status_code == 409

    assert (await get_token(world, first[0])).status_code == 200
    assert (await take(operator, "GET", ADDRESS))["lastTokenAt"]
    assert (await get_token(world, second[0])).status_code == 401
    two = await take(operator, "POST", f"{ADDRESS}/keys", {"key": json.loads(second[1])})
    assert len(two["keys"]) == 2
    assert [(await get_token(world, each[0])).status_code for each in (first, second)] == [200, 200]
    old = json.loads(first[1])["kid"]
    assert len((await take(operator, "DELETE", f"{ADDRESS}/keys?kid={old}"))["keys"]) == 1
    assert [(await get_token(world, each[0])).status_code for each in (first, second)] == [401, 200]
    assert (await call(operator, "DELETE", f"{ADDRESS}/keys?kid={old}")).status_code == 404
    last = json.loads(second[1])["kid"]
    assert (await call(operator, "DELETE", f"{ADDRESS}/keys?kid={last}")).status_code == 409

    changed = await take(operator, "PUT", ADDRESS, {"scopes": "system/Task.rs", "ratePerSecond": 0})
    assert (changed["scopes"], changed["ratePerSecond"], changed["role"]) == ("system/Task.rs", None, "referrer")
    assert (await get_token(world, second[0])).json()["scope"] == "system/Task.rs"

    assert (await call(operator, "DELETE", ADDRESS)).status_code == 409
    assert (await take(operator, "POST", f"{ADDRESS}/disable"))["disabledAt"]
    assert (await get_token(world, second[0])).status_code == 401
    assert (await take(operator, "POST", f"{ADDRESS}/enable"))["disabledAt"] is None
    assert (await get_token(world, second[0])).status_code == 200
    await take(operator, "POST", f"{ADDRESS}/disable")
    assert (await call(operator, "DELETE", ADDRESS)).status_code == 204
    assert (await call(operator, "GET", ADDRESS)).status_code == 404
    assert (await get_token(world, second[0])).status_code == 401


async def test_disabling_ends_a_token_within_5_seconds(world: World, pool: asyncpg.Pool, operator: Caller) -> None:
    private, public = generate_key()
    await take(operator, "POST", "/clients", new_client(public))
    token = (await get_token(world, private)).json()["access_token"]
    seconds = 0.0
    verifier = TokenVerifier(world.app.state.secret_key, pool, "http://handoff.test", monotonic=lambda: seconds)
    assert (await verifier.authenticate(f"Bearer {token}")).client_id == "ehr"
    await take(operator, "POST", f"{ADDRESS}/disable")
    seconds = 5.0
    with pytest.raises(Unauthenticated):
        await verifier.authenticate(f"Bearer {token}")


async def test_less_scope_ends_the_tokens_that_say_more(world: World, pool: asyncpg.Pool, operator: Caller) -> None:
    private, public = generate_key()
    await take(operator, "POST", "/clients", new_client(public))
    token = (await get_token(world, private)).json()["access_token"]
    await take(operator, "PUT", ADDRESS, {"scopes": "system/Task.r"})
    verifier = TokenVerifier(world.app.state.secret_key, pool, "http://handoff.test")
    with pytest.raises(Unauthenticated):
        await verifier.authenticate(f"Bearer {token}")


async def test_a_rate_of_its_own(world: World, operator: Caller) -> None:
    hospital = await world.caller("hospital")
    client_id = (await take(operator, "GET", "/clients"))["clients"][0]["id"]
    assert client_id.startswith("hospital")
    await take(operator, "PUT", f"/clients/{client_id}", {"ratePerSecond": 0.001})
    world.app.state.verifier._watch._read_at = float("-inf")
    assert [(await hospital.get("/Task")).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("role", ["referrer", "provider", "coordinator"])
async def test_others_have_no_business_here(world: World, pool: asyncpg.Pool, role: str) -> None:
    other = await world.caller("hospital", role)
    _, public = generate_key()
    before = await pool.fetch("SELECT * FROM client")
    own = before[0]["id"]
    tried = [
        await call(other, "GET", "/clients"),
        await call(other, "POST", "/clients", new_client(public, role="admin")),
        await call(other, "GET", f"/clients/{own}"),
        await call(other, "PUT", f"/clients/{own}", {"role": "admin"}),
        await call(other, "POST", f"/clients/{own}/keys", {"key": json.loads(public)}),
        await call(other, "PUT", f"/clients/{own}/jwks-url", {"jwksUrl": "https://evil.example/jwks"}),
        await call(other, "POST", f"/clients/{own}/disable"),
        await call(other, "POST", f"/clients/{own}/enable"),
        await call(other, "DELETE", f"/clients/{own}"),
        await call(other, "GET", "/clients/nobody"),
    ]
    assert [each.status_code for each in tried] == [403] * len(tried)
    assert await pool.fetch("SELECT * FROM client") == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"key": None}, 400),
        ({"jwksUrl": "https://ehr.example/jwks"}, 400),
        ({"key": None, "jwksUrl": "http://169.254.169.254/latest"}, 400),
        ({"key": None, "jwksUrl": "http://[::1]/jwks"}, 400),
        ({"key": None, "jwksUrl": "file:///etc/passwd"}, 400),
        ({"key": None, "jwksUrl": "https://user:secret@ehr.example/jwks"}, 400),
        ({"key": {"kty": "oct", "k": "AAAA"}}, 400),
        ({"organization": "hospital"}, 400),
        ({"role": "root"}, 400),
        ({"scopes": "user/Task.rs"}, 400),
        ({"ratePerSecond": -1}, 400),
        ({"id": "a b"}, 400),
        ({"more": 1}, 400),
    ],
)
async def test_what_is_no_client(world: World, operator: Caller, body: Json, status: int) -> None:
    answer = await call(operator, "POST", "/clients", new_client(generate_key()[1], **body))
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
    assert (await call(operator, "GET", ADDRESS)).status_code == 404


async def test_the_trail_tells_who_changed_which_client(world: World, pool: asyncpg.Pool, operator: Caller) -> None:
    await take(operator, "POST", "/clients", new_client(generate_key()[1]))
    await take(operator, "POST", f"{ADDRESS}/disable")
    await call(operator, "DELETE", ADDRESS)
    await call(operator, "DELETE", ADDRESS)
    rows = await pool.fetch(
        "SELECT interaction, status, role FROM audit WHERE interaction LIKE '%/admin/%' ORDER BY recorded, id"
    )
    told = [(row["interaction"], row["status"]) for row in rows]
    assert told == [
        ("POST /admin/clients ehr", 201),
        ("POST /admin/clients/{client_id}/disable ehr", 200),
        ("DELETE /admin/clients/{client_id} ehr", 204),
        ("DELETE /admin/clients/{client_id}", 404),
    ]


async def test_a_key_that_is_not_ours_is_not_kept(pool: asyncpg.Pool, operator: Caller) -> None:
    private, public = generate_key()
    await take(operator, "POST", "/clients", new_client(public))
    answer = await call(operator, "POST", f"{ADDRESS}/keys", {"key": json.loads(private)})
    assert answer.status_code == 400
    client = await load_client(pool, "ehr")
    assert client is not None
    assert len(client.keys) == 1


async def test_what_cannot_be_recorded_is_not_changed(world: World, operator: Caller) -> None:
    """The register and the trail are written in one transaction."""
    key = generate_key()[1]
    assert (await call(operator, "POST", "/clients", new_client(key))).status_code == 201
    known = await take(operator, "GET", "/clients")
    await world.pool.execute(
        "ALTER TABLE audit ADD CONSTRAINT closed CHECK (interaction NOT LIKE '% /admin/%') NOT VALID"
    )
    changes: list[tuple[str, str, Json | None]] = [
        ("POST", "/clients", new_client(key, id="another")),
        ("PUT", ADDRESS, {"scopes": "system/Task.rs"}),
        ("POST", f"{ADDRESS}/disable", None),
        (
            "PUT",
            "/networks",
            {"coordinator": "Organization/hospital", "member": "Organization/operator", "may": "acts"},
        ),
    ]
    for method, path, body in changes:
        assert (await call(operator, method, path, body)).status_code >= 500, path
    await world.pool.execute("ALTER TABLE audit DROP CONSTRAINT closed")
    assert await take(operator, "GET", "/clients") == known
    assert await take(operator, "GET", "/networks") == {"members": []}


async def test_a_client_and_its_organization_are_one_change(world: World, operator: Caller) -> None:
    """A name that is taken makes no Organization; one that is not makes both, and one row tells of them."""
    key = generate_key()[1]
    body = new_client(key, organization="Organization/newcomer")
    assert (await call(operator, "POST", "/clients", body)).status_code == 201
    assert (await operator.get("/Organization/newcomer")).status_code == 200
    taken = new_client(key, organization="Organization/another")
    assert (await call(operator, "POST", "/clients", taken)).status_code == 409
    assert (await operator.get("/Organization/another")).status_code == 404
    await world.hub.trail.flush()
    told = await world.pool.fetch(
        "SELECT interaction, status, type, resource_id FROM audit WHERE interaction LIKE '%admin/clients%' ORDER BY 2"
    )
    assert [tuple(each) for each in told] == [
        ("POST /admin/clients ehr", 201, "Organization", "newcomer"),
        ("POST /admin/clients", 409, None, None),
    ]


async def test_one_connection_is_enough_to_register(settings: Settings) -> None:
    async with open_world(settings.model_copy(update={"pool_size": 1})) as world:
        operator = await world.caller("operator", "admin")
        body = new_client(generate_key()[1], organization="Organization/newcomer")
        async with asyncio.timeout(60):
            answers = await asyncio.gather(
                *(call(operator, "POST", "/clients", {**body, "id": f"ehr-{n}"}) for n in range(4))
            )
    assert [each.status_code for each in answers] == [201] * 4
