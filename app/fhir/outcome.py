"""OperationOutcome: how every error and warning is told (R4 OperationOutcome)."""

import re
from collections.abc import Iterable
from typing import Any

from app.core.errors import Issue

NOT_IN_A_STRING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """The resource; at least one issue is expected."""
    return {"resourceType": "OperationOutcome", "issue": [_write_issue(each) for each in issues]}


def _write_issue(issue: Issue) -> dict[str, Any]:
    written: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "diagnostics": _clean(issue.diagnostics),
    }
    # A parameter may have come without a name, which cannot be pointed at.
    if expression := [_clean(each) for each in issue.expression if each.strip()]:
        written["expression"] = expression
    return written


def _clean(text: str) -> str:
    """The text with what no FHIR string may hold made visible: it may quote what was sent (R4 datatypes, string)."""
    return NOT_IN_A_STRING.sub("\N{REPLACEMENT CHARACTER}", text)
