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
GUIDE_VERSION = "3.0.0"
OURS = "urn:warm-handoff:topic"

FILTERS = {
    "Task": ("_id", "_lastUpdated", "code", "owner", "requester", "status"),
    "ServiceRequest": ("_id", "_lastUpdated"),
    "CarePlan": ("_id", "_lastUpdated", "status"),
}
"""The search parameters that a filter may use, by resource type: the guide's."""


@dataclass(frozen=True, slots=True)
class Topic:
    """``name`` is the one in the event table, ``canonical`` the one in Subscription.criteria.

    ``meaning`` is what it tells of; ``on`` the interactions that trigger it, under the search ``current`` where the
    guide gives one; a clock's events come of none. The version of the guide's own topics is that of the guide.
    """

    name: str
    canonical: str
    resource_type: str
    meaning: str
    version: str = "1.0.0"
    on: tuple[str, ...] = ("create", "update", "delete")
    current: str | None = None

    @property
    def written(self) -> bool:
        """Whether its events are changes of the resource."""
        return bool(self.on)


SUBSCRIPTION_TOPICS = (
    Topic(
        TASK_VERSION,
        f"{GUIDE}/Task",
        "Task",
        "Each version of a Task that is an order and no draft, and its deletion.",
        GUIDE_VERSION,
        current="status:not=draft&intent=order",
    ),
    Topic(
        SERVICE_REQUEST_VERSION,
        f"{GUIDE}/Servicerequest",
        "ServiceRequest",
        "Each version of a ServiceRequest after its first, and its deletion.",
        GUIDE_VERSION,
        on=("update", "delete"),
    ),
    Topic(
        STATUS_CHANGED,
        f"{OURS}:{STATUS_CHANGED}",
        "Task",
        "A Task, no draft, that is new, has another status, or is gone.",
    ),
    Topic(TASK_ASSIGNED, f"{OURS}:{TASK_ASSIGNED}", "Task", "A Task that got its owner.", on=("create", "update")),
    Topic(
        CARE_PLAN_CHANGED,
        f"{OURS}:{CARE_PLAN_CHANGED}",
        "CarePlan",
        "A CarePlan, no draft, that says something else than before, or is gone.",
    ),
    Topic(OVERDUE, f"{OURS}:{OVERDUE}", "Task", "A Task whose deadline has passed: once for each deadline.", on=()),
)
BY_CANONICAL = {each.canonical: each for each in SUBSCRIPTION_TOPICS}
BY_NAME = {each.name: each for each in SUBSCRIPTION_TOPICS}


def check_topics(names: Iterable[str], *, reason_text: bool = False) -> list[str]:
    """The names of a compact webhook's events, each once, in order.

    Raises Invalid for one that there is not, and where none of them tells of the ``reason_text`` that is asked for.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    unknown = [name for name in wanted if name not in TOPICS]
    if unknown or not wanted:
        asked = ", ".join(unknown) or "nothing"
        raise Invalid(f"There is no event {asked}; there are: {', '.join(TOPICS)}", ("events",))
    if reason_text and STATUS_CHANGED not in wanted:
        raise Invalid(
            f"The text of a reason is told with {STATUS_CHANGED} alone: ask for that event too", ("reasonText",)
        )
    return wanted
