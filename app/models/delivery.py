"""The outbox and what becomes of it: event, webhook, delivery, attempt (delivery.md, Outbox).

The business transaction writes one event. The dispatcher makes of it one delivery for each webhook that wants it,
and numbers them per webhook. Each try of a delivery is an attempt.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlmodel import Field, SQLModel

from app.models.resources import instant, key_text

NOW = text("clock_timestamp()")


class Event(SQLModel, table=True):
    """Something that happened in a referral.

    ``keys`` are the search values that filters are compared with. ``sequence`` numbers the events of one referral in
    commit order. ``audience`` are the organisations that may hear of it. ``facts`` is the compact webhook's JSON as it
    was known in the transaction.
    """

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("referral", "sequence"),
        Index("event_not_fanned_out", "id", postgresql_where=text("fanned_out_at IS NULL")),
    )

    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    topic: str = Field(sa_column=Column(key_text(), nullable=False))
    referral: str = Field(sa_column=Column(key_text(), nullable=False))
    sequence: int = Field(sa_column=Column(BigInteger, nullable=False))
    focus_type: str = Field(sa_column=Column(key_text(), nullable=False))
    focus_id: str = Field(sa_column=Column(key_text(), nullable=False))
    focus_version: int = Field(sa_column=Column(BigInteger, nullable=False))
    audience: list[str] = Field(sa_column=Column(ARRAY(key_text()), nullable=False))
    labelled: bool = Field(sa_column=Column(Boolean, nullable=False))
    facts: str = Field(sa_column=Column(Text, nullable=False))
    keys: list[str] = Field(sa_column=Column(ARRAY(key_text()), nullable=False, server_default="{}"))
    created_at: datetime = Field(sa_column=Column(instant(), nullable=False, server_default=NOW))
    fanned_out_at: datetime | None = Field(sa_column=Column(instant(), nullable=True))


class Webhook(SQLModel, table=True):
    """An endpoint that wants events; ``id`` is that of its Subscription resource.

    ``status`` is requested (until its handshake), active, paused (by the operator), error (a failed handshake, or days
    of nothing but failure) or off (by the receiver's 410, or by the client); ``shown_status`` is the one that the
    Subscription tells already. ``secret`` is sealed, and may be absent from a Subscription made over REST; until
    ``previous_until`` messages are signed with ``previous_secret`` too.
    ``failing_since`` is when its first attempt failed since the last that succeeded. ``last_number`` counts its
    events from 1, without gaps.
    ``client_id`` is who wrote it last over REST: while that client is disabled, it is paused.
    ``content`` is the Backport guide's payload content; None is the compact webhook, which is told the words of a
    statusReason where it asked for ``reason_text``. ``payload`` is the media type that was asked for. ``filters`` are
    ANDed lists of alternatives, compared with the event's keys. ``headers`` are sent along, and sealed. A handshake
    under way holds ``handshake`` until ``handshake_until``; one that failed for the ``handshakes``-th time comes again
    then. ``heartbeat_period`` and ``timeout`` are in seconds; at ``ends_at`` it is turned off.
    ``network`` is whether it hears of the network that its organisation coordinates: whoever wrote it sees that too.
    ``failures`` are the failed attempts in a row that speak against the endpoint; after some nothing is claimed before
    ``resting_until`` (the circuit breaker). ``rate`` is the most deliveries a second, None by the setting; those up to
    ``paced_until`` are used up.
    """

    __tablename__ = "webhook"
    __table_args__ = (Index("webhook_by_organization", "organization"),)

    id: str = Field(sa_column=Column(key_text(), primary_key=True))
    organization: str = Field(sa_column=Column(key_text(), nullable=False))
    client_id: str | None = Field(sa_column=Column(key_text(), nullable=True))
    url: str = Field(sa_column=Column(Text, nullable=False))
    topics: list[str] = Field(sa_column=Column(ARRAY(key_text()), nullable=False))
    secret: bytes | None = Field(sa_column=Column(LargeBinary, nullable=True))
    previous_secret: bytes | None = Field(sa_column=Column(LargeBinary, nullable=True))
    previous_until: datetime | None = Field(sa_column=Column(instant(), nullable=True))
    status: str = Field(sa_column=Column(key_text(), nullable=False, server_default="active"))
    shown_status: str = Field(sa_column=Column(key_text(), nullable=False, server_default="active"))
    error: str | None = Field(sa_column=Column(Text, nullable=True))
    failing_since: datetime | None = Field(sa_column=Column(instant(), nullable=True))
    content: str | None = Field(sa_column=Column(key_text(), nullable=True))
    payload: str | None = Field(sa_column=Column(key_text(), nullable=True))
    reason_text: bool = Field(sa_column=Column(Boolean, nullable=False, server_default="false"))
    network: bool = Field(sa_column=Column(Boolean, nullable=False, server_default="false"))
    filters: Any = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    headers: bytes | None = Field(sa_column=Column(LargeBinary, nullable=True))
    handshake: str | None = Field(sa_column=Column(key_text(), nullable=True))
    handshake_until: datetime | None = Field(sa_column=Column(instant(), nullable=True))
    handshakes: int = Field(sa_column=Column(SmallInteger, nullable=False, server_default="0"))
    heartbeat_period: int | None = Field(sa_column=Column(Integer, nullable=True))
    heartbeat_due: datetime | None = Field(sa_column=Column(instant(), nullable=True))
    timeout: int | None = Field(sa_column=Column(Integer, nullable=True))
    ends_at: datetime | None = Field(sa_column=Column(instant(), nullable=True))
    last_number: int = Field(sa_column=Column(BigInteger, nullable=False, server_default="0"))
    failures: int = Field(sa_column=Column(Integer, nullable=False, server_default="0"))
    resting_until: datetime | None = Field(sa_column=Column(instant(), nullable=True))
    rate: float | None = Field(sa_column=Column(Double, nullable=True))
    paced_until: datetime | None = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=True))
    created_at: datetime = Field(sa_column=Column(instant(), nullable=False, server_default=NOW))


class Delivery(SQLModel, table=True):
    """One event on its way to one webhook.

    ``state`` is queued, delivered, dead or withdrawn. The stream is (webhook, referral): of one stream the earliest
    undelivered goes first. A claim sets ``lease`` and ``leased_until``; only who holds the lease acknowledges.
    ``forgiven`` are the attempts from before the last replay, which count no more.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("webhook_id", "number"),
        Index("delivery_by_event", "event_id"),
        Index("delivery_due", "webhook_id", "due_at", "id", postgresql_where=text("state = 'queued'")),
        Index(
            "delivery_stream",
            "webhook_id",
            "referral",
            "number",
            postgresql_where=text("state = 'queued'"),
        ),
        Index("delivery_dead", "webhook_id", "id", postgresql_where=text("state = 'dead'")),
    )

    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    webhook_id: str = Field(sa_column=Column(key_text(), ForeignKey("webhook.id", ondelete="CASCADE"), nullable=False))
    event_id: int = Field(sa_column=Column(BigInteger, ForeignKey("event.id"), nullable=False))
    referral: str = Field(sa_column=Column(key_text(), nullable=False))
    number: int = Field(sa_column=Column(BigInteger, nullable=False))
    state: str = Field(sa_column=Column(key_text(), nullable=False, server_default="queued"))
    attempts: int = Field(sa_column=Column(Integer, nullable=False, server_default="0"))
    forgiven: int = Field(sa_column=Column(Integer, nullable=False, server_default="0"))
    due_at: datetime = Field(sa_column=Column(instant(), nullable=False, server_default=NOW))
    first_tried_at: datetime | None = Field(sa_column=Column(instant(), nullable=True))
    lease: str | None = Field(sa_column=Column(key_text(), nullable=True))
    leased_until: datetime | None = Field(sa_column=Column(instant(), nullable=True))
    ended_at: datetime | None = Field(sa_column=Column(instant(), nullable=True))


class Attempt(SQLModel, table=True):
    """One try of a delivery; ``status`` is the HTTP status, None where no answer came; ``answer`` its first 2 kB."""

    __tablename__ = "attempt"

    delivery_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("delivery.id", ondelete="CASCADE"), primary_key=True)
    )
    number: int = Field(sa_column=Column(Integer, primary_key=True))
    at: datetime = Field(sa_column=Column(instant(), nullable=False, server_default=NOW))
    milliseconds: int | None = Field(sa_column=Column(Integer, nullable=True))
    status: int | None = Field(sa_column=Column(Integer, nullable=True))
    reason: str | None = Field(sa_column=Column(Text, nullable=True))
    answer: str | None = Field(sa_column=Column(Text, nullable=True))


class DeliveryTally(SQLModel, table=True):
    """How often something became of a webhook's attempts; counts stay when deliveries are deleted.

    ``outcome`` is delivered, again (delivered after a replay) or failed. ``most_seconds`` is the bucket of the latency
    of what was delivered, infinity for the rest; ``seconds`` is the latencies' sum. Several slots, so that attempts
    that end together do not wait for one row.
    """

    __tablename__ = "delivery_tally"

    webhook_id: str = Field(
        sa_column=Column(key_text(), ForeignKey("webhook.id", ondelete="CASCADE"), primary_key=True)
    )
    outcome: str = Field(sa_column=Column(key_text(), primary_key=True))
    most_seconds: float = Field(sa_column=Column(Double, primary_key=True))
    slot: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    number: int = Field(sa_column=Column(BigInteger, nullable=False))
    seconds: float = Field(sa_column=Column(Double, nullable=False))


class Followed(SQLModel, table=True):
    """A Subscription whose criteria are a search (R4 Subscription): what is stamped after ``since`` is told to it."""

    __tablename__ = "followed"

    webhook_id: str = Field(
        sa_column=Column(key_text(), ForeignKey("webhook.id", ondelete="CASCADE"), primary_key=True)
    )
    type: str = Field(sa_column=Column(key_text(), nullable=False))
    criteria: str = Field(sa_column=Column(Text, nullable=False))
    since: datetime = Field(sa_column=Column(instant(), nullable=False))


class FollowCursor(SQLModel, table=True):
    """The last version of a type that was held against the searches that follow it; locked by who looks further."""

    __tablename__ = "follow_cursor"

    type: str = Field(sa_column=Column(key_text(), primary_key=True))
    last_updated: datetime = Field(sa_column=Column(instant(), nullable=False))
    id: str = Field(sa_column=Column(key_text(), nullable=False))
