"""A person's sign-in by OpenID Connect: the code flow with PKCE, state and nonce (RFC 9700, OpenID Connect Core)."""

import base64
import binascii
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from app.access.issuers import Issuers, Untrusted, pick
from app.access.providers import Provider, SignIn
from app.access.remote_documents import RemoteDocuments, read_object
from app.access.sessions import Person
from app.core.errors import Forbidden, HandoffError, Invalid, Unavailable
from app.core.outbound import OutboundFailure
from app.core.secrets import decrypt_secret, encrypt_secret

PURPOSE = "sign-in under way"
PATIENCE = 600
"""Seconds for which a sign-in may be under way."""
LONGEST_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in under way, known to the browser that began it alone, in a sealed cookie."""

    state: str
    nonce: str
    verifier: str
    return_to: str
    until: int


def begin(return_to: str) -> Attempt:
    """A new one, with values that nobody can guess."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Attempt(state, nonce, verifier, return_to, int(time.time()) + PATIENCE)


def seal(secret_key: bytes, attempt: Attempt) -> str:
    """The cookie's value."""
    return base64.urlsafe_b64encode(encrypt_secret(secret_key, json.dumps(asdict(attempt)).encode(), PURPOSE)).decode()


def unseal(secret_key: bytes, value: str | None) -> Attempt:
    """What ``seal`` sealed. Raises Invalid where it is none of ours, or too old."""
    try:
        attempt = Attempt(**json.loads(decrypt_secret(secret_key, base64.urlsafe_b64decode(value or ""), PURPOSE)))
    except (HandoffError, ValueError, TypeError, binascii.Error) as error:
        raise Invalid("No sign-in is under way in this browser: begin again at /signin") from error
    if attempt.until < time.time():
        raise Invalid("The sign-in took too long: begin again at /signin")
    return attempt


def check_return(address: str) -> str:
    """An address of our own to go on to. Raises Invalid for any that leads elsewhere."""
    plain = address.isascii() and address.isprintable() and not set(address) & set(" \\")
    if not plain or not address.startswith("/") or address.startswith("//"):
        raise Invalid("return_to is an address on this server, such as /docs", ("return_to",))
    return address


@dataclass(frozen=True, slots=True)
class Door:
    """The provider by which people sign in. ``secret`` is our client's there, where it has one."""

    provider: Provider
    sign_in: SignIn
    issuers: Issuers
    documents: RemoteDocuments
    secret: str | None

    async def write_address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where the browser is sent. Raises Unavailable where the provider does not answer."""
        endpoint = await self.find("authorization_endpoint")
        asked = {
            "response_type": "code",
            "client_id": self.sign_in.client_id,
            "redirect_uri": redirect_uri,
            "scope": self.sign_in.scope,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge_of(attempt.verifier),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def finish(self, attempt: Attempt, answer: Mapping[str, str], redirect_uri: str) -> Person:
        """Who came back. Raises Invalid for an answer that is not to this attempt, Forbidden for who has no place here.

        Raises Unavailable where the provider does not answer.
        """
        if not hmac.compare_digest(attempt.state.encode(), answer.get("state", "").encode()):
            raise Invalid("This answer belongs to another sign-in: begin again at /signin")
        # RFC 9207: so that no answer of one provider is taken for another's.
        if answer.get("iss", self.provider.issuer) != self.provider.issuer:
            raise Invalid("This answer is of another provider: begin again at /signin")
        if "error" in answer or not answer.get("code"):
            raise Forbidden("The provider did not sign you in")
        claims = await self.redeem(answer["code"], attempt, redirect_uri)
        claim = pick(claims, self.sign_in.claim, self.sign_in.persons)
        subject = claims["sub"]
        if claim is None or len(subject) > LONGEST_SUBJECT or not subject.isprintable():
            raise Forbidden("You are signed in there, but have no place here: ask the operator")
        name = claims.get("name")
        return Person(self.provider.issuer, subject, claim, name[:200] if isinstance(name, str) else subject)

    async def redeem(self, code: str, attempt: Attempt, redirect_uri: str) -> dict[str, Any]:
        """The claims of the ID token for a code (OpenID Connect Core, 3.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self.sign_in.client_id,
            "code_verifier": attempt.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self.secret is not None:
            pair = f"{quote(self.sign_in.client_id, safe='')}:{quote(self.secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        try:
            endpoint = await self.find("token_endpoint")
            answer = await self.documents.send("POST", endpoint, urlencode(form).encode(), headers)
            if 400 <= answer.status < 500:
                raise Invalid("The provider does not take the code: begin again at /signin")
            token = read_object(answer).get("id_token")
            claims = await self.issuers.verify(self.provider, str(token), self.sign_in.client_id)
        except Untrusted as error:
            raise Invalid("The provider's answer cannot be believed") from error
        except OutboundFailure as error:
            raise Unavailable("The identity provider does not answer; try again") from error
        told = claims["aud"]
        if isinstance(told, list) and len(told) > 1 and claims.get("azp") != self.sign_in.client_id:
            raise Invalid("The provider's answer cannot be believed")
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), attempt.nonce.encode()):
            raise Invalid("The provider's answer cannot be believed")
        return claims

    async def find(self, name: str) -> str:
        """An endpoint that the provider names. Raises Unavailable."""
        try:
            endpoint = (await self.issuers.discover(self.provider)).get(name)
        except OutboundFailure as error:
            raise Unavailable("The identity provider does not answer; try again") from error
        if (
            not isinstance(endpoint, str)
            or not endpoint.startswith(("https://", "http://"))
            or not endpoint.isprintable()
        ):
            raise Unavailable(f"The identity provider names no {name}")
        return endpoint


def challenge_of(verifier: str) -> str:
    """What the provider compares the verifier with (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
