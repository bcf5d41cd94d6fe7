"""create, update, read and vread of a Binary, whose content comes and goes in pieces (R4 http, 3.1.0.3; R4 binary)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from app.access.release import release
from app.access.scope import scope_of
from app.core.caller import Caller, Scope
from app.core.errors import Issue, NotFound, Unprocessable
from app.fhir.binary_text import check_media_type
from app.fhir.subset import is_subsetted
from app.interactions.attachments import align_binary, find_context
from app.interactions.conditional import check_match_id, find_match
from app.interactions.hub import Hub
from app.interactions.read import read_resource, read_version, reading
from app.interactions.unit import Unit, run_unit
from app.interactions.writing import Written, check_resource, check_same_id, write_new, write_update
from app.store.binaries import insert_content, read_chunk, read_size
from app.store.rows import Stored

Answer = tuple[Written, list[Issue]]


@dataclass(frozen=True, slots=True)
class Upload:
    """A Binary about to be written: the resource without its data, and a file that can be read again."""

    resource: dict[str, Any]
    content: BinaryIO


@dataclass(frozen=True, slots=True)
class Download:
    """A version that the caller sees: its text without data, and the size of its content in bytes."""

    stored: Stored
    text: str
    size: int
    scope: Scope


def check_upload(upload: Upload) -> None:
    """Raises Unprocessable for a Binary that is not valid, or that came out of a Bundle without its data."""
    check_resource(upload.resource)
    check_media_type(upload.resource["contentType"])
    if is_subsetted(upload.resource):
        raise Unprocessable("This Binary is tagged SUBSETTED: its data is not all there", ("Binary.meta.tag",))


async def create_binary(hub: Hub, caller: Caller, upload: Upload, if_none_exist: str | None) -> Answer:
    """As ``create_resource``, with the content."""
    check_upload(upload)

    async def work(unit: Unit) -> Answer:
        if if_none_exist is not None and (found := await find_match(unit, "Binary", if_none_exist)):
            return Written(found, created=False), unit.issues
        return await keep_content(unit, upload, await write_new(unit, upload.resource))

    return await run_unit(hub, caller, work)


async def update_binary(hub: Hub, caller: Caller, upload: Upload, binary_id: str, if_match: int | None) -> Answer:
    """As ``update_resource``, with the content."""
    check_upload(upload)
    check_same_id(upload.resource, binary_id)

    async def work(unit: Unit) -> Answer:
        written = await write_update(unit, upload.resource, ("Binary", binary_id), if_match)
        return await keep_content(unit, upload, written)

    return await run_unit(hub, caller, work)


async def update_matching_binary(hub: Hub, caller: Caller, upload: Upload, query: str, if_match: int | None) -> Answer:
    """As ``update_match``, with the content."""
    check_upload(upload)

    async def work(unit: Unit) -> Answer:
        found = await find_match(unit, "Binary", query)
        check_match_id(upload.resource, found)
        if found is None:
            return await keep_content(unit, upload, await write_new(unit, upload.resource))
        return await keep_content(unit, upload, await write_update(unit, upload.resource, found.key, if_match))

    return await run_unit(hub, caller, work)


async def keep_content(unit: Unit, upload: Upload, written: Written) -> Answer:
    """The content of the version just written, and who reads it."""
    context = await find_context(unit, upload.resource, written.stored.owner_org)
    await insert_content(unit.connection, written.stored, upload.content, "/".join(context) if context else None)
    await align_binary(unit, written.stored)
    return written, unit.issues


async def open_download(hub: Hub, caller: Caller, binary_id: str, version: int | None = None) -> Download:
    """The current version, or the one asked for. Raises NotFound and Gone."""
    if version is None:
        stored = await read_resource(hub, caller, "Binary", binary_id)
    else:
        stored = await read_version(hub, caller, "Binary", binary_id, version)
    return await size_download(hub, stored, scope_of(caller, hub.settings), caller)


async def size_download(hub: Hub, stored: Stored, scope: Scope, caller: Caller) -> Download:
    """What can be sent of a version that was just read or written."""
    text = release(stored, scope)
    async with reading(hub, caller) as (connection, _):
        size = await read_size(connection, scope, stored.id, stored.version)
    if size is None:
        raise NotFound(f"{stored.reference} is not known")
    return Download(stored, text, size, scope)


async def stream_content(hub: Hub, download: Download) -> AsyncIterator[bytes]:
    """The content piece by piece; no connection is held while the client takes one.

    Each piece is asked for within the scope: where access ends on the way, so does the answer.
    """
    position = sent = 0
    while sent < download.size:
        async with hub.pool.acquire() as connection:
            piece = await read_chunk(connection, download.scope, download.stored.id, download.stored.version, position)
        if piece is None:
            raise NotFound(f"{download.stored.reference} is not known any more")
        yield piece
        position, sent = position + 1, sent + len(piece)
