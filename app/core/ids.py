"""Logical ids for new resources."""

import os
import time
import uuid


def new_id(milliseconds: int | None = None) -> str:
    """A UUID of version 7 (RFC 9562, 5.7): ids made together lie together in the index.

    ``milliseconds`` since 1970 stand in its first twelve digits; without them, those of now.
    """
    if milliseconds is None:
        milliseconds = time.time_ns() // 1_000_000
    bits = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (2**48 - 1)) << 80
    value |= 0x7 << 76
    value |= (bits >> 68 & 0xFFF) << 64
    value |= 0b10 << 62
    value |= bits & (2**62 - 1)
    return str(uuid.UUID(int=value))
