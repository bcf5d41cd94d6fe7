"""The access under way: who asks for what, and what leaves; each floor notes what it learns.

It stands in a context variable, so that whatever releases a resource notes it without being told for whom.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from app.audit.address import Target


@dataclass(slots=True)
class Access:
    """One request, one entry of a Bundle, or one command.

    ``client`` is only claimed where ``organization`` is None. ``query`` are pairs as they came, to be hashed; None are
    those of ``query_string``.
    ``purpose`` is the reason for which the glass was broken, ``acting_for`` on whose behalf a coordinator wrote.
    ``about`` is whom an operator's request is about, where that is no resource.
    ``success`` is the status of a change that makes no version.
    ``given`` are the references that left, or were about to. ``recorded`` once it stands in the trail.
    """

    target: Target
    query: Sequence[tuple[str, str]] | None = None
    query_string: bytes = b""
    remote: str | None = None
    client: str | None = None
    organization: str | None = None
    role: str | None = None
    given: list[str] = field(default_factory=list)
    reason: str | None = None
    purpose: str | None = None
    acting_for: str | None = None
    about: str | None = None
    success: int = 200
    recorded: bool = False

    def note_client(self, client: str, organization: str, role: str) -> None:
        """Who it is, once that is known."""
        self.client, self.organization, self.role = client, organization, role

    def pairs(self) -> Sequence[tuple[str, str]]:
        """What is asked for, as pairs."""
        if self.query is None:
            self.query = parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True)
        return self.query


AUDIENCE = "audience"
"""The reason where the check at the answer found a breach."""

UNDER_WAY: ContextVar[Access | None] = ContextVar("access", default=None)


@contextmanager
def access_under_way(access: Access) -> Iterator[Access]:
    """For as long as the block runs, what is noted is noted of this access."""
    token = UNDER_WAY.set(access)
    try:
        yield access
    finally:
        UNDER_WAY.reset(token)


@contextmanager
def entry_under_way(target: Target, query: Sequence[tuple[str, str]]) -> Iterator[Access]:
    """An access of its own within a request: by the same caller, from the same place."""
    outer = UNDER_WAY.get()
    entry = Access(target, query)
    if outer:
        entry.remote, entry.client, entry.organization, entry.role = (
            outer.remote, outer.client, outer.organization, outer.role,
        )  # fmt: skip
    with access_under_way(entry):
        yield entry


def note_client(client: str, organization: str, role: str) -> None:
    """Who is calling, once that is verified."""
    if access := UNDER_WAY.get():
        access.note_client(client, organization, role)


def note_claim(client_id: str) -> None:
    """Who somebody says to be, before that is verified."""
    if access := UNDER_WAY.get():
        access.client = client_id


def note_query(pairs: Sequence[tuple[str, str]]) -> None:
    """What is asked for, where it does not stand in the address alone."""
    if access := UNDER_WAY.get():
        access.query = pairs


def note_given(reference: str) -> None:
    """A resource that leaves."""
    if access := UNDER_WAY.get():
        access.given.append(reference)


def note_purpose(reason: str) -> None:
    """The reason for which the glass is broken: the one text of a caller's that the trail keeps as it came."""
    if access := UNDER_WAY.get():
        access.purpose = reason


def note_acting_for(organization: str) -> None:
    """On behalf of which member of its network the caller acts."""
    if access := UNDER_WAY.get():
        access.acting_for = organization


def note_interaction(interaction: str) -> None:
    """What it is, where the address does not tell."""
    if access := UNDER_WAY.get():
        access.target = replace(access.target, interaction=interaction)


def note_target(resource_type: str, resource_id: str) -> None:
    """Of what it is, where no address tells."""
    if access := UNDER_WAY.get():
        access.target = replace(access.target, type=resource_type, id=resource_id)


def note_interaction_of(name: str) -> None:
    """Whom an operator's request or command is about, where that is no resource: the name of a client that is there.

    A transaction that is tried again says so again.
    """
    if access := UNDER_WAY.get():
        access.about = name


def note_success(status: int) -> None:
    """What a change that makes no version is answered with."""
    if access := UNDER_WAY.get():
        access.success = status


def note_recorded() -> None:
    """That the trail holds it: nobody records it once more."""
    if access := UNDER_WAY.get():
        access.recorded = True


def note_refusal(reason: str) -> None:
    """Why it is refused: an issue code, or words that hold nothing of what was sent."""
    if access := UNDER_WAY.get():
        access.reason = reason
