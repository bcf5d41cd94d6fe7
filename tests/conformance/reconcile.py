"""Holds what was committed against what a receiver wrote down."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Change = tuple[str, int, str]
"""(Task/id, version, status)."""


@dataclass(frozen=True)
class Receipt:
    """One line of the journal."""

    id: str
    path: str
    verified: bool
    answer: str
    body: dict[str, Any]

    @property
    def change(self) -> Change:
        return self.body["task"], int(self.body["version"]), self.body["status"]


def read_journal(path: Path) -> list[Receipt]:
    """What came, in the order in which it came."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [Receipt(**{**each, "body": json.loads(each["body"])}) for each in lines]


def list_changes(versions: Iterable[dict[str, Any]]) -> set[Change]:
    """The changes of status in a Task's history, oldest first: what subscribers must be told."""
    found: set[Change] = set()
    status = None
    for each in versions:
        if each["status"] != status:
            status = each["status"]
            found.add((f"Task/{each['id']}", int(each["meta"]["versionId"]), status))
    return found


def find_faults(committed: set[Change], journal: list[Receipt]) -> list[str]:
    """What breaks the promise of delivery, in words; empty where it was kept."""
    told = {each.change for each in journal}
    faults = [f"lost: {each}" for each in sorted(committed - told)]
    faults += [f"phantom: {each}" for each in sorted(told - committed)]
    faults += [f"does not verify: {each.id}" for each in journal if not each.verified]
    faults += [f"a redirect was followed: {each.id}" for each in journal if each.path != "/hook"]
    bodies: dict[Change, set[tuple[str, str]]] = defaultdict(set)
    reached: dict[str, int] = defaultdict(int)
    for each in journal:
        bodies[each.change].add((each.id, json.dumps(each.body, sort_keys=True)))
        referral, sequence = each.body["serviceRequest"], each.body["sequence"]
        if sequence < reached[referral]:
            faults.append(f"out of order: {each.change} as {sequence} after {reached[referral]}")
        reached[referral] = max(reached[referral], sequence)
    faults += [f"under several ids or bodies: {change}" for change, forms in sorted(bodies.items()) if len(forms) > 1]
    return faults
