"""Bounds the length of indexed values: a B-tree row holds about 2,700 bytes, a FHIR string a million."""

import hashlib

LONGEST = 800
"""UTF-8 bytes kept as they are; an index row holds two values and their names."""
KEPT = 100
"""Characters of a longer value that stay readable."""


def index_key(value: str) -> str:
    """The value itself, or for a long one its beginning and its digest: equal exactly when the values are."""
    if len(value) * 4 <= LONGEST or len(value.encode()) <= LONGEST:
        return value
    digest = hashlib.sha256(value.encode()).hexdigest()
    return f"{value[:KEPT]}…{digest}"
