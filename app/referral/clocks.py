"""When a referral is overdue: the clock of a Task, as its content and the operator's hours set it.

domain.md: overdue and unanswered referrals rise to the top and escalate. R4 Task: restriction.period is over what
time fulfilment is sought, priority how quickly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any

from app.referral.transitions import PATIENT, TERMINAL, find_workflow
from app.search.dates import read_interval

Resource = dict[str, Any]
Hours = Mapping[tuple[str, str], timedelta]
"""By status and priority of a Task: how long it may stay so."""

DAY = len("2026-11-25")
UNCHANGED = timedelta()


@dataclass(frozen=True, slots=True)
class Clock:
    """A Task is overdue at a moment, or so long after it came into its status; neither is never."""

    at: datetime | None = None
    after: timedelta | None = None


NEVER = Clock()


@cache
def read_hours(text: str) -> Hours:
    """The hours of ``requested:urgent=24,...``, the form that the setting is checked for."""
    pairs = (each.partition("=") for each in text.split(",") if each)
    keys = ((key.partition(":"), hours) for key, _, hours in pairs)
    return {(status, priority): timedelta(hours=float(hours)) for (status, _, priority), hours in keys}


def set_clock(task: Resource, hours: Hours, zone: tzinfo) -> Clock:
    """The end that the requester sets, else the hours for its status and priority (routine where there is none).

    A Task that has ended, or is a draft, has no clock. A patient's own has the requester's alone: nobody answers it.
    """
    status = task.get("status")
    if status in TERMINAL or status == "draft":
        return NEVER
    end = find_end(task, zone)
    if end is not None:
        return Clock(at=end)
    if find_workflow(task) is PATIENT:
        return NEVER
    return Clock(after=hours.get((str(status), str(task.get("priority", "routine")))))


def find_end(task: Resource, zone: tzinfo) -> datetime | None:
    """The first moment after ``restriction.period.end``; a day, month or year ends at midnight in the ``zone``."""
    text = ((task.get("restriction") or {}).get("period") or {}).get("end")
    if not isinstance(text, str):
        return None
    end = read_interval(text)[1]
    try:
        return end if len(text) > DAY else end.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        return end  # at the end of time


def move_clock(
    before: Resource, after: Resource, hours: Hours, zone: tzinfo
) -> tuple[datetime | None, timedelta | None, timedelta | None]:
    """(moment, time after this version, shift of the moment that there was) for a new version of a Task.

    While the status stays, the hours go on counting from when it came into it, also under another priority. A
    deadline that stays the same is not set again: once told, it stays told.
    """
    old, new = set_clock(before, hours, zone), set_clock(after, hours, zone)
    if old == new and (new.at is not None or before.get("status") == after.get("status")):
        return None, None, UNCHANGED
    if old.after is not None and new.after is not None and before.get("status") == after.get("status"):
        return None, None, new.after - old.after
    return new.at, new.after, None
