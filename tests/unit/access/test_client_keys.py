"""Which keys are taken, and what is kept of them."""

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.util import int_to_base64

from app.access.client_keys import normalize_key
from app.access.clients import generate_key
from app.core.errors import Invalid


def public(key: RSAKey | ECKey | OKPKey, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **more}


EC = ECKey.generate_key("P-384")
RSA = RSAKey.generate_key(2048)


def test_a_generated_key_is_taken_as_it_is() -> None:
    private, text = generate_key()
    jwk = json.loads(text)
    assert "d" in json.loads(private)
    assert "d" not in jwk
    assert jwk["kid"] == ECKey.import_key(json.loads(private)).thumbprint()
    kid, kept = normalize_key(text)
    assert (kid, json.loads(kept)) == (jwk["kid"], jwk)


@pytest.mark.parametrize(("key", "algorithm"), [(EC, "ES384"), (RSA, "RS384")])
def test_fills_in_what_is_missing_and_keeps_no_more(key: RSAKey | ECKey, algorithm: str) -> None:
    jwk = {name: value for name, value in public(key).items() if name != "kid"}
    kid, kept = normalize_key({**jwk, "x5u": "https://elsewhere.example", "note": "ours"})
    assert json.loads(kept) == {**jwk, "kid": kid, "alg": algorithm, "use": "sig"}
    assert kid == key.thumbprint()


REFUSED: dict[str, Any] = {
    "no JSON": "-----BEGIN PUBLIC KEY-----",
    "a list": "[]",
    "a set": {"keys": [public(EC)]},
    "a private key": EC.as_dict(private=True),
    "a private RSA key": RSA.as_dict(private=True),
    "a symmetric key": OctKey.generate_key(256).as_dict(private=True),
    "another curve": public(ECKey.generate_key("P-256")),
    "an Edwards curve": public(OKPKey.generate_key("Ed25519")),
    "a short key": {"kty": "RSA", "n": int_to_base64(2**1023 + 1), "e": "AQAB"},
    "another algorithm": public(EC, alg="ES256"),
    "PSS": public(RSA, alg="PS384"),
    "for encryption": public(EC, use="enc"),
    "a point off the curve": public(EC, x=public(EC)["y"]),
    "half a key": {"kty": "EC", "crv": "P-384", "x": public(EC)["x"]},
    "a kid that is no text": public(EC, kid=7),
    "a kid that is empty": public(EC, kid=""),
    "a kid with a NUL": public(EC, kid="a\x00"),
    "a kid too long": public(EC, kid="a" * 201),
    "no type": {"x": "AQAB"},
    "a type that is a list": {"kty": []},
}


@pytest.mark.parametrize("jwk", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(jwk: Any) -> None:
    with pytest.raises(Invalid):
        normalize_key(jwk)
