"""What can be subscribed to: each topic's canonical, its resource type, and the filters that it takes."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.errors import Invalid
from app.referral.events import (
    CARE_PLAN_CHANGED,
    OVERDUE,
    SERVICE_REQUEST_VERSION,
    STATUS_CHANGED,
    TASK_ASSIGNED,
    TASK_VERSION,
    TOPICS,
)

GUIDE = "http://hl7.org/fhir/us/sdoh-clinicalcare/SubscriptionTopic"
OURS = "urn:warm-handoff:topic"

FILTERS = {
    "Task": ("_id", "code", "owner", "requester", "status"),
    "ServiceRequest": ("_id",),
    "CarePlan": ("_id", "status"),
}
"""The search parameters that a filter may use, by resource type; the guide's, save ``_lastUpdated``."""


@dataclass(frozen=True, slots=True)
class Topic:
    """``name`` is the one in the event table, ``canonical`` the one in Subscription.criteria.

    ``written`` says that its events are changes of the resource.
    """

    name: str
    canonical: str
    resource_type: str
    written: bool = True


SUBSCRIPTION_TOPICS = (
    Topic(TASK_VERSION, f"{GUIDE}/Task", "Task"),
    Topic(SERVICE_REQUEST_VERSION, f"{GUIDE}/Servicerequest", "ServiceRequest"),
    Topic(STATUS_CHANGED, f"{OURS}:{STATUS_CHANGED}", "Task"),
    Topic(TASK_ASSIGNED, f"{OURS}:{TASK_ASSIGNED}", "Task"),
    Topic(CARE_PLAN_CHANGED, f"{OURS}:{CARE_PLAN_CHANGED}", "CarePlan"),
    Topic(OVERDUE, f"{OURS}:{OVERDUE}", "Task", written=False),
)
BY_CANONICAL = {each.canonical: each for each in SUBSCRIPTION_TOPICS}
BY_NAME = {each.name: each for each in SUBSCRIPTION_TOPICS}


def check_topics(names: Iterable[str]) -> list[str]:
    """The names of a compact webhook's events, each once, in order. Raises Invalid for one that there is not."""
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    unknown = [name for name in wanted if name not in TOPICS]
    if unknown or not wanted:
        asked = ", ".join(unknown) or "nothing"
        raise Invalid(f"There is no event {asked}; there are: {', '.join(TOPICS)}", ("events",))
    return wanted
