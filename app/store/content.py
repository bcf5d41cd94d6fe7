"""The stored text of a resource: the sender's own JSON, with id and meta set by the server."""

import secrets
from typing import Any

from app.fhir.json_text import dump

# Random for each process, so that no sender can put them into a resource.
VERSION_MARK = f"version-{secrets.token_hex(16)}"
STAMP_MARK = f"stamp-{secrets.token_hex(16)}"


def cut_content(resource: dict[str, Any], resource_id: str) -> tuple[str, str, str]:
    """The text of a resource in three pieces, around the version number and the time of writing.

    The order of elements is the sender's; id and meta stand where the sender had them, or after resourceType.
    """
    sent_meta = resource.get("meta")
    meta = {"versionId": VERSION_MARK, "lastUpdated": STAMP_MARK}
    if isinstance(sent_meta, dict):
        meta |= {key: value for key, value in sent_meta.items() if key not in meta}
    stored = {"resourceType": resource["resourceType"]}
    if "id" not in resource:
        stored["id"] = resource_id
    if "meta" not in resource:
        stored["meta"] = meta
    for key, value in resource.items():
        stored[key] = resource_id if key == "id" else meta if key == "meta" else value
    head, rest = dump(stored).split(VERSION_MARK)
    middle, tail = rest.split(STAMP_MARK)
    return head, middle, tail
