"""One table for each resource type, generated from the registry: what is stored, who may see it, what is searched.

``reduced`` is the part of a resource that the organisations in ``reduced_for`` see who do not see it whole.

A search parameter that yields one value is a typed column ``s_<code>`` (dates a low and a high one); one that
yields many is rows in the child tables of ``search_rows.py`` (docs/decisions/0002-index-layout.md).
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlmodel import SQLModel

from app.fhir.registry import STORED, ResourceType, SearchParameter

REFERRAL_TYPES = ("ServiceRequest", "Task", "CarePlan")
"""The types whose rows name the referral that they belong to."""


def key_text() -> Text:
    """Text compared byte by byte: ids, codes, references and folded text need no locale, and prefixes use the index."""
    return Text(collation="C")


def instant() -> TIMESTAMP:
    """An instant with its zone, to the millisecond."""
    return TIMESTAMP(timezone=True, precision=3)


def column_names(parameter: SearchParameter) -> tuple[str, ...]:
    """The search columns of a single-valued parameter; none for one whose values are child rows."""
    if parameter.in_rows:
        return ()
    name = "s_" + parameter.code.replace("-", "_")
    return (f"{name}_low", f"{name}_high") if parameter.kind == "date" else (name,)


def build_table(resource_type: ResourceType) -> Table:
    """The table of one type, with its search columns and indexes."""
    name = resource_type.table
    fixed: list[Column[object]] = [
        Column("id", key_text(), primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("last_updated", instant(), nullable=False),
        Column("deleted", Boolean, nullable=False, server_default=text("false")),
        Column("content", Text, nullable=False),
        Column("owner_org", key_text(), nullable=False),
        Column("shared_with", ARRAY(key_text()), nullable=False, server_default=text("'{}'")),
    ]
    if resource_type.view:
        fixed.append(Column("reduced", Text, nullable=True))
        fixed.append(Column("reduced_for", ARRAY(key_text()), nullable=False, server_default=text("'{}'")))
    if resource_type.name in REFERRAL_TYPES:
        fixed.append(Column("referral", key_text(), nullable=False))
    if resource_type.name == "Task":
        fixed.append(Column("requester_org", key_text(), nullable=False))
        fixed.append(Column("assigned_org", key_text(), nullable=True))
        fixed.append(Column("due_at", instant(), nullable=True))
    searched: list[Column[object]] = [
        Column(column, instant() if parameter.kind == "date" else key_text())
        for parameter in resource_type.search
        for column in column_names(parameter)
    ]
    return Table(name, SQLModel.metadata, *fixed, *searched, *build_indexes(resource_type))


def build_indexes(resource_type: ResourceType) -> list[Index]:
    """The sort index and the composites that the registry names hot."""
    name = resource_type.table
    indexes = [Index(f"{name}_last_updated", "last_updated", "id")]
    if resource_type.name in REFERRAL_TYPES:
        indexes.append(Index(f"{name}_referral", "referral"))
    if resource_type.name == "Task":
        # What the clock looks for: only Tasks that will be overdue, and have not been told so, are in it.
        indexes.append(Index("task_due", "due_at", postgresql_where=text("due_at IS NOT NULL")))
        indexes.append(Index("task_pool", "id", postgresql_where=text("reduced IS NOT NULL")))
    for codes in resource_type.hot_indexes:
        columns = [
            column
            for code in codes
            if (parameter := resource_type.parameter(code))
            for column in column_names(parameter)
        ]
        short = "_".join(code.replace("-", "_") for code in codes)
        indexes.append(Index(f"{name}_by_{short}", *columns, "last_updated", "id"))
    return indexes


RESOURCE_TABLES: dict[str, Table] = {name: build_table(each) for name, each in STORED.items()}
