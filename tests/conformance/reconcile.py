"""Holds what was committed against what a receiver wrote down."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from standardwebhooks import Webhook

COMPACT, NOTIFIED = "/hook", "/fhir"
"""The receiver's two paths: compact webhooks, and a Subscription's notifications with the whole resource."""

Change = tuple[str, int, str]
"""(Task/id, version, status)."""

NOT_ONCE = """
SELECT d.id FROM delivery d JOIN attempt a ON a.delivery_id = d.id GROUP BY d.id
HAVING count(*) FILTER (WHERE a.status BETWEEN 200 AND 299) <> 1
    OR max(a.number) FILTER (WHERE a.status BETWEEN 200 AND 299) <> max(a.number)
"""
"""Deliveries that were tried again after an attempt that was accepted, by the sender's own record."""


@dataclass(frozen=True)
class Receipt:
    """One line of the journal; ``sequence`` is what its receiver would order by."""

    id: str
    path: str
    verified: bool
    answer: str
    headers: dict[str, str]
    body: str
    change: Change
    sequence: int


def read_journal(path: Path) -> list[Receipt]:
    """The events that came, in the order in which they came; handshakes are none."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [each for each in map(read_line, lines) if each is not None]


def read_line(line: dict[str, Any]) -> Receipt | None:
    """The event of a line, or what came where nothing should; None for a handshake."""
    body = json.loads(line["body"])
    told = read_bundle(body) if body.get("resourceType") == "Bundle" else read_compact(body)
    if told is None and line["path"] in (COMPACT, NOTIFIED):
        return None
    change, sequence = told or (("", 0, ""), 0)
    headers = line["headers"]
    name = headers.get("webhook-id", "")
    return Receipt(name, line["path"], line["verified"], line["answer"], headers, line["body"], change, sequence)


def read_compact(body: dict[str, Any]) -> tuple[Change, int] | None:
    """What a compact message tells; None for a handshake."""
    if "task" not in body:
        return None
    return (body["task"], int(body["version"]), body["status"]), body["sequence"]


def read_bundle(body: dict[str, Any]) -> tuple[Change, int] | None:
    """What a notification tells; None for a handshake."""
    status, *others = [each["resource"] for each in body["entry"]]
    if not others:
        return None
    [event] = [each for each in status["parameter"] if each["name"] == "notification-event"]
    number = next(each["valueString"] for each in event["part"] if each["name"] == "event-number")
    [task] = others
    return (f"Task/{task['id']}", int(task["meta"]["versionId"]), task["status"]), int(number)


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
    """What breaks the promise of delivery to one subscriber, in words; empty where it was kept."""
    told = {each.change for each in journal}
    faults = [f"lost: {each}" for each in sorted(committed - told)]
    faults += [f"phantom: {each}" for each in sorted(told - committed)]
    faults += [f"does not verify: {each.id}" for each in journal if not each.verified]
    faults += [f"a redirect was followed: {each.id}" for each in journal if each.path not in (COMPACT, NOTIFIED)]
    faults += find_disorder(journal)
    forms: dict[Change, set[tuple[str, str]]] = defaultdict(set)
    meanings: dict[str, set[Change]] = defaultdict(set)
    for each in journal:
        forms[each.change].add((each.id, each.body))
        meanings[each.id].add(each.change)
    faults += [f"under several ids or bodies: {change}" for change, found in sorted(forms.items()) if len(found) > 1]
    return faults + [f"one id for several events: {name}" for name, found in sorted(meanings.items()) if len(found) > 1]


def find_forged(journal: list[Receipt], secrets: list[str]) -> list[str]:
    """What bears a signature by none of the secrets, the one of a rotation's other secret included."""
    faults = []
    for each in journal:
        at = datetime.fromtimestamp(int(each.headers["webhook-timestamp"]), UTC)
        good = {Webhook(secret).sign(each.id, at, each.body) for secret in secrets}
        if not good.issuperset(each.headers["webhook-signature"].split(" ")):
            faults.append(f"a signature by nobody: {each.id}")
    return faults


def find_disorder(journal: list[Receipt]) -> list[str]:
    """What came before something earlier of the same Task; here a Task is a referral."""
    faults = []
    reached: dict[str, int] = defaultdict(int)
    for each in journal:
        task = each.change[0]
        if each.sequence < reached[task]:
            faults.append(f"out of order: {each.change} as {each.sequence} after {reached[task]}")
        reached[task] = max(reached[task], each.sequence)
    return faults


async def find_needless(pool: asyncpg.Pool, journal: list[Receipt]) -> list[str]:
    """What came again although it was not in flight: after its acknowledgement, or more often than it was tried."""
    faults = [f"tried again after it was accepted: {row[0]}" for row in await pool.fetch(NOT_ONCE)]
    tried = {row[0]: row[1] for row in await pool.fetch("SELECT delivery_id, count(*) FROM attempt GROUP BY 1")}
    came = Counter(int(each.id.split("_")[1]) for each in journal)
    return faults + [f"came more often than tried: {key}" for key, times in came.items() if times > tried.get(key, 0)]
