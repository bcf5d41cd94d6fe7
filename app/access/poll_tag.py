"""The ETag of a poll: it holds for one caller, with the access it has now, one query and one answer."""

from collections.abc import Iterable
from hashlib import blake2b

from app.core.caller import Caller, Scope
from app.store.rows import Stored


def tag_poll(caller: Caller, scope: Scope, address: str, answered: Iterable[Stored]) -> str:
    """A weak validator without its quotes (RFC 9110, 8.8.1): the link to the next poll moves on meanwhile.

    It is made from what the caller is shown now, so that none outlives a change of its access or of a package.
    """
    granted = sorted((name, "".join(sorted(letters))) for name, letters in caller.permissions)
    bound = (caller.client_id, caller.organization, caller.role, granted, scope, address)
    digest = blake2b(repr(bound).encode(), digest_size=16)
    for each in answered:
        digest.update(f"\n{each.reference} {each.version} {each.deleted} ".encode())
        digest.update(each.content.encode())
    return digest.hexdigest()
