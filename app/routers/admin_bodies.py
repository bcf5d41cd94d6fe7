"""The JSON that operators and organisations steer delivery by: what is sent, what is answered."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from app.delivery import overview
from app.fhir.references import ID
from app.interactions.deliveries import Replayed

LONGEST_GRACE = 8_760 * 3_600


def read_instant(value: object) -> datetime:
    """A time with its zone: whose clock would it be else? Raises ValueError."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("give a time with its zone, such as 2026-11-01T08:00:00Z")


Instant = Annotated[datetime, BeforeValidator(read_instant)]
Id = Annotated[str, Field(pattern=f"^{ID.pattern}$")]


class Body(BaseModel):
    """Members in camelCase; a member that is not known is refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)


class Answer(Body):
    """What the server says, by its own names."""

    model_config = ConfigDict(populate_by_name=True)


class NewWebhook(Body):
    """An endpoint to register for an organisation's events."""

    url: str = Field(description="Where events are posted")
    organization: str | None = Field(
        default=None,
        pattern=f"^Organization/{ID.pattern}$",
        description="Organization/id; without it, the caller's own",
    )
    events: list[str] = Field(description="Which events", min_length=1)
    reason_text: bool = Field(
        default=False, description="Also the words of Task.statusReason, where no label forbids them"
    )


class NewSecret(Body):
    """A rotation."""

    grace_seconds: int = Field(
        default=86_400, ge=0, le=LONGEST_GRACE, description="For how long messages are signed with the old one too"
    )


class NewRate(Body):
    """The most deliveries a second, all workers together."""

    per_second: float | None = Field(
        ge=0.001, le=1_000_000, strict=False, description="null for that of HANDOFF_WEBHOOK_RATE"
    )

    @field_validator("per_second", mode="before")
    @classmethod
    def check_number(cls, value: object) -> object:
        """Refuses text and truth values, which would pass for numbers."""
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float | Decimal)):
            raise ValueError("give a number, or null")
        return value


class WantedReplay(Body):
    """One delivery, or those of a webhook from a number or a time on."""

    delivery: str | None = Field(
        default=None,
        pattern=r"^(evt_)?[0-9]{1,18}(_[0-9a-f]{1,16})?$",
        description="One delivery: its id, or its webhook-id (evt_...)",
    )
    webhook: Id | None = Field(default=None, description="Those of this webhook, with fromNumber or since")
    from_number: int | None = Field(default=None, ge=1, le=10**18 - 1, description="From this eventNumber on")
    since: Instant | None = Field(default=None, description="Events from this time on")
    delivered: bool = Field(default=False, description="Also what was delivered already")

    @model_validator(mode="after")
    def check_choice(self) -> Self:
        """Either one delivery or a range."""
        ranged = self.webhook is not None and (self.from_number is not None or self.since is not None)
        extra = self.webhook is not None or self.from_number is not None or self.since is not None
        if (self.delivery is not None) == ranged or (self.delivery is not None and extra):
            raise ValueError("give a delivery, or a webhook with fromNumber or since")
        return self


class Webhook(Answer):
    """A registered endpoint and what is under way to it."""

    id: str = Field(description="That of its Subscription")
    organization: str
    url: str
    events: list[str]
    reason_text: bool = Field(description="Whether it is told the words of Task.statusReason")
    status: Literal["requested", "active", "paused", "error", "off"]
    error: str | None = Field(description="Why the last attempt failed")
    failing_since: datetime | None
    created_at: datetime
    previous_secret_until: datetime | None = Field(description="Until then messages are signed with the old one too")
    resting_until: datetime | None = Field(description="Until then nothing goes: too many attempts failed in a row")
    rate_per_second: float | None = Field(description="Its own; null where HANDOFF_WEBHOOK_RATE holds")
    queued: int
    oldest_seconds: float | None = Field(description="Age of the event that has waited longest")
    blocked: int = Field(description="Referrals whose next event was first tried over 15 minutes ago")
    dead: int
    delivered: int = Field(description="Deliveries that were answered 2xx, replays too, since the beginning")
    failed_attempts: int

    @classmethod
    def show(cls, state: overview.WebhookState) -> Self:
        return cls(**show_state(state))


class SecretWebhook(Webhook):
    """A registered endpoint with its secret, which is told here and never again."""

    secret: str = Field(description="whsec_ and the base64 of the key")


class Webhooks(Answer):
    """The webhooks that the caller steers, the oldest first."""

    webhooks: list[Webhook]
    events_waiting: int | None = Field(
        description="Events of all organisations that no dispatcher has fanned out yet; for the operator alone"
    )


class Attempt(Answer):
    """One try of a delivery; without status and reason it is under way, or ended with its worker."""

    number: int
    at: datetime
    milliseconds: int | None
    status: int | None = Field(description="The HTTP status; null where no answer came")
    reason: str | None = Field(description="Why it failed")
    answer: str | None = Field(description="The first 2 kB of the answer to one that failed")


class Undelivered(Answer):
    """A delivery that was given up, or that holds up its referral."""

    id: str
    webhook_id: str = Field(description="The webhook's id")
    event_number: int
    event: str
    referral: str
    created_at: datetime
    due_at: datetime | None = Field(description="When it is tried again; null for a dead letter")
    ended_at: datetime | None = Field(description="When it was given up")
    attempts_since_replay: int
    attempts: list[Attempt]

    @classmethod
    def show(cls, each: overview.Undelivered) -> Self:
        return cls(
            id=str(each.id),
            webhook_id=each.webhook_id,
            event_number=each.number,
            event=each.topic,
            referral=each.referral,
            created_at=each.created_at,
            due_at=None if each.ended_at else each.due_at,
            ended_at=each.ended_at,
            attempts_since_replay=each.count,
            attempts=[Attempt.model_validate(attempt, from_attributes=True) for attempt in each.attempts],
        )


class UndeliveredPage(Answer):
    """The newest first."""

    deliveries: list[Undelivered]
    next: str | None = Field(description="The address of the next page; null on the last")


class ReplayAnswer(Answer):
    """What a replay did."""

    replayed: int = Field(description="Sent again")
    hurried: int = Field(description="Due at once instead of later")
    stopped: str | None = Field(description="The status of a webhook that nothing goes to before it is resumed")

    @classmethod
    def show(cls, done: Replayed) -> Self:
        return cls(replayed=done.again, hurried=done.hurried, stopped=done.stopped[1] if done.stopped else None)


class Secret(Answer):
    """A new secret, told here and never again."""

    secret: str = Field(description="whsec_ and the base64 of the key")


class Removed(Answer):
    """A webhook that was taken away."""

    dropped: int = Field(description="Queued deliveries that went with it")


def show_state(state: overview.WebhookState) -> dict[str, Any]:
    """The members of a Webhook."""
    return {
        "id": state.id,
        "organization": f"Organization/{state.organization}",
        "url": state.url,
        "events": state.topics,
        "reasonText": state.reason_text,
        "status": state.status,
        "error": state.error,
        "failingSince": state.failing_since,
        "createdAt": state.created_at,
        "previousSecretUntil": state.previous_until,
        "restingUntil": state.resting_until,
        "ratePerSecond": state.rate,
        "queued": state.queued,
        "oldestSeconds": state.oldest,
        "blocked": state.blocked,
        "dead": state.dead,
        "delivered": state.delivered,
        "failedAttempts": state.failed,
    }
