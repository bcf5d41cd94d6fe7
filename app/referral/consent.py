"""Weighs a patient's Consents: may this resource be shared with this organisation (R4 Consent; access.md).

Of several Consents one that denies outweighs all that permit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.fhir.element_access import codes, objects, text
from app.referral.provision import Decision, Question, holds, in_period, names_recipient, read_kind

Resource = dict[str, Any]

PRIVACY, TREATMENT = "patient-privacy", "treatment"
ELSEWHERE_SCOPES = frozenset({"research", "adr"})
ELSEWHERE = frozenset(
    {"acd", "dnr", "hcd", "npp", "polst", "research", "rsdid", "rsreid", "RESEARCH", "RSDID", "RSREID"}
)
"""Consent.scope and Consent.category of Consents that are about something else."""
EMERGENCY_ONLY = frozenset({"emrgonly", "EMRGONLY"})
BASES: Mapping[str, Decision] = {"OPTIN": "permit", "OPTINR": "permit", "OPTOUT": "deny", "OPTOUTE": "deny"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the Consents say: nothing where ``decision`` is None. ``by`` is the Consent that decides.

    ``named``: the permit names the recipient.
    """

    decision: Decision | None = None
    by: str | None = None
    named: bool = False


SILENT = Verdict()


def weigh_consents(consents: Iterable[Resource], question: Question) -> Verdict:
    """The verdict of all Consents of a patient together."""
    verdicts = [weigh_consent(each, question) for each in consents if each.get("status") == "active"]
    order = {"deny": 0, "permit": 1, None: 2}
    return min(verdicts, key=lambda each: (order[each.decision], not each.named), default=SILENT)


def weigh_consent(consent: Resource, question: Question) -> Verdict:
    """The verdict of one active Consent."""
    scopes = {code for _, code in codes(consent, "scope")}
    categories = {code for _, code in codes(consent, "category")}
    if not scopes.isdisjoint(ELSEWHERE_SCOPES) or not categories.isdisjoint(ELSEWHERE):
        return SILENT
    if not question.disclosed and TREATMENT not in scopes:
        return SILENT
    decision, named = weigh_root(consent, question)
    doubtful = "modifierExtension" in consent or not categories.isdisjoint(EMERGENCY_ONLY)
    if decision == "permit" and (PRIVACY not in scopes or doubtful):
        return SILENT
    return Verdict(decision, f"Consent/{consent.get('id')}", named) if decision else SILENT


def weigh_root(consent: Resource, question: Question) -> tuple[Decision | None, bool]:
    """The base rule and its exceptions: the decision, and whether it names the recipient.

    The base is policyRule's. A root rule that says its type narrows or turns it; one that says none but a period says
    when the base holds; one with other conditions is read as an exception from it, which never permits.
    """
    base = next((BASES[code] for _, code in sorted(codes(consent, "policyRule")) if code in BASES), None)
    root = next(iter(objects(consent, "provision")), {})
    kind = read_kind(root)
    if kind:
        if kind == "permit" and in_period(root, question, kind) is False:
            return ("deny" if base == "deny" else None), False
        held = holds(root, question, kind)
        if held is False or (held is None and kind == "permit"):
            return base, False
        return weigh_exceptions(root, question, kind, names_recipient(root, question))
    if in_period(root, question, "deny") is False:
        return None, False
    if set(root) - {"id", "extension", "period", "provision"}:
        if base == "permit" and holds(root, question, "deny") is not False:
            return "deny", False
        if not holds(root, question, "permit"):
            return base, False
    return weigh_exceptions(root, question, base, names_recipient(root, question))


def weigh_exceptions(
    rule: Resource, question: Question, decision: Decision | None, named: bool
) -> tuple[Decision | None, bool]:
    """The nested rules that hold turn the decision of the rule around them; among neighbours one that denies wins."""
    found: list[tuple[Decision | None, bool]] = []
    for each in objects(rule, "provision"):
        kind = read_kind(each) or "deny"  # a nested rule has to say what it is
        held = holds(each, question, kind)
        if held or (held is None and kind == "deny"):
            found.append(weigh_exceptions(each, question, kind, named or names_recipient(each, question)))
    denied = next((each for each in found if each[0] == "deny"), None)
    permitted = max((each for each in found if each[0] == "permit"), key=lambda each: each[1], default=None)
    return denied or permitted or (decision, named)


PATIENT_ELEMENTS = ("patient", "subject", "for", "beneficiary")


def name_patient(resource: Resource) -> str | None:
    """The literal of the patient whom a resource is about; a Patient is about itself."""
    if resource.get("resourceType") == "Patient":
        return f"Patient/{resource.get('id')}"
    for name in PATIENT_ELEMENTS:
        for reference in objects(resource, name):
            if literal := text(reference, "reference"):
                return literal
    return None
