"""Turns a caller into the plain scope that the store filters by."""

from app.core.caller import Caller, Scope
from app.core.settings import Settings


def scope_of(caller: Caller, settings: Settings) -> Scope:
    """Whose eyes a caller looks through: its own organisation's (access.md, Roles).

    An admin sees the whole directory, and patients' resources only where the operator's setting says so.
    """
    admin = caller.role == "admin"
    return Scope((caller.organization,), everything=admin and settings.admin_sees_patients, whole_directory=admin)
