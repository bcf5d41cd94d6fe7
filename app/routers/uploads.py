"""Takes in the content of a Binary: to a file as it comes, then told apart from a Binary in JSON (R4 binary)."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from fastapi import Request

from app.core.errors import Invalid, TooLarge, UnsupportedMedia
from app.fhir.binary_text import decode_data
from app.fhir.json_text import Limits, parse
from app.interactions.binary import Upload, check_upload
from app.routers.requests import JSON_FORMATS, find_hub

FHIR_JSON = "application/fhir+json"
IN_MEMORY = 262_144
"""Bytes; what is longer goes to a temporary file, so that no connection waits in a transaction for a slow sender."""


@contextmanager
def open_spool() -> Iterator[BinaryIO]:
    """A file for one upload, gone at the end."""
    with SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
        yield cast(BinaryIO, spool)


async def read_upload(request: Request, spool: BinaryIO, binary_id: str | None = None) -> Upload:
    """What was sent: a Binary in JSON, or content of any other type, which is kept as it is.

    Raises UnsupportedMedia, TooLarge, Invalid, Unprocessable.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the content itself, without Content-Encoding")
    sent_type = request.headers.get("content-type", "").strip()
    if not sent_type:
        raise UnsupportedMedia("Send the content's own Content-Type, such as application/pdf")
    size = await fill_spool(request, spool)
    media = sent_type.split(";")[0].strip().lower()
    resource = read_json_form(request, spool, size, media) if media in JSON_FORMATS else None
    if resource is not None:
        check_upload(Upload(resource, spool))
        return Upload(resource, io.BytesIO(decode_data(resource)))
    raw: dict[str, Any] = {"resourceType": "Binary"}
    if binary_id is not None:
        raw["id"] = binary_id
    raw["contentType"] = sent_type
    context = request.headers.get("x-security-context")
    if context is not None:
        raw["securityContext"] = {"reference": context.strip()}
    return Upload(raw, spool)


async def fill_spool(request: Request, spool: BinaryIO) -> int:
    """Writes the body to the file as it comes; how many bytes. Raises TooLarge as soon as they are too many."""
    limit = find_hub(request).settings.max_binary
    error = TooLarge(f"The content is longer than {limit} bytes")
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdigit() and int(told[:18]) > limit:
        raise error
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise error
        spool.write(part)
    return size


def read_json_form(request: Request, spool: BinaryIO, size: int, media: str) -> dict[str, Any] | None:
    """The Binary that was sent as a resource; None where the JSON is content of some other kind.

    Raises Invalid and TooLarge for what calls itself FHIR and is no JSON, or too long to be looked into.
    """
    settings = find_hub(request).settings
    if size > settings.max_body:
        if media == FHIR_JSON:
            raise TooLarge(
                f"FHIR JSON is longer than {settings.max_body} bytes: send the content itself, with its type"
            )
        return None
    spool.seek(0)
    try:
        found = parse(spool.read(), Limits(settings.max_depth, settings.max_string, settings.max_digits))
    except Invalid:
        if media == FHIR_JSON:
            raise
        return None
    return found if found.get("resourceType") == "Binary" else None
