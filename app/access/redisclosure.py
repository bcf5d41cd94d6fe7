"""The redisclosure notice that goes with what a label says must not be passed on (access.md, Confidentiality)."""

from collections.abc import Iterable
from typing import Any

from app.core.caller import Scope
from app.core.errors import Issue
from app.fhir.json_text import STORED_LIMITS, parse
from app.fhir.labels import ACT_CODE
from app.store.rows import Stored

NOTICE = (
    "What is labelled here may be passed on only with the patient's consent; in the United States, 42 CFR part 2 "
    "prohibits unauthorized use or disclosure of these records."
)
"""The second sentence is the short notice of 42 CFR 2.32."""
SUBSTANCE_USE = frozenset({"42CFRPart2", "ETH", "ETHUD", "OPIOIDUD", "SUD"})
NO_REDISCLOSURE = frozenset({"NORDSCLCD", "NORDSCLCDS", "NORDSCLW"})
DEMANDING = SUBSTANCE_USE | NO_REDISCLOSURE
"""Codes of v3-ActCode: substance use and its policy, and the refrain policies against redisclosure."""


def notify_recipient(rows: Iterable[Stored], scope: Scope) -> tuple[Issue, ...]:
    """The notice as an issue, where another organisation's resource among them demands it; else nothing."""
    demanded = any(demands_notice(row, scope) for row in rows)
    return (Issue("information", "informational", NOTICE),) if demanded else ()


def demands_notice(row: Stored, scope: Scope) -> bool:
    """Whether a resource that is shared with the caller must not be passed on without consent."""
    if row.owner_org in scope.organizations or '"security"' not in row.content:
        return False
    return not DEMANDING.isdisjoint(list_policies(parse(row.content.encode(), STORED_LIMITS)))


def list_policies(resource: dict[str, Any]) -> set[str]:
    """The codes of v3-ActCode in the labels of a resource and of what it contains."""
    found = {
        str(each.get("code")) for each in resource.get("meta", {}).get("security", ()) if each.get("system") == ACT_CODE
    }
    return found.union(*(list_policies(each) for each in resource.get("contained", ())))
