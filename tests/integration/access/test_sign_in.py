"""A person's sign-in through a fake provider over real HTTP, and the ways of stealing or forging one."""

import base64
import json
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from app.core.settings import Settings
from tests.api import World, open_world
from tests.integration.access.conftest import ANY_HEADER
from tests.integration.access.publisher import Publisher, open_publisher

RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})
CLIENT = "warm-handoff-pages"
PATIENT = {"resourceType": "Patient"}


class Provider:
    """An OpenID Connect provider in which everybody is Lan, but for what a test changes."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.asked: dict[str, str] = {}
        self.claims: dict[str, Any] = {}
        self.key = RSA
        self.redeemed: list[dict[str, str]] = []
        base = publisher.base
        publisher.documents["/.well-known/openid-configuration"] = {
            "issuer": base,
            "jwks_uri": f"{base}/keys",
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
        }
        publisher.documents["/keys"] = {"keys": [RSA.as_dict(private=False)]}
        publisher.answers["/token"] = self.redeem

    def redeem(self, body: str) -> tuple[int, dict[str, Any]]:
        form = dict(parse_qsl(body))
        self.redeemed.append(form)
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if form.get("code") != "the-code" or challenge != self.asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.publisher.base,
            "aud": CLIENT,
            "sub": "lan-1",
            "name": "Lan",
            "groups": ["staff", "social-work"],
            "nonce": self.asked["nonce"],
            "iat": now,
            "exp": now + 300,
            **self.claims,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        token = jws.serialize_compact({"alg": "RS256", "kid": "rsa"}, json.dumps(kept), self.key, registry=ANY_HEADER)
        return 200, {"id_token": token, "access_token": "x", "token_type": "Bearer"}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with open_publisher() as opened:
        yield Provider(opened)


@pytest.fixture
async def signing(settings: Settings, provider: Provider, tmp_path: Path) -> AsyncIterator[World]:
    path = tmp_path / "providers.json"
    acting = {"organization": "hospital", "role": "referrer", "scopes": "system/*.cruds"}
    sign_in = {"clientId": CLIENT, "claim": "groups", "persons": {"social-work": acting}}
    path.write_text(json.dumps([{"name": "idp", "issuer": provider.publisher.base, "signIn": sign_in}]))
    changed = {"identity_providers": path, "public_url": "https://handoff.test"}
    async with open_world(settings.model_copy(update=changed)) as opened:
        await opened.organization("hospital")
        yield opened


def browse(world: World, base: str = "https://handoff.test", **more: Any) -> httpx.AsyncClient:
    """A browser: it keeps cookies, and shows where it is sent."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(world.app, **more), base_url=base)


async def begin(browser: httpx.AsyncClient, provider: Provider, return_to: str = "/docs") -> None:
    answer = await browser.get("/signin", params={"return_to": return_to})
    assert answer.status_code == 303, answer.text
    address = urlsplit(answer.headers["location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{provider.publisher.base}/authorize"
    provider.asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert provider.asked["code_challenge_method"] == "S256"
    assert provider.asked["redirect_uri"] == "https://handoff.test/signin/callback"


async def come_back(browser: httpx.AsyncClient, provider: Provider, **answer: str) -> httpx.Response:
    full = {"code": "the-code", "state": provider.asked["state"], **answer}
    return await browser.get("/signin/callback", params=full)


async def test_a_person_signs_in_works_and_signs_out(signing: World, provider: Provider) -> None:
    async with browse(signing) as browser:
        await begin(browser, provider)
        answer = await come_back(browser, provider)
        assert (answer.status_code, answer.headers["location"]) == (303, "/docs")
        cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("__Host-handoff="))
        assert {"httponly", "secure", "samesite=lax", "path=/"} <= {each.strip() for each in cookie.lower().split(";")}
        session = (await browser.get("/signin/session")).json()
        assert (session["name"], session["organization"], session["role"]) == (
            "Lan",
            "Organization/hospital",
            "referrer",
        )
        assert (await browser.get("/fhir/Patient")).status_code == 200
        assert (await browser.post("/fhir/Patient", json=PATIENT)).status_code == 403
        wrong = {"X-CSRF-Token": "x" * 43}
        assert (await browser.post("/fhir/Patient", json=PATIENT, headers=wrong)).status_code == 403
        right = {"X-CSRF-Token": session["csrfToken"]}
        made = await browser.post("/fhir/Patient", json=PATIENT, headers=right)
        assert made.status_code == 201
        row = await signing.pool.fetchrow(
            "SELECT client, organization FROM audit WHERE status = 201 AND type = 'Patient'"
        )
        assert row is not None
        assert tuple(row) == ("person:lan-1", "hospital")

        kept = dict(browser.cookies)
        assert (await browser.post("/signout")).status_code == 303
        assert not browser.cookies.get("__Host-handoff")
        browser.cookies.update(kept)
        assert (await browser.get("/fhir/Patient")).status_code == 401, "the server has forgotten it too"


async def test_the_token_of_one_session_is_none_of_another(signing: World, provider: Provider) -> None:
    tokens = []
    browsers = [browse(signing), browse(signing)]
    for each in browsers:
        await begin(each, provider)
        await come_back(each, provider)
        tokens.append((await each.get("/signin/session")).json()["csrfToken"])
    stolen = await browsers[0].post("/fhir/Patient", json=PATIENT, headers={"X-CSRF-Token": tokens[1]})
    assert stolen.status_code == 403
    for each in browsers:
        await each.aclose()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"state": "another"}, 400),
        ({"state": ""}, 400),
        ({"iss": "https://evil.example"}, 400),
        ({"code": "stolen"}, 400),
        ({"code": ""}, 403),
        ({"error": "access_denied"}, 403),
    ],
)
async def test_answers_that_are_not_to_this_attempt(
    signing: World, provider: Provider, answer: dict[str, str], status: int
) -> None:
    async with browse(signing) as browser:
        await begin(browser, provider)
        refused = await come_back(browser, provider, **answer)
        assert (refused.status_code, "__Host-handoff" in browser.cookies) == (status, False)
        assert (await browser.get("/signin/session")).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": [CLIENT, "another"]},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"sub": None},
    ],
)
async def test_id_tokens_that_are_not_believed(signing: World, provider: Provider, claims: dict[str, Any]) -> None:
    async with browse(signing) as browser:
        await begin(browser, provider)
        provider.claims = claims
        assert (await come_back(browser, provider)).status_code == 400
        assert "__Host-handoff" not in browser.cookies


async def test_an_id_token_of_a_strangers_key(signing: World, provider: Provider) -> None:
    async with browse(signing) as browser:
        await begin(browser, provider)
        provider.key = STRANGER
        assert (await come_back(browser, provider)).status_code == 400


@pytest.mark.parametrize("groups", [["staff"], None, "social-work ", {"social-work": 1}])
async def test_who_has_no_place_here(signing: World, provider: Provider, groups: Any) -> None:
    async with browse(signing) as browser:
        await begin(browser, provider)
        provider.claims = {"groups": groups}
        assert (await come_back(browser, provider)).status_code == 403
        assert "__Host-handoff" not in browser.cookies


async def test_an_answer_counts_in_the_browser_that_asked(signing: World, provider: Provider) -> None:
    """Login CSRF: somebody's link with a code and state of theirs signs nobody in."""
    async with browse(signing) as attacker, browse(signing) as victim:
        await begin(attacker, provider)
        assert (await come_back(victim, provider)).status_code == 400
        assert provider.redeemed == []
        asked = dict(provider.asked)
        await begin(victim, provider)
        provider.asked = asked
        assert (await come_back(victim, provider)).status_code == 400


async def test_a_session_is_never_one_that_was_brought(signing: World, provider: Provider) -> None:
    async with browse(signing) as browser:
        browser.cookies.set("__Host-handoff", "chosen-by-somebody-else")
        await begin(browser, provider)
        answer = await come_back(browser, provider)
        first = answer.cookies["__Host-handoff"]
        assert first != "chosen-by-somebody-else"
        await begin(browser, provider)
        second = (await come_back(browser, provider)).cookies["__Host-handoff"]
        assert second != first
        stored = [bytes(row["id"]) for row in await signing.pool.fetch("SELECT id FROM signed_in")]
        assert stored == [sha256(second.encode()).digest()]


async def test_a_session_ends_in_time(signing: World, provider: Provider) -> None:
    async with browse(signing) as browser:
        await begin(browser, provider)
        await come_back(browser, provider)
        assert (await browser.get("/fhir/Patient")).status_code == 200
        await signing.pool.execute("UPDATE signed_in SET expires_at = now() - interval '1 second'")
        assert (await browser.get("/fhir/Patient")).status_code == 401


@pytest.mark.parametrize(
    "to",
    ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a b", "/a\r\nSet-Cookie: x=1", "/é", ""],
)
async def test_it_leads_nowhere_else(signing: World, to: str) -> None:
    async with browse(signing) as browser:
        assert (await browser.get("/signin", params={"return_to": to})).status_code == 400


async def test_without_https_or_a_provider_there_is_no_sign_in(signing: World, world: World) -> None:
    addresses = ["/signin", "/signin/callback", "/signin/session"]
    async with browse(world, "http://handoff.test") as browser:
        assert [(await browser.get(each)).status_code for each in addresses] == [404] * 3
        assert (await browser.post("/signin/demonstration", data={"person": "Sok Chanthy"})).status_code == 404


async def test_a_bearer_token_goes_before_a_cookie(signing: World, provider: Provider) -> None:
    async with browse(signing) as browser:
        await begin(browser, provider)
        await come_back(browser, provider)
        assert (await browser.get("/fhir/Patient", headers={"Authorization": "Bearer x"})).status_code == 401


@pytest.fixture
async def demonstration(settings: Settings) -> AsyncIterator[World]:
    changed = {"demo_sign_in": True, "public_url": "http://127.0.0.1:8000"}
    async with open_world(settings.model_copy(update=changed)) as opened:
        yield opened


HOME = "http://127.0.0.1:8000"


async def test_in_the_demonstration_one_chooses_who_to_be(demonstration: World) -> None:
    async with browse(demonstration, HOME) as browser:
        page = await browser.get("/signin")
        assert page.status_code == 200
        assert "Sok Chanthy" in page.text
        answer = await browser.post("/signin/demonstration", data={"person": "Sok Chanthy", "return_to": "/docs"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/docs")
        assert (await browser.get("/signin/session")).json()["organization"] == "Organization/phka-chhouk"
        assert (await browser.get("/fhir/Task")).status_code == 200
        assert (await browser.post("/signin/demonstration", data={"person": "Nobody"})).status_code == 403


OUTSIDE: list[dict[str, Any]] = [
    {"client": ("192.0.2.7", 1)},
    {"base": "http://evil.example:8000"},
    {"headers": {"Origin": "https://evil.example"}},
    {"headers": {"Sec-Fetch-Site": "cross-site"}},
    {"headers": {"X-Forwarded-For": "192.0.2.7"}},
]


@pytest.mark.parametrize("outside", OUTSIDE)
async def test_the_demonstrations_people_are_for_this_machine(demonstration: World, outside: dict[str, Any]) -> None:
    more = {"client": outside["client"]} if "client" in outside else {}
    async with browse(demonstration, outside.get("base", HOME), **more) as browser:
        form = {"person": "Sok Chanthy"}
        answer = await browser.post("/signin/demonstration", data=form, headers=outside.get("headers", {}))
        assert (answer.status_code, dict(browser.cookies)) == (404, {})


@pytest.fixture
async def opened(settings: Settings) -> AsyncIterator[World]:
    changed = {"open_as": "referrer:hospital", "public_url": HOME}
    async with open_world(settings.model_copy(update=changed)) as world:
        await world.organization("hospital")
        yield world


async def test_open_mode_takes_this_machine_for_one_organisation(opened: World) -> None:
    async with browse(opened, HOME) as browser:
        assert (await browser.post("/fhir/Patient", json=PATIENT)).status_code == 201
        assert (await browser.get("/admin/clients")).status_code == 403
        assert (await browser.get("/fhir/Patient", headers={"Authorization": "Bearer x"})).status_code == 401
    row = await opened.pool.fetchrow(
        "SELECT client, organization, role FROM audit WHERE status = 201 AND type = 'Patient'"
    )
    assert row is not None
    assert tuple(row) == ("open", "hospital", "referrer")


@pytest.mark.parametrize("outside", OUTSIDE)
async def test_open_mode_takes_nobody_else(opened: World, outside: dict[str, Any]) -> None:
    more = {"client": outside["client"]} if "client" in outside else {}
    async with browse(opened, outside.get("base", HOME), **more) as browser:
        assert (await browser.get("/fhir/Patient", headers=outside.get("headers", {}))).status_code == 401


async def test_open_mode_is_off_unless_asked_for(world: World) -> None:
    async with browse(world, HOME) as browser:
        assert (await browser.get("/fhir/Patient")).status_code == 401
