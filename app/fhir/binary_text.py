"""The JSON form of a Binary, whose data is kept apart from its text (R4 binary)."""

import base64
import re
from typing import Any

from app.core.errors import Unprocessable
from app.fhir.json_text import STORED_LIMITS, dump, parse
from app.fhir.subset import SUBSETTED

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf'{_WORD}/{_WORD}(?: ?; ?{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*"))*', re.ASCII)
_LONGEST_MEDIA_TYPE = 255


def check_media_type(text: str) -> None:
    """Raises Unprocessable for what cannot be sent as a Content-Type again (RFC 9110, 8.3.1)."""
    if len(text) > _LONGEST_MEDIA_TYPE or not _MEDIA_TYPE.fullmatch(text):
        raise Unprocessable("contentType is a media type, such as application/pdf", ("Binary.contentType",))


def mark_subsetted(text: str) -> str:
    """The text of a Binary with the tag that says that data is left out."""
    resource = parse(text.encode(), STORED_LIMITS)
    meta = resource["meta"]
    return dump({**resource, "meta": {**meta, "tag": [*meta.get("tag", ()), SUBSETTED]}})


def cut_text(text: str, *, pretty: bool) -> tuple[bytes, bytes]:
    """The text of a Binary in two pieces: base64 goes between them."""
    if pretty:
        shown = dump(parse(text.encode(), STORED_LIMITS), pretty=True)
        return shown.removesuffix("\n}").encode() + b',\n  "data": "', b'"\n}'
    return text.removesuffix("}").encode() + b',"data":"', b'"}'


def decode_data(resource: dict[str, Any]) -> bytes:
    """The bytes of a valid Binary's data, which is taken out of the resource."""
    return base64.b64decode("".join(resource.pop("data", "").split()))
