"""Plays a referral over HTTP as its people would, and tells it as it goes."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from app.access.token_client import fetch_token
from app.core.errors import HandoffError
from app.demo.scenarios import Resource, Scenario

Tell = Callable[[str], None]
RESULTING_ACTIVITY = {
    "coding": [
        {
            "system": "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes",
            "code": "resulting-activity",
        }
    ]
}
MOVES: tuple[tuple[str, str], ...] = (
    ("accepted", "accepts: they can help."),
    ("in-progress", "begins."),
    ("on-hold", "has to pause: the child is in intensive care this week."),
    ("in-progress", "goes on."),
    ("completed", "has done it, and writes down what was done."),
)
EXPECTED = ("requested", *(status for status, _ in MOVES))


@dataclass
class Actor:
    """One client of the server, with its own token."""

    name: str
    client_id: str
    key: str
    address: str
    show: Tell
    wire: httpx.Client

    def call(self, method: str, path: str, body: Resource | None = None, if_match: str | None = None) -> dict[str, Any]:
        """One request; its answer's body. Raises HandoffError where it is refused."""
        token = fetch_token(self.address, self.client_id, self.key, None)["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        if if_match:
            headers["If-Match"] = f'W/"{if_match}"'
        self.show(f"    > {self.client_id}: {method} /fhir{path}{f' If-Match {if_match}' if if_match else ''}")
        if body is not None:
            self.show(f"    > {json.dumps(body, ensure_ascii=False)}")
        answer = self.wire.request(
            method,
            f"{self.address}/fhir{path}",
            content=None if body is None else json.dumps(body).encode(),
            headers=headers,
        )
        self.show(f"    < {answer.status_code} {answer.text}")
        if answer.status_code >= 400:
            raise HandoffError(f"{method} {path} was answered {answer.status_code}: {answer.text}")
        content: dict[str, Any] = answer.json()
        return content

    def read(self, reference: str) -> dict[str, Any]:
        """The current version of a resource."""
        return self.call("GET", f"/{reference}")


def bundle_entries(resources: list[Resource], base: str) -> Resource:
    """A transaction that creates the resources; their references to each other are resolved by the server."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": f"{base}/{each['resourceType']}/{each['id']}",
                "resource": {name: value for name, value in each.items() if name != "id"},
                "request": {"method": "POST", "url": each["resourceType"]},
            }
            for each in resources
        ],
    }


def play(scenario: Scenario, hospital: Actor, partner: Actor, journal: Path, tell: Tell) -> bool:
    """The whole loop; whether everything came out as promised."""
    tell(f"\n{hospital.name} refers: {scenario.title}.")
    answer = hospital.call("POST", "", bundle_entries(scenario.entries, "https://demo.invalid/fhir"))
    made = [entry["response"]["location"].split("/_history")[0] for entry in answer["entry"]]
    request_id, task_id, plan_id = made[-3:]
    tell(f"  One transaction made {', '.join(made)}.")
    query = urlencode(
        [
            ("owner", scenario.partner[0]),
            ("status", "requested"),
            ("_include", "Task:focus"),
            ("_include", "Task:patient"),
        ]
    )
    found = partner.call("GET", f"/Task?{query}").get("entry", [])
    seen = [f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in found]
    tell(f"{partner.name} polls, and finds {', '.join(seen)}.")
    if task_id not in seen or request_id not in seen:
        tell("  The referral is not among them.")
        return False
    for status, words in MOVES:
        move(partner, task_id, request_id, status)
        tell(f"{partner.name} {words}")
    return report(hospital, (request_id, task_id, plan_id), journal, tell)


def move(partner: Actor, task_id: str, request_id: str, status: str) -> None:
    """One step of the Task, by read and update as every client does."""
    task = partner.read(task_id)
    after = {**task, "status": status}
    if status == "on-hold":
        after["statusReason"] = {"text": "The child is in intensive care"}
    else:
        after.pop("statusReason", None)
    if status == "completed":
        procedure = partner.call(
            "POST",
            "/Procedure",
            {
                "resourceType": "Procedure",
                "status": "completed",
                "basedOn": [{"reference": request_id}],
                "subject": task["for"],
                "code": {"text": "What was asked for was given"},
            },
        )
        after["output"] = [
            {"type": RESULTING_ACTIVITY, "valueReference": {"reference": f"Procedure/{procedure['id']}"}}
        ]
    partner.call("PUT", f"/{task_id}", after, task["meta"]["versionId"])


def report(hospital: Actor, made: tuple[str, str, str], journal: Path, tell: Tell) -> bool:
    """What the hospital learns: by webhook, and by reading."""
    request_id, task_id, plan_id = made
    deliveries = wait_for_deliveries(journal, task_id)
    tell(f"\n{hospital.name}'s receiver got, each signature verified:")
    for each in deliveries:
        tell(f"  {each['id']}  sequence {each['sequence']:>2}  {each['oldStatus'] or '-':>11} -> {each['status']}")
    statuses = tuple(each["status"] for each in deliveries)
    before = tuple(each["oldStatus"] for each in deliveries)
    in_order = [each["sequence"] for each in deliveries] == sorted({each["sequence"] for each in deliveries})
    request = hospital.read(request_id)
    plan = hospital.read(plan_id)
    outcome = plan["activity"][0].get("outcomeCodeableConcept", [])
    tell(f"The {request_id.split('/')[0]} is {request['status']}; the CarePlan's activity says: {describe(outcome)}.")
    closed = (
        statuses == EXPECTED
        and before == (None, *EXPECTED[:-1])
        and in_order
        and request["status"] == "completed"
        and bool(outcome)
    )
    tell("The loop is closed." if closed else "The loop is NOT closed.")
    return closed


def describe(concepts: list[dict[str, Any]]) -> str:
    """Concepts in words."""
    texts = [each.get("text") or each.get("coding", [{}])[0].get("display", "") for each in concepts]
    return ", ".join(texts) or "nothing"


def wait_for_deliveries(journal: Path, task_id: str, seconds: float = 20) -> list[dict[str, Any]]:
    """The status deliveries of one Task in the order they came: as many as expected, or what came in time."""
    deadline = time.monotonic() + seconds
    while True:
        lines = journal.read_text("utf-8").splitlines() if journal.exists() else []
        bodies = [json.loads(line)["body"] for line in lines]
        found = [each for each in bodies if each.get("task") == task_id and "status" in each]
        if len(found) >= len(EXPECTED) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)
