"""Registered clients, their keys and used assertions, coordinators' networks, and who is signed in (access.md)."""

from datetime import datetime

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from app.models.resources import instant, key_text


class Client(SQLModel, table=True):
    """A program that acts for one organisation.

    Its keys stand in ``client_key``, or at ``jwks_url``; ``rate`` is requests a second, where it has one of its own.
    """

    __tablename__ = "client"

    id: str = Field(sa_column=Column(key_text(), primary_key=True))
    organization: str = Field(sa_column=Column(key_text(), nullable=False))
    role: str = Field(sa_column=Column(key_text(), nullable=False))
    scopes: str = Field(sa_column=Column(Text, nullable=False))
    server_makes_tasks: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    created_at: datetime = Field(sa_column=Column(instant(), nullable=False, server_default=text("clock_timestamp()")))
    disabled_at: datetime | None = Field(sa_column=Column(instant(), nullable=True))
    jwks_url: str | None = Field(sa_column=Column(Text, nullable=True))
    rate: float | None = Field(sa_column=Column(Double, nullable=True))
    last_token_at: datetime | None = Field(sa_column=Column(instant(), nullable=True))


class ClientKey(SQLModel, table=True):
    """A public key; ``jwk`` is its JSON (RFC 7517), which holds ``kid``, ``kty`` and ``alg``."""

    __tablename__ = "client_key"

    client_id: str = Field(sa_column=Column(key_text(), ForeignKey("client.id", ondelete="CASCADE"), primary_key=True))
    kid: str = Field(sa_column=Column(key_text(), primary_key=True))
    jwk: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(sa_column=Column(instant(), nullable=False, server_default=text("clock_timestamp()")))


class NetworkMember(SQLModel, table=True):
    """An organisation whose referrals a coordinator sees; with ``acts`` it also acts on that one's behalf."""

    __tablename__ = "network_member"
    __table_args__ = (Index("network_by_member", "member"),)

    coordinator: str = Field(sa_column=Column(key_text(), primary_key=True))
    member: str = Field(sa_column=Column(key_text(), primary_key=True))
    acts: bool = Field(sa_column=Column(Boolean, nullable=False))
    since: datetime = Field(sa_column=Column(instant(), nullable=False, server_default=text("clock_timestamp()")))


class UsedAssertion(SQLModel, table=True):
    """The ``jti`` of an assertion that was accepted: no replica accepts it again."""

    __tablename__ = "used_assertion"
    __table_args__ = (Index("used_assertion_expiry", "expires_at"),)

    issuer: str = Field(sa_column=Column(key_text(), primary_key=True))
    jti: str = Field(sa_column=Column(key_text(), primary_key=True))
    expires_at: datetime = Field(sa_column=Column(instant(), nullable=False))


class SignedIn(SQLModel, table=True):
    """A person's session: ``id`` is the hash of what the cookie holds, ``claim`` what the settings' mapping goes by."""

    __tablename__ = "signed_in"
    __table_args__ = (Index("signed_in_expiry", "expires_at"),)

    id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    issuer: str = Field(sa_column=Column(key_text(), nullable=False))
    subject: str = Field(sa_column=Column(key_text(), nullable=False))
    claim: str = Field(sa_column=Column(key_text(), nullable=False))
    name: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(sa_column=Column(instant(), nullable=False, server_default=text("clock_timestamp()")))
    expires_at: datetime = Field(sa_column=Column(instant(), nullable=False))
