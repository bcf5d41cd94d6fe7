"""The content of Binaries, kept apart from their rows: one line for each version, and its bytes in pieces."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary
from sqlmodel import Field, SQLModel

from app.models.resources import key_text


class BinaryContent(SQLModel, table=True):
    """The size of one version's content, in bytes, and the resource here (``Type/id``) that says who may see it."""

    __tablename__ = "binary_content"
    __table_args__ = (Index("binary_content_context", "security_context"),)

    id: str = Field(sa_column=Column(key_text(), primary_key=True))
    version: int = Field(sa_column=Column(BigInteger, primary_key=True))
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    security_context: str | None = Field(sa_column=Column(key_text(), nullable=True))


class BinaryChunk(SQLModel, table=True):
    """One piece of a version's content; pieces are written once and never change."""

    __tablename__ = "binary_chunk"

    id: str = Field(sa_column=Column(key_text(), primary_key=True))
    version: int = Field(sa_column=Column(BigInteger, primary_key=True))
    position: int = Field(sa_column=Column(Integer, primary_key=True))
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
