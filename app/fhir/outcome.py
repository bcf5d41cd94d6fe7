"""OperationOutcome: how every error and warning is told (R4 OperationOutcome)."""

from collections.abc import Iterable
from typing import Any

from app.core.errors import Issue


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """The resource; at least one issue is expected."""
    return {"resourceType": "OperationOutcome", "issue": [_write_issue(each) for each in issues]}


def _write_issue(issue: Issue) -> dict[str, Any]:
    written: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "diagnostics": issue.diagnostics,
    }
    if issue.expression:
        written["expression"] = list(issue.expression)
    return written
