"""Which keys clients may have, checked before one is kept and each time one is used (RFC 7517)."""

import json
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, RSAKey

from app.core.errors import Invalid

ALGORITHMS = {"RSA": "RS384", "EC": "ES384"}
"""The one signature algorithm for each type of key (SMART App Launch 2.2, Asymmetric client authentication)."""

CURVE = "P-384"
RSA_BITS = range(2048, 4097)
MAX_KID = 200

PublicKey = RSAKey | ECKey


def load_key(jwk: dict[str, Any]) -> tuple[PublicKey, str]:
    """A JWK as a key, and the algorithm that it is for. Raises Invalid for keys that are not taken here."""
    kind = jwk.get("kty")
    algorithm = ALGORITHMS.get(kind) if isinstance(kind, str) else None
    if algorithm is None:
        raise Invalid(f"Keys of type {kind!r} are not taken; there are: RSA (RS384) and EC P-384 (ES384)")
    if jwk.get("alg", algorithm) != algorithm:
        raise Invalid(f"A key of type {kind} is taken for {algorithm} only, not {jwk['alg']!r}")
    if jwk.get("use", "sig") != "sig":
        raise Invalid("The key is not for signatures (use: sig)")
    key: PublicKey
    try:
        key = RSAKey.import_key(jwk) if kind == "RSA" else ECKey.import_key(jwk)
    except (JoseError, SecurityWarning, ValueError, TypeError, KeyError) as error:
        raise Invalid("This is not a valid key") from error
    if isinstance(key, ECKey):
        if key.curve_name != CURVE:
            raise Invalid(f"EC keys are taken on curve {CURVE} only")
    elif key.raw_value.key_size not in RSA_BITS:
        raise Invalid(f"RSA keys are taken with {RSA_BITS.start} to {RSA_BITS.stop - 1} bits")
    return key, algorithm


def normalize_key(public_jwk: str | dict[str, Any]) -> tuple[str, str]:
    """``kid`` and JSON of a public key, with ``kid``, ``alg`` and ``use`` filled in and nothing private.

    Raises Invalid, for a private key too: it has no business on a server.
    """
    try:
        jwk = json.loads(public_jwk) if isinstance(public_jwk, str) else public_jwk
    except ValueError as error:
        raise Invalid("The key is not JSON (RFC 7517)") from error
    if not isinstance(jwk, dict):
        raise Invalid("The key is not one JWK, which is a JSON object (RFC 7517)")
    key, algorithm = load_key(jwk)
    if key.is_private:
        raise Invalid("This is a private key: keep it with the client, and register its public half")
    kid = jwk.get("kid", key.thumbprint())
    if not isinstance(kid, str) or not kid.isprintable() or not 0 < len(kid) <= MAX_KID:
        raise Invalid(f"The key's kid is 1 to {MAX_KID} printable characters")
    kept = {name: jwk[name] for name in (*("kty", "crv", "x", "y"), *("n", "e")) if name in jwk}
    return kid, json.dumps({**kept, "kid": kid, "alg": algorithm, "use": "sig"})
