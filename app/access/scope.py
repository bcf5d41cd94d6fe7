"""Turns a caller into the plain scope that the store filters by."""

from app.core.caller import Caller, Scope
from app.core.settings import Settings


def scope_of(caller: Caller, settings: Settings) -> Scope:
    """Whose eyes a caller looks through: its own organisation's, a coordinator's network with it (access.md, Roles).

    An admin sees the whole directory, and patients' resources only where the operator's setting says so. Whoever breaks
    the glass sees everything: what may be asked so is checked where it is asked (app/interactions/break_glass.py).
    """
    admin = caller.role == "admin"
    everything = (admin and settings.admin_sees_patients) or caller.break_glass is not None
    return Scope((caller.organization,), everything=everything, whole_directory=admin, network=caller.network)
