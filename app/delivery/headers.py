"""The headers that a subscriber wants with each notification: checked, sealed at rest, shown without their values."""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from app.core.errors import Unprocessable
from app.core.secrets import decrypt_secret, encrypt_secret

PURPOSE = "subscription headers"
HIDDEN = "***"
"""What stands for a value where a Subscription is shown; sent back, it keeps the value that there was."""
HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\x20-\x7e]*)")
OURS_TO_SET = re.compile(
    r"host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*|webhook-.*", re.I
)
MOST = 20
LONGEST = 8_000


def read_headers(lines: Sequence[Any], kept: Sequence[str], where: str) -> list[str]:
    """``Name: value`` of each header; a hidden value is that of ``kept``. Raises Unprocessable.

    What the server itself sets is refused; ``where`` is the FHIRPath of the lines.
    """
    if len(lines) > MOST:
        raise Unprocessable(f"There are more than {MOST} headers", (where,))
    known = {name_of(line): line for line in kept}
    found: dict[str, str] = {}
    for place, line in enumerate(lines):
        fits = HEADER.fullmatch(line) if isinstance(line, str) and len(line) <= LONGEST else None
        name = name_of(line) if fits else ""
        if not fits or OURS_TO_SET.fullmatch(name) or name in found:
            raise Unprocessable(
                "A header is 'Name: value', once each, and none that the server sets itself", (f"{where}[{place}]",)
            )
        if fits[2].strip() == HIDDEN:
            if name not in known:
                raise Unprocessable(f"{HIDDEN} keeps a value, and there is none yet: send it", (f"{where}[{place}]",))
            line = known[name]
        found[name] = line
    return list(found.values())


def name_of(line: str) -> str:
    """A header's name, as it is compared."""
    return line.partition(":")[0].lower()


def hide_headers(resource: dict[str, Any]) -> dict[str, Any]:
    """The Subscription as it is kept and shown: names of headers, without their values."""
    channel = resource["channel"]
    if "header" not in channel:
        return resource
    shown = [f"{line.partition(':')[0]}: {HIDDEN}" for line in channel["header"]]
    return {**resource, "channel": {**channel, "header": shown}}


def seal_headers(secret_key: bytes, lines: Sequence[str]) -> bytes | None:
    """The headers as they are kept; None for none."""
    return encrypt_secret(secret_key, orjson.dumps(list(lines)), PURPOSE) if lines else None


def open_headers(secret_key: bytes, sealed: bytes | None) -> list[str]:
    """What ``seal_headers`` sealed. Raises HandoffError where the key is another."""
    return [] if sealed is None else list(orjson.loads(decrypt_secret(secret_key, sealed, PURPOSE)))
