"""Gets an access token from a server like this one, as a client does (SMART Backend Services 2.2)."""

import json
import secrets
import time
from typing import Any

import httpx
from joserfc import jwt

from app.access.client_keys import load_key
from app.access.grants import ASSERTION_TYPE, GRANT_TYPE
from app.core.errors import HandoffError, Invalid

LIFETIME = 240
TIMEOUT = 10.0


def sign_assertion(client_id: str, private_jwk: str, token_url: str) -> str:
    """An assertion for one request to the token endpoint (SMART App Launch 2.2, Asymmetric authentication).

    Raises Invalid where the key cannot sign.
    """
    try:
        jwk = json.loads(private_jwk)
    except ValueError as error:
        raise Invalid("The client's key is not JSON (RFC 7517)") from error
    if not isinstance(jwk, dict):
        raise Invalid("The client's key is not one JWK, which is a JSON object (RFC 7517)")
    key, algorithm = load_key(jwk)
    if not key.is_private:
        raise Invalid("The client's key is a public one: signing takes the private key")
    now = int(time.time())
    header = {"alg": algorithm, "kid": key.kid or key.thumbprint(), "typ": "JWT"}
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": secrets.token_urlsafe(24),
    }
    return jwt.encode(header, claims, key, [algorithm])


def fetch_token(
    base_address: str,
    client_id: str,
    private_jwk: str,
    scope: str | None = None,
    *,
    transport: httpx.BaseTransport | None = None,
) -> dict[str, Any]:
    """The answer of the token endpoint of the server at ``base_address``, which is with or without ``/fhir``.

    Without ``scope`` all that the client is registered with. Raises HandoffError with a reason to show.
    """
    base = base_address.rstrip("/").removesuffix("/fhir")
    with httpx.Client(timeout=TIMEOUT, transport=transport) as client:
        token_url = discover_token_url(client, base)
        form = {
            "grant_type": GRANT_TYPE,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": sign_assertion(client_id, private_jwk, token_url),
        }
        answer = ask(client, "POST", token_url, {**form, "scope": scope} if scope else form)
    if not isinstance(answer.get("access_token"), str):
        raise HandoffError(f"{token_url} answered without an access_token")
    return answer


def discover_token_url(client: httpx.Client, base: str) -> str:
    """The token endpoint that the server names (SMART App Launch 2.2, Conformance). Raises HandoffError."""
    address = f"{base}/fhir/.well-known/smart-configuration"
    found = ask(client, "GET", address).get("token_endpoint")
    if not isinstance(found, str) or not found.startswith(("https://", "http://")):
        raise HandoffError(f"{address} names no token_endpoint")
    return found


def ask(client: httpx.Client, method: str, address: str, form: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON object that an address answers. Raises HandoffError for anything else."""
    try:
        response = client.request(method, address, data=form, headers={"Accept": "application/json"})
        answer = response.json()
    except httpx.InvalidURL as error:
        raise HandoffError(f"{address} is not an address") from error
    except httpx.HTTPError as error:
        raise HandoffError(f"{address} cannot be reached: {type(error).__name__}") from error
    except ValueError as error:
        raise HandoffError(f"{address} answered {response.status_code}, and no JSON: is it a FHIR server?") from error
    if not isinstance(answer, dict):
        raise HandoffError(f"{address} answered {response.status_code}, and no JSON object")
    if response.is_success:
        return answer
    reason = " ".join(str(answer[name]) for name in ("error", "error_description") if name in answer)
    raise HandoffError(f"{address} answered {response.status_code} {reason}".rstrip())
