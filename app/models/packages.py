"""The referral (the unit of order), its package (what a Task shares, and with whom), and what was overdue in it."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, Index, text
from sqlmodel import Field, SQLModel

from app.models.resources import instant, key_text


class Referral(SQLModel, table=True):
    """One row for each referral, locked first by every transaction that writes in it.

    ``sequence`` numbers its events; taken under the lock, so that sequence order is commit order (delivery.md).
    """

    __tablename__ = "referral"

    id: str = Field(sa_column=Column(key_text(), primary_key=True))
    sequence: int = Field(sa_column=Column(BigInteger, nullable=False))


class PackageMember(SQLModel, table=True):
    """That ``task_id`` lets ``organization`` read one resource (access.md, What a caller sees).

    ``shared_with`` of the resource's row is these rows' organisations, kept beside the content.
    """

    __tablename__ = "package_member"
    __table_args__ = (Index("package_member_task", "task_id"),)

    type: str = Field(sa_column=Column(key_text(), primary_key=True))
    id: str = Field(sa_column=Column(key_text(), primary_key=True))
    organization: str = Field(sa_column=Column(key_text(), primary_key=True))
    task_id: str = Field(sa_column=Column(key_text(), primary_key=True))


class Overdue(SQLModel, table=True):
    """That a Task passed a deadline and that its subscribers were told: once for each deadline, whoever looked."""

    __tablename__ = "overdue"

    task_id: str = Field(sa_column=Column(key_text(), primary_key=True))
    deadline: datetime = Field(sa_column=Column(instant(), primary_key=True))
    told_at: datetime = Field(sa_column=Column(instant(), nullable=False))


class PackageGround(SQLModel, table=True):
    """What an open package rests on: the Consents of one ``patient`` (an id; empty where none is known here).

    ``consented``: they permit it, so that it closes when they do so no more. It is weighed again at ``due_at``, when a
    period begins or ends; at ``closes_at`` it closes, a time after its Task has ended.
    """

    __tablename__ = "package_ground"
    __table_args__ = (
        Index("package_ground_patient", "patient"),
        Index("package_ground_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    task_id: str = Field(sa_column=Column(key_text(), primary_key=True))
    organization: str = Field(sa_column=Column(key_text(), primary_key=True))
    patient: str = Field(sa_column=Column(key_text(), primary_key=True))
    consented: bool = Field(sa_column=Column(Boolean, nullable=False))
    due_at: datetime | None = Field(sa_column=Column(instant(), nullable=True))
    closes_at: datetime | None = Field(sa_column=Column(instant(), nullable=True))
