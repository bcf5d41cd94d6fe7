"""Logical ids for new resources."""

import os
import time


def new_id(milliseconds: int | None = None) -> str:
    """A UUID of version 7 (RFC 9562, 5.7): ids made together lie together in the index.

    ``milliseconds`` since 1970 stand in its first twelve digits; without them, those of now.
    """
    if milliseconds is None:
        milliseconds = time.time_ns() // 1_000_000
    chance = os.urandom(10).hex()
    variant = "89ab"[int(chance[3], 16) & 3]
    digits = f"{milliseconds & (2**48 - 1):012x}"
    return f"{digits[:8]}-{digits[8:]}-7{chance[:3]}-{variant}{chance[4:7]}-{chance[7:19]}"
