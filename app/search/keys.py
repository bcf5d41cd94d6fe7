"""Bounds the length of indexed values: a B-tree row holds about 2,700 bytes, a FHIR string a million."""

import hashlib

LONGEST = 400
"""Characters kept as they are."""


def index_key(value: str) -> str:
    """The value itself, or for a long one its beginning and its digest: equal exactly when the values are."""
    if len(value) <= LONGEST:
        return value
    digest = hashlib.sha256(value.encode()).hexdigest()
    return f"{value[:LONGEST]}…{digest}"
