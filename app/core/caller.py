"""Who is calling, as plain values that every floor may pass on."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["referrer", "provider", "coordinator", "admin"]
Letter = Literal["c", "r", "u", "d", "s"]

BREAK_GLASS = "break-glass"
"""The scope of who may see what no package shares, for a reason (docs/how-to/break-glass.md): of no type."""

EVERYONE = "*"
"""In an audience: every authenticated caller (the directory)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A registered client, acting for exactly one organisation (access.md, Callers).

    ``organization`` is the id alone, without ``Organization/``. ``permissions`` maps a resource type, or
    ``*``, or a type with the search that narrows it, ``Task?status=requested``, to the letters of SMART scopes v2
    granted for it. ``rate`` is requests a second, None for that of the settings. ``break_glass`` is the reason for
    which this one request sees what it otherwise would not. ``network`` are the members of a coordinator's network,
    ``acts_for`` those among them on whose behalf it creates and changes.
    """

    client_id: str
    organization: str
    role: Role
    permissions: tuple[tuple[str, frozenset[str]], ...]
    server_makes_tasks: bool = False
    rate: float | None = None
    break_glass: str | None = None
    network: tuple[str, ...] = ()
    acts_for: tuple[str, ...] = ()

    def may(self, resource_type: str, letter: Letter) -> bool:
        """Whether a granted scope covers this interaction on this type."""
        narrowed = f"{resource_type}?"
        return any(
            letter in letters
            for name, letters in self.permissions
            if name in ("*", resource_type) or name.startswith(narrowed)
        )

    def narrowing(self, resource_type: str, letter: Letter) -> str | None:
        """The search that narrows what ``may`` is true of; None where a scope covers the type whole."""
        found = None
        for name, letters in self.permissions:
            kind, _, query = name.partition("?")
            if letter in letters and kind in ("*", resource_type):
                if not query:
                    return None
                found = query
        return found

    def may_break_glass(self) -> bool:
        """Whether the token has the scope for it."""
        return any(name == BREAK_GLASS for name, _ in self.permissions)


@dataclass(frozen=True, slots=True)
class Scope:
    """What one store call may see: the organisations whose eyes it looks through.

    ``everything`` is for the operator's own work (migration, reindex, clocks, imports) and never comes
    from a token alone. ``whole_directory`` adds the labelled entries of the directory. ``network`` are those whose
    things it sees too, as far as they are not labelled (0016-networks.md).
    """

    organizations: tuple[str, ...]
    everything: bool = False
    whole_directory: bool = False
    network: tuple[str, ...] = ()

    def admits(self, owner: str, shared_with: tuple[str, ...]) -> bool:
        """Whether a row of this owner and audience may leave to this scope."""
        if self.everything or owner in self.organizations or EVERYONE in shared_with:
            return True
        # Asked of each row of each page: a loop, for it costs half of what any() does.
        for each in self.organizations:  # noqa: SIM110
            if each in shared_with:
                return True
        return False
