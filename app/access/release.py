"""The second layer: the check where an answer is written (architecture.md, Rules)."""

from app.audit.access import note_given
from app.core.caller import Scope
from app.core.errors import AudienceBreach
from app.fhir.json_text import STORED_LIMITS, parse
from app.fhir.labels import is_labelled
from app.fhir.registry import TYPES
from app.store.audience import sees_part, sees_whole
from app.store.rows import Stored


def release(stored: Stored, scope: Scope) -> str:
    """The text of a resource, or of its part, if its audience holds the caller; the audit trail tells that it left.

    Raises AudienceBreach: the filter in the store's SQL should not have let it come this far.
    """
    if sees_whole(scope, stored):
        note_given(stored.reference)
        return stored.content
    if stored.reduced is not None and sees_part(scope, stored):
        note_given(stored.reference)
        return stored.reduced
    raise AudienceBreach("A resource outside the caller's audience was about to leave")


def may_leave(stored: Stored, scope: Scope) -> bool:
    """Whether a version of the past may leave: one that was labelled, to its owner organisation alone.

    The audience is that of the resource now, and a label that was taken off since still held for what it covered.
    """
    if scope.everything or stored.owner_org in scope.organizations or '"security"' not in stored.content:
        return True
    if scope.whole_directory and TYPES[stored.type].directory:
        return True
    return not is_labelled(parse(stored.content.encode(), STORED_LIMITS))
