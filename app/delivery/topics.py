"""The events that a compact webhook can ask for (delivery.md, The compact webhook)."""

from collections.abc import Iterable

from app.core.errors import Invalid
from app.referral.events import TOPICS


def check_topics(names: Iterable[str]) -> list[str]:
    """The names, each once, in order. Raises Invalid for one that there is not."""
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    unknown = [name for name in wanted if name not in TOPICS]
    if unknown or not wanted:
        asked = ", ".join(unknown) or "nothing"
        raise Invalid(f"There is no event {asked}; there are: {', '.join(TOPICS)}")
    return wanted
