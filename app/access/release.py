"""The second layer: the check where an answer is written (architecture.md, Rules)."""

from app.core.caller import Scope
from app.core.errors import AudienceBreach
from app.fhir.registry import TYPES
from app.store.rows import Stored


def release(stored: Stored, scope: Scope) -> str:
    """The text of a resource, if its audience holds the caller.

    Raises AudienceBreach: the filter in the store's SQL should not have let it come this far.
    """
    if scope.admits(stored.owner_org, stored.shared_with):
        return stored.content
    if scope.whole_directory and TYPES[stored.type].directory:
        return stored.content
    raise AudienceBreach("A resource outside the caller's audience was about to leave")
