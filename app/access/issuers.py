"""Tokens of identity providers that the operator trusts: checked by the keys that they publish (OpenID Connect)."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, RSAKey

from app.access.assertions import LEEWAY, read_parts, read_time
from app.access.oauth_errors import InvalidClient
from app.access.providers import Provider
from app.access.remote_documents import RemoteDocuments, find_keys
from app.core.errors import HandoffError
from app.core.outbound import OutboundFailure

Json = dict[str, Any]

ALGORITHMS = {"RS256": ("RSA", None), "RS384": ("RSA", None), "ES256": ("EC", "P-256"), "ES384": ("EC", "P-384")}
"""Of each algorithm the type of key, and its curve: never one whose key is a shared secret, never none."""
HEADER = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
FEWEST_BITS = 2_048


class Untrusted(HandoffError):
    """The token is not to be believed; ``diagnostics`` is for the log alone."""

    status = 401
    code = "login"


class Issuers:
    """The providers of one process. ``clock`` tells seconds since 1970."""

    def __init__(
        self, providers: Iterable[Provider], documents: RemoteDocuments, clock: Callable[[], float] = time.time
    ) -> None:
        self._providers = {each.issuer: each for each in providers}
        self._documents = documents
        self._clock = clock

    def find(self, token: str) -> Provider | None:
        """The provider that a token says it is of, which takes bearer tokens of it; nothing is believed yet."""
        if not self._providers or token.count(".") != 2:
            return None
        try:
            issuer = read_parts(token)[1].get("iss")
        except InvalidClient:
            return None
        provider = self._providers.get(issuer) if isinstance(issuer, str) else None
        return provider if provider and provider.audience else None

    async def discover(self, provider: Provider) -> Json:
        """What a provider says of itself (OpenID Connect Discovery 1.0, 4). Raises OutboundFailure."""
        address = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = await self._documents.read(address)
        if found.get("issuer") != provider.issuer:
            raise OutboundFailure("the discovery document is of another issuer")
        return found

    async def verify(self, provider: Provider, token: str, audience: str) -> Json:
        """The claims of a token of this provider for this audience. Raises Untrusted; OutboundFailure without keys."""
        try:
            header, claims, signed = read_parts(token)
        except InvalidClient as error:
            raise Untrusted(error.reason) from error
        algorithm = check_header(header)
        keys = (await self.discover(provider)).get("jwks_uri")
        if not isinstance(keys, str):
            raise OutboundFailure("the discovery document names no jwks_uri")
        matching = await find_keys(self._documents, keys, header["kid"])
        if len(matching) != 1:
            raise Untrusted("kid does not name exactly one key")
        key = load_key(matching[0], algorithm)
        try:
            valid = jws.validate_compact(signed, key, [algorithm])
        except Exception as error:
            raise Untrusted("the signature cannot be checked") from error
        if not valid:
            raise Untrusted("the signature is wrong")
        check_claims(claims, provider.issuer, audience, self._clock())
        return claims


def check_header(header: Json) -> str:
    """The algorithm of a header that names a key and nothing that would lead elsewhere. Raises Untrusted."""
    if set(header) - HEADER:
        raise Untrusted("the header holds more than alg, kid and typ")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Untrusted("alg is not taken")
    if not isinstance(kid, str) or not isinstance(kind, str) or kind.lower() not in TYPES:
        raise Untrusted("kid or typ is not taken")
    return algorithm


def load_key(jwk: Json, algorithm: str) -> RSAKey | ECKey:
    """A published key, which must be for this algorithm. Raises Untrusted."""
    kind, curve = ALGORITHMS[algorithm]
    if jwk.get("kty") != kind or jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        raise Untrusted("the key is not for this algorithm")
    public: Json = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    try:
        key: RSAKey | ECKey = RSAKey.import_key(public) if kind == "RSA" else ECKey.import_key(public)
    except (JoseError, SecurityWarning, ValueError, TypeError, KeyError) as error:
        raise Untrusted("the key is not valid") from error
    weak = key.curve_name != curve if isinstance(key, ECKey) else key.raw_value.key_size < FEWEST_BITS
    if weak:
        raise Untrusted("the key is too short, or on another curve")
    return key


def check_claims(claims: Json, issuer: str, audience: str, now: float) -> None:
    """Issuer, audience, subject and times. Raises Untrusted."""
    told = claims.get("aud")
    if claims.get("iss") != issuer or audience not in (told if isinstance(told, list) else [told]):
        raise Untrusted("iss or aud is another")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise Untrusted("sub is missing")
    try:
        expiry = read_time(claims, "exp")
        others = [read_time(claims, name) for name in ("iat", "nbf")]
    except InvalidClient as error:
        raise Untrusted(error.reason) from error
    if expiry is None or expiry <= now:
        raise Untrusted("it has expired")
    if any(each is not None and each > now + LEEWAY for each in others):
        raise Untrusted("it is not valid yet")


def pick(claims: Json, claim: str, known: Iterable[str]) -> str | None:
    """The value of a claim that is one of those known; None where none is, or several are."""
    told = claims.get(claim)
    values = told if isinstance(told, list) else [told]
    found = {each for each in values if isinstance(each, str)} & set(known)
    return found.pop() if len(found) == 1 else None
