"""What a sub-referral must be: the owner of a Task passes it on (SDOHCC 3.0.0, indirect referral; access.md)."""

from collections.abc import Iterator
from typing import Any

from app.core.errors import Issue
from app.referral.comparison import same
from app.referral.events import is_contact_prohibited

Resource = dict[str, Any]

FILLER = "filler-order"
PASSED_ON = frozenset({"accepted", "in-progress"})
"""Statuses of a Task in which its owner passes it on."""
CLOSING = frozenset({"draft", "rejected", "cancelled", "failed", "entered-in-error"})
"""Statuses of a Task with which what was passed on of it closes; a completed one leaves it for a time."""
FIXED = ("intent", "subject", "basedOn")
"""What stays in the ServiceRequest of a sub-referral."""


def refuse(diagnostics: str, expression: str) -> Issue:
    """A rule broken at one element."""
    return Issue("error", "business-rule", diagnostics, (expression,))


def closes_sub_referrals(task: Resource) -> bool:
    """Whether what was passed on of a Task is taken back; of one that was deleted too."""
    return not task or task.get("status") in CLOSING


def is_filler(request: Resource) -> bool:
    """Whether a ServiceRequest says that it is made to fulfil another one (R4 request-intent)."""
    return request.get("intent") == FILLER and bool(request.get("basedOn"))


def check_warning(request: Resource, original: Resource) -> Iterator[Issue]:
    """That the patient must not be contacted goes along (SDOHCC-ServiceRequest, orderDetail)."""
    if is_contact_prohibited(original) and not is_contact_prohibited(request):
        diagnostics = "The request that this one is based on says that the patient must not be contacted: say so too"
        yield refuse(diagnostics, "ServiceRequest.orderDetail")


def check_request_change(before: Resource, after: Resource) -> Iterator[Issue]:
    """What a sub-referral's ServiceRequest passes on does not change."""
    for name in FIXED:
        if not same(before.get(name), after.get(name)):
            yield refuse(
                f"{name} does not change: pass the referral on by another ServiceRequest", f"ServiceRequest.{name}"
            )
