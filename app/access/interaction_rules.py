"""Which interactions a caller's scopes and its role allow, before anything is looked up (access.md, Roles)."""

from collections.abc import Mapping
from typing import get_args

from app.core.caller import Caller, Letter, Role
from app.core.errors import Forbidden
from app.fhir.registry import TYPES

LETTERS: Mapping[str, Letter] = {
    "create": "c",
    "read": "r",
    "vread": "r",
    "update": "u",
    "delete": "d",
    "search-type": "s",
    "history-instance": "r",
    "history-type": "s",
    "history-system": "s",
}
"""The letter that covers each code of http://hl7.org/fhir/restful-interaction (SMART App Launch 2.2, scopes v2)."""

DIRECTORY = frozenset(name for name, each in TYPES.items() if each.directory)
REFERRALS = frozenset({"ServiceRequest", "Task", "CarePlan"})
CLINICAL = frozenset({"Patient", "RelatedPerson", "Consent", "Condition", "Goal", "CareTeam", "Group", "Encounter"})
SUPPORTING = frozenset({"Coverage", "Device", "Flag", "Basic"})
CONTENT = frozenset({"Binary"})
"""Its owner's alone until a document that the owner shares names it."""
SERVICE_RECORDS = frozenset(
    {"Procedure", "Observation", "QuestionnaireResponse", "DocumentReference", "Communication", "SupplyDelivery"}
)
"""What a partner records of its own about the patient of an open referral."""
PROVENANCE = frozenset({"Provenance"})
"""Written once, by the server or by who vouches for an import; nobody changes or removes it."""

SUB_REFERRALS = frozenset({"ServiceRequest", "Task"})
SUBSCRIPTIONS = frozenset({"Subscription"})
OWN = DIRECTORY | REFERRALS | CLINICAL | SUPPORTING | SERVICE_RECORDS | SUBSCRIPTIONS | CONTENT
FULL: Mapping[Letter, frozenset[str]] = {"c": OWN | PROVENANCE, "u": OWN, "d": OWN}

MAY_WRITE: Mapping[Role, Mapping[Letter, frozenset[str]]] = {
    "referrer": FULL,
    "coordinator": FULL,
    "admin": FULL,
    # A partner's ServiceRequest and Task pass on what it was given, and nothing else: a partner that also refers
    # registers a second client, as referrer.
    "provider": {
        "c": DIRECTORY | SERVICE_RECORDS | SUBSCRIPTIONS | CONTENT | SUB_REFERRALS,
        "u": DIRECTORY | SERVICE_RECORDS | SUBSCRIPTIONS | CONTENT | SUB_REFERRALS,
        "d": DIRECTORY | SERVICE_RECORDS | SUBSCRIPTIONS | CONTENT,
    },
}
"""The types that each role may write at all; whose resource it is, is asked later. A type in no line is refused."""

WRITES = frozenset({"create", "update", "delete"})


def authorize(caller: Caller, interaction: str, resource_type: str | None, *, narrows: bool = False) -> None:
    """Raises Forbidden where the caller's scopes or role do not allow an interaction on a type.

    ``interaction`` is a code of http://hl7.org/fhir/restful-interaction; ``resource_type`` is None for the whole
    system. Whoever honours a scope that a search narrows says so by ``narrows``; everywhere else it does not suffice.
    """
    letter = LETTERS.get(interaction)
    if letter is None or (resource_type is None) != (interaction == "history-system"):
        raise ValueError(f"{interaction!r} on {resource_type!r} is no interaction of this server")
    writes = interaction in WRITES
    # The whole system is covered by a scope on every type, never by scopes on some.
    scoped = "*" if resource_type is None else resource_type
    known = resource_type is None or resource_type in TYPES
    if not known or not caller.may(scoped, letter):
        scope = f"system/{scoped}.{letter}"
        raise Forbidden(
            f"The token's scopes do not allow {interaction} of {resource_type or 'everything'}: it takes {scope}",
            headers={"WWW-Authenticate": f'Bearer realm="fhir", error="insufficient_scope", scope="{scope}"'},
        )
    if not narrows and caller.narrowing(scoped, letter) is not None:
        raise Forbidden(
            f"The token's scope on {scoped} is narrowed by a search: it is for read, vread and search alone",
            headers={
                "WWW-Authenticate": f'Bearer realm="fhir", error="insufficient_scope", scope="system/{scoped}.{letter}"'
            },
        )
    if writes and scoped not in MAY_WRITE.get(caller.role, {}).get(letter, frozenset()):
        raise Forbidden(f"A client of role {caller.role} may not {interaction} a {resource_type}")


def check_operator(caller: Caller) -> None:
    """Raises Forbidden where the caller is not the operator's."""
    if caller.role != "admin":
        raise Forbidden(f"This is for clients of role admin, not {caller.role}")


def acts_as(caller: Caller, resource_type: str) -> tuple[str, ...]:
    """The organisations whose resources of a type a caller writes: its own, then those of a coordinator's network.

    The directory entries of all its members, other things of those that registered so; never where notifications go.
    """
    if resource_type in SUBSCRIPTIONS | CONTENT | PROVENANCE:
        return (caller.organization,)
    return (caller.organization, *(caller.network if resource_type in DIRECTORY else caller.acts_for))


def hears_of_network(caller: Caller) -> bool:
    """Whether an endpoint that a caller names hears of its organisation's network; the operator vouches for both."""
    return caller.role in ("coordinator", "admin")


def steered_by(caller: Caller) -> list[str] | None:
    """The organisations whose subscriptions alone a caller sees and steers; None, the operator, every one's."""
    return None if caller.role == "admin" else [caller.organization, *caller.acts_for]


def check_role(name: str) -> Role:
    """The role of this name. Raises ValueError."""
    for role in get_args(Role):
        if role == name:
            found: Role = role
            return found
    raise ValueError(f"{name!r} is no role; there are: {', '.join(get_args(Role))}")
