"""Encrypts stored secrets and derives a key for each purpose from the one in the settings."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.core.errors import HandoffError

NONCE_BYTES = 12


def derive_key(secret_key: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose (RFC 5869); keys of different purposes tell nothing of each other."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"warm-handoff {purpose}".encode()).derive(secret_key)


def encrypt_secret(secret_key: bytes, secret: bytes, purpose: str) -> bytes:
    """The secret sealed with AES-256-GCM: a random nonce, then the sealed bytes."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(derive_key(secret_key, purpose)).encrypt(nonce, secret, None)


def decrypt_secret(secret_key: bytes, sealed: bytes, purpose: str) -> bytes:
    """What ``encrypt_secret`` sealed. Raises HandoffError where the key is another or the bytes were changed."""
    nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return AESGCM(derive_key(secret_key, purpose)).decrypt(nonce, body, None)
    except (InvalidTag, ValueError) as error:
        raise HandoffError("A stored secret cannot be read with this HANDOFF_SECRET_KEY") from error
