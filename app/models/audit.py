"""The audit trail: one row for each access, allowed or refused; rows are only ever added (access.md, Audit)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, SmallInteger, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from app.models.resources import instant, key_text


class Audit(SQLModel, table=True):
    """One access; the months are partitions in the schema ``audit_month``, which no application role enters.

    ``id`` is a UUID of version 7 whose time is ``recorded``. Without ``organization`` the caller showed no token that
    counts, and ``client`` is only what it claimed. ``interaction`` is a code of
    http://hl7.org/fhir/restful-interaction where there is one. ``query`` has its values hashed. ``status`` is that of
    HTTP, ``reason`` the issue code of a refusal. ``number`` counts the matches, or the refusals that one row stands
    for; ``given`` are references to what left with the answer; ``purpose`` is the reason where the glass was broken.
    ``acting_for`` is the member of its network for whom a coordinator wrote.
    """

    __tablename__ = "audit"
    __table_args__: Any = {"postgresql_partition_by": "RANGE (recorded)"}

    recorded: datetime = Field(sa_column=Column(instant(), primary_key=True))
    id: UUID = Field(sa_column=Column(Uuid(), primary_key=True))
    client: str | None = Field(sa_column=Column(key_text(), nullable=True))
    organization: str | None = Field(sa_column=Column(key_text(), nullable=True))
    role: str | None = Field(sa_column=Column(key_text(), nullable=True))
    remote: str | None = Field(sa_column=Column(key_text(), nullable=True))
    interaction: str = Field(sa_column=Column(key_text(), nullable=False))
    type: str | None = Field(sa_column=Column(key_text(), nullable=True))
    resource_id: str | None = Field(sa_column=Column(key_text(), nullable=True))
    version: int | None = Field(sa_column=Column(BigInteger, nullable=True))
    query: str | None = Field(sa_column=Column(key_text(), nullable=True))
    status: int = Field(sa_column=Column(SmallInteger, nullable=False))
    reason: str | None = Field(sa_column=Column(key_text(), nullable=True))
    number: int = Field(sa_column=Column(BigInteger, nullable=False))
    given: list[str] = Field(sa_column=Column(ARRAY(key_text()), nullable=False, server_default=text("'{}'")))
    purpose: str | None = Field(sa_column=Column(Text, nullable=True))
    acting_for: str | None = Field(sa_column=Column(key_text(), nullable=True))
