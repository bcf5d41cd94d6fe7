"""Breaking the glass: what may be asked so, and how the custodian is told (access.md, Confidentiality)."""

from typing import Any

from app.audit.event import BREAK_THE_GLASS
from app.search.plan import IdCriterion, ReferenceCriterion, SearchPlan, TokenCriterion

Resource = dict[str, Any]

PATIENT_CODES = frozenset({"patient", "subject"})


def asks_for_one_patient(plan: SearchPlan) -> bool:
    """Whether a search can find the data of one patient alone, or that patient: emergencies have one."""
    if plan.type == "Patient":
        return any(
            (isinstance(each, IdCriterion) and len(each.ids) == 1)
            or (isinstance(each, TokenCriterion) and each.parameter.code == "identifier" and names_one(each))
            for each in plan.criteria
        )
    return any(
        isinstance(each, ReferenceCriterion)
        and each.parameter.code in PATIENT_CODES
        and len(each.targets) == 1
        and each.targets[0].startswith("Patient/")
        for each in plan.criteria
    )


def names_one(criterion: TokenCriterion) -> bool:
    """Whether one identifier is asked for, with its system."""
    return len(criterion.values) == 1 and bool(criterion.values[0].system and criterion.values[0].code)


def make_notice(
    seen: list[str], *, subject: str | None, by: str, custodian: str, sent: str, reason: str, labels: list[Resource]
) -> Resource:
    """The Communication to the organisation whose resources (``Type/id``) were seen; labelled as they are."""
    system, code = BREAK_THE_GLASS
    notice: Resource = {
        "resourceType": "Communication",
        "status": "completed",
        "category": [{"coding": [{"system": system, "code": code, "display": "break the glass"}]}],
        "priority": "urgent",
        "about": [{"reference": each} for each in seen],
        "sent": sent,
        "recipient": [{"reference": f"Organization/{custodian}"}],
        "sender": {"reference": f"Organization/{by}"},
        "payload": [{"contentString": reason}],
    }
    if labels:
        notice["meta"] = {"security": labels}
    if subject:
        notice["subject"] = {"reference": subject}
    return notice
