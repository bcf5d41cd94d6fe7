"""Tokens of a trusted provider, a fake one with keys of its own over real HTTP, and every forgery of them."""

import hmac
import json
import time
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, RSAKey
from joserfc.util import urlsafe_b64encode

from app.access.clients import disable_client
from app.access.providers import load_providers
from app.core.errors import HandoffError
from app.core.settings import Settings
from tests.api import World, open_world
from tests.integration.access.conftest import ANY_HEADER
from tests.integration.access.publisher import Publisher, open_publisher
from tests.integration.access.test_token_attacks import pack

AUDIENCE = "warm-handoff-api"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
EC_384 = ECKey.generate_key("P-384", {"kid": "ec-384"})
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    WEAK = RSAKey.generate_key(1024, {"kid": "weak"})
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"})
PATIENT = {"resourceType": "Patient"}


@pytest.fixture
async def provider() -> AsyncIterator[Publisher]:
    async with open_publisher() as opened:
        opened.documents["/.well-known/openid-configuration"] = {
            "issuer": opened.base,
            "jwks_uri": f"{opened.base}/keys",
        }
        keys = [each.as_dict(private=False) for each in (RSA, EC, EC_384, WEAK)]
        keys.append({"kty": "oct", "kid": "secret", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"})
        opened.documents["/keys"] = {"keys": keys}
        yield opened


def describe(provider: Publisher) -> dict[str, Any]:
    return {
        "name": "idp",
        "issuer": provider.base,
        "audience": AUDIENCE,
        "claim": "azp",
        "callers": {
            "ngo-app": {"organization": "ngo", "role": "provider", "scopes": "system/Organization.rs system/Task.rus"},
            "hospital-app": {"client": "ehr"},
        },
    }


@pytest.fixture
async def trusting(settings: Settings, provider: Publisher, tmp_path: Path) -> AsyncIterator[World]:
    path = tmp_path / "providers.json"
    path.write_text(json.dumps([describe(provider)]))
    async with open_world(settings.model_copy(update={"identity_providers": path})) as opened:
        await opened.organization("ngo")
        yield opened


def sign(provider: Publisher, key: Key = RSA, alg: str = "RS256", header: Any = None, **claims: Any) -> str:
    """A token as it should be, but for what is given; None leaves a part out."""
    now = int(time.time())
    head = {"alg": alg, "kid": key.kid, "typ": "at+jwt", **(header or {})}
    full = {
        "iss": provider.base,
        "aud": AUDIENCE,
        "sub": "service-account",
        "azp": "ngo-app",
        "iat": now,
        "exp": now + 300,
        **claims,
    }
    kept_head = {name: value for name, value in head.items() if value is not None}
    kept = {name: value for name, value in full.items() if value is not None}
    return jws.serialize_compact(kept_head, json.dumps(kept), key, registry=ANY_HEADER)


async def call(world: World, token: str, path: str = "/fhir/Organization/ngo") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url="http://handoff.test") as http:
        return await http.get(path, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "RS384"), (EC, "ES256"), (EC_384, "ES384")])
async def test_its_tokens_count_in_place_of_ours(trusting: World, provider: Publisher, key: Key, alg: str) -> None:
    assert (await call(trusting, sign(provider, key, alg))).status_code == 200
    assert (await call(trusting, sign(provider, key, alg, aud=["x", AUDIENCE]))).status_code == 200
    assert (await call(trusting, sign(provider, key, alg, header={"typ": "JWT"}))).status_code == 200
    assert (await call(trusting, sign(provider, key, alg), "/fhir/Patient")).status_code == 403
    assert provider.count("/keys") == 1
    row = await trusting.pool.fetchrow("SELECT client, organization, role FROM audit WHERE status = 403")
    assert row is not None
    assert row is not None
    assert tuple(row) == ("idp:ngo-app", "ngo", "provider")


async def test_a_registered_client_is_as_the_register_says(trusting: World, provider: Publisher) -> None:
    token = sign(provider, azp="hospital-app")
    assert (await call(trusting, token)).status_code == 401
    await trusting.caller("hospital")
    async with trusting.pool.acquire() as connection:
        await connection.execute("ALTER TABLE client_key DROP CONSTRAINT client_key_client_id_fkey")
        await connection.execute("UPDATE client SET id = 'ehr'")
    assert (await call(trusting, token, "/fhir/Patient")).status_code == 200
    async with trusting.pool.acquire() as connection:
        await disable_client(connection, "ehr")
    trusting.app.state.verifier._watch._read_at = float("-inf")
    assert (await call(trusting, token)).status_code == 401


def hs_by_public_key(provider: Publisher, alg: str) -> str:
    """By hand, as an attacker: joserfc takes no public key for a secret."""
    claims = json.loads(json.dumps({"iss": provider.base, "aud": AUDIENCE, "sub": "x", "azp": "ngo-app"}))
    content = pack({"alg": alg, "kid": "rsa", "typ": "JWT"}, {**claims, "exp": 4_000_000_000}, "").rstrip(".")
    digest = hmac.digest(RSA.as_pem(private=False), content.encode(), alg.replace("HS", "sha"))
    return f"{content}.{urlsafe_b64encode(digest).decode()}"


def unsigned(provider: Publisher, alg: Any) -> str:
    claims = {"iss": provider.base, "aud": AUDIENCE, "sub": "x", "azp": "ngo-app", "exp": 4_000_000_000}
    return pack({"alg": alg, "kid": "rsa", "typ": "JWT"}, claims, "")


ATTACKS: dict[str, Callable[[Publisher], str]] = {
    "none": lambda p: unsigned(p, "none"),
    "None": lambda p: unsigned(p, "None"),
    "alg null": lambda p: unsigned(p, None),
    "HS256 by the public key": lambda p: hs_by_public_key(p, "HS256"),
    "HS384 by the public key": lambda p: hs_by_public_key(p, "HS384"),
    "HS256 by a secret in the key set": lambda p: sign(
        p, OctKey.import_key(b"secret-secret-secret-secret-secret", {"kid": "secret"}), "HS256"
    ),
    "PS384": lambda p: sign(p, alg="PS384"),
    "a stranger's key": lambda p: sign(p, OTHER),
    "a kid that is not there": lambda p: sign(p, header={"kid": "new"}),
    "a kid of another key": lambda p: sign(p, header={"kid": "ec"}),
    "no kid": lambda p: sign(p, header={"kid": None}),
    "a weak key": lambda p: sign(p, WEAK),
    "ES256 by a P-384 key's name": lambda p: sign(p, EC, "ES256", {"kid": "ec-384"}),
    "jku": lambda p: sign(p, header={"jku": f"{p.base}/keys"}),
    "x5u": lambda p: sign(p, header={"x5u": "https://evil.example/cert"}),
    "jwk": lambda p: sign(p, OTHER, header={"jwk": OTHER.as_dict(private=False)}),
    "crit": lambda p: pack({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}, {"iss": p.base}),
    "typ of another thing": lambda p: sign(p, header={"typ": "logout+jwt"}),
    "iss of nobody": lambda p: sign(p, iss="https://evil.example"),
    "iss with a slash": lambda p: sign(p, iss=f"{p.base}/"),
    "our own iss": lambda p: sign(p, iss="http://handoff.test"),
    "no iss": lambda p: sign(p, iss=None),
    "iss that is a list": lambda p: sign(p, iss=[p.base]),
    "another audience": lambda p: sign(p, aud="another"),
    "the FHIR base for audience": lambda p: sign(p, aud="http://handoff.test/fhir"),
    "no audience": lambda p: sign(p, aud=None),
    "audience that is an object": lambda p: sign(p, aud={AUDIENCE: 1}),
    "expired": lambda p: sign(p, exp=int(time.time()) - 1),
    "no exp": lambda p: sign(p, exp=None),
    "exp as text": lambda p: sign(p, exp="4000000000"),
    "exp NaN": lambda p: sign(p, exp=float("nan")),
    "not yet": lambda p: sign(p, nbf=int(time.time()) + 120),
    "issued tomorrow": lambda p: sign(p, iat=int(time.time()) + 86_400),
    "no sub": lambda p: sign(p, sub=None),
    "a caller of nobody": lambda p: sign(p, azp="evil-app"),
    "no claim": lambda p: sign(p, azp=None),
    "a claim of several": lambda p: sign(p, azp=["ngo-app", "hospital-app"]),
    "claims changed": lambda p: sign(p).replace(".", ".AAAA", 1),
    "no signature": lambda p: sign(p).rpartition(".")[0] + ".",
    "too long": lambda p: sign(p, note="n" * 9_000),
}


async def test_no_forgery_is_taken(trusting: World, provider: Publisher) -> None:
    answers = {name: (await call(trusting, build(provider))).status_code for name, build in ATTACKS.items()}
    assert len(answers) >= 40
    assert {name: status for name, status in answers.items() if status != 401} == {}
    assert (await call(trusting, sign(provider))).status_code == 200, "the positive control"


async def test_a_provider_that_says_it_is_another_is_not_believed(trusting: World, provider: Publisher) -> None:
    provider.documents["/.well-known/openid-configuration"] = {
        "issuer": "https://evil.example",
        "jwks_uri": f"{provider.base}/keys",
    }
    answer = await call(trusting, sign(provider))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_without_the_setting_nobody_else_is_believed(world: World, provider: Publisher) -> None:
    assert (await call(world, sign(provider))).status_code == 401
    assert provider.connections == 0


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://10.0.0.1"},
        {"audience": None},
        {"callers": {}},
        {"callers": {"x": {"organization": "ngo", "role": "root", "scopes": "system/Task.rs"}}},
        {"callers": {"x": {"organization": "ngo", "role": "provider", "scopes": "user/Task.rs"}}},
        {"callers": {"x": {"client": "a b"}}},
        {"more": 1},
        {"name": "A B"},
    ],
)
def test_a_file_that_cannot_be_meant(provider: Publisher, tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "providers.json"
    path.write_text(json.dumps([{**describe(provider), **change}]))
    settings = Settings(identity_providers=path, webhook_allow_http=True, webhook_allowed_networks="127.0.0.0/8")
    with pytest.raises(HandoffError):
        load_providers(settings)
