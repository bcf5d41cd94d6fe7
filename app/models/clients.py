"""Registered clients, their public keys, and the assertions that they have used (access.md, Callers)."""

from datetime import datetime

from sqlalchemy import Boolean, Column, ForeignKey, Index, Text, text
from sqlmodel import Field, SQLModel

from app.models.resources import instant, key_text


class Client(SQLModel, table=True):
    """A program that acts for one organisation."""

    __tablename__ = "client"

    id: str = Field(sa_column=Column(key_text(), primary_key=True))
    organization: str = Field(sa_column=Column(key_text(), nullable=False))
    role: str = Field(sa_column=Column(key_text(), nullable=False))
    scopes: str = Field(sa_column=Column(Text, nullable=False))
    server_makes_tasks: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    created_at: datetime = Field(sa_column=Column(instant(), nullable=False, server_default=text("clock_timestamp()")))
    disabled_at: datetime | None = Field(sa_column=Column(instant(), nullable=True))


class ClientKey(SQLModel, table=True):
    """A public key; ``jwk`` is its JSON (RFC 7517), which holds ``kid``, ``kty`` and ``alg``."""

    __tablename__ = "client_key"

    client_id: str = Field(sa_column=Column(key_text(), ForeignKey("client.id", ondelete="CASCADE"), primary_key=True))
    kid: str = Field(sa_column=Column(key_text(), primary_key=True))
    jwk: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(sa_column=Column(instant(), nullable=False, server_default=text("clock_timestamp()")))


class UsedAssertion(SQLModel, table=True):
    """The ``jti`` of an assertion that was accepted: no replica accepts it again."""

    __tablename__ = "used_assertion"
    __table_args__ = (Index("used_assertion_expiry", "expires_at"),)

    issuer: str = Field(sa_column=Column(key_text(), primary_key=True))
    jti: str = Field(sa_column=Column(key_text(), primary_key=True))
    expires_at: datetime = Field(sa_column=Column(instant(), nullable=False))
