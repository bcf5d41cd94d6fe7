"""Superseded versions of every resource: written when a version is replaced, never changed after."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Text
from sqlmodel import Field, SQLModel

from app.models.resources import instant, key_text


class ResourceHistory(SQLModel, table=True):
    """A version that is no longer current; the current one is in the table of its type."""

    __tablename__ = "resource_history"
    __table_args__ = (
        Index("resource_history_type_time", "type", "last_updated"),
        Index("resource_history_time", "last_updated"),
    )

    type: str = Field(sa_column=Column(key_text(), primary_key=True))
    id: str = Field(sa_column=Column(key_text(), primary_key=True))
    version: int = Field(sa_column=Column(BigInteger, primary_key=True))
    last_updated: datetime = Field(sa_column=Column(instant(), nullable=False))
    deleted: bool
    content: str = Field(sa_column=Column(Text, nullable=False))
