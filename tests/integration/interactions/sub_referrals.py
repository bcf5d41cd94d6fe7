"""A referral that goes on: from the hospital to the ngo, and from there to the shelter."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.api import Caller, Resource
from tests.integration.interactions.samples import move, patient, reference, service_request, task


@dataclass
class Referral:
    """What the hospital sent to the ngo; ``condition`` is the reason for it, ``aside`` is of no concern to anybody."""

    who: str
    condition: str
    asked: str
    tasked: str
    aside: list[str] = field(default_factory=list)


def name(organization: str) -> Resource:
    return {"reference": f"Organization/{organization}"}


async def send(
    hospital: Caller, *performers: str, label: Resource | None = None, request: Resource | None = None
) -> Referral:
    """A referral to the ngo, which these organisations may perform too."""
    who = reference(await hospital.create(patient()))
    subject = {"subject": {"reference": who}}
    labelled = {"meta": label} if label else {}
    condition = reference(await hospital.create({"resourceType": "Condition", **subject, **labelled}))
    more = {"performer": [name(each) for each in performers]} if performers else {}
    body = service_request(who, reasonReference=[{"reference": condition}], **more, **(request or {}))
    asked = reference(await hospital.create(body))
    tasked = reference(await hospital.create(task(who, asked)))
    aside = [reference(await hospital.create({"resourceType": "Condition", **subject})), tasked]
    return Referral(who, condition, asked, tasked, aside)


async def accept(ngo: Caller, referral: Referral) -> None:
    for status in ("accepted", "in-progress"):
        assert (await move(ngo, referral.tasked, status)).status_code == 200


def sub_request(referral: Referral, **more: Any) -> Resource:
    """The ngo's ServiceRequest for the same."""
    based = {"intent": "filler-order", "basedOn": [{"reference": referral.asked}]}
    reasons = {"reasonReference": [{"reference": referral.condition}]}
    return {**service_request(referral.who, **based, **reasons), **more}


def sub_task(referral: Referral, asked: str, **more: Any) -> Resource:
    """The ngo's Task to the shelter."""
    part = {"partOf": [{"reference": referral.tasked}], "requester": name("ngo"), "owner": name("shelter")}
    return {**task(referral.who, asked), **part, **more}


async def pass_on(ngo: Caller, referral: Referral, **more: Any) -> tuple[str, httpx.Response]:
    """The ServiceRequest, which must be taken, and the answer to the Task."""
    asked = reference(await ngo.create(sub_request(referral)))
    return asked, await ngo.send("POST", "/Task", sub_task(referral, asked, **more))


async def readable(caller: Caller, about: list[str]) -> list[str]:
    """Which of the references a caller can read."""
    return [each for each in about if (await caller.get(f"/{each}")).status_code == 200]
