"""Turns an access into the row that is kept of it: references and codes, no value that somebody typed."""

import time
from datetime import UTC, datetime

from app.audit.access import UNDER_WAY, Access
from app.audit.address import READS, Target
from app.audit.hashing import Hasher
from app.audit.trail import Trail
from app.core.caller import Caller
from app.core.ids import new_id
from app.store.audit import AuditRow
from app.store.rows import Stored


def build_row(access: Access, hasher: Hasher, status: int, written: Stored | None = None) -> AuditRow:
    """The row of an access that ends with this status; ``written`` is the version that it made.

    An id from an address is told as it is only where the access found it.
    """
    target, given = access.target, access.given
    milliseconds = time.time_ns() // 1_000_000
    name, resource_id, version = target.type, target.id, target.version
    if written is not None:
        name, resource_id, version, given = written.type, written.id, written.version, []
    elif resource_id is not None and status >= 400:
        resource_id = hasher.hide_id(resource_id)
    return AuditRow(
        datetime.fromtimestamp(milliseconds / 1000, UTC),
        new_id(milliseconds),
        access.client,
        access.organization,
        access.role,
        access.remote,
        f"{target.interaction} {access.about}" if access.about else target.interaction,
        name,
        resource_id,
        version,
        hasher.hide_query(access.pairs()),
        status,
        access.reason if status >= 400 else None,
        1 if status >= 400 else len(given),
        [] if status >= 400 else list(dict.fromkeys(given)),
        access.purpose,
        access.acting_for,
    )


async def record_access(trail: Trail, access: Access, status: int, *, crowded: bool = False) -> None:
    """Records an access that no transaction has recorded. Raises Unavailable.

    A read that is allowed goes on at once; whatever else waits until it stands. ``crowded`` says that the client
    calls too often: many of its refusals are only counted.
    """
    row = build_row(access, trail.hasher, status)
    access.recorded = True
    if access.organization is None or crowded:
        await trail.record_stranger(row)
    else:
        await trail.record(row, wait=status >= 400 or access.target.interaction not in READS)


def build_unit_row(caller: Caller, written: Stored | None, hasher: Hasher) -> AuditRow | None:
    """The row of a transaction that wrote ``written`` for the access under way; None where there is nothing to tell.

    A write that found nothing to change is told by whoever answers it. What the server does of itself, under no access,
    is told by what it wrote.
    """
    access = UNDER_WAY.get()
    if access is None or access.recorded:
        if written is None:
            return None
        access = Access(Target(CHANGES[status_of(written)]))
        access.note_client(caller.client_id, caller.organization, caller.role)
    elif written is None and access.target.interaction in CHANGES.values():
        return None
    return build_row(access, hasher, status_of(written) if written else access.success, written)


def status_of(written: Stored) -> int:
    """What a change is answered with."""
    return 204 if written.deleted else 201 if written.version == 1 else 200


CHANGES = {201: "create", 200: "update", 204: "delete"}
"""The interaction that each of these statuses answers."""
