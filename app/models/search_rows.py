"""Child rows of search parameters that yield many values: one table for each kind.

They have no key of their own: the rows of one resource are replaced together, in the statement that writes it.
"""

from sqlalchemy import Column, Index, Numeric, Table, Text, func
from sqlmodel import SQLModel

from app.models.resources import instant, key_text

INDEXED_PREFIX = 200
"""Characters of folded text in the index; a longer search text is compared whole, behind it."""


def build_child_table(name: str, *values: Column[object]) -> Table:
    """A child table: (type, id, parameter) and the kind's own value columns."""
    return Table(
        name,
        SQLModel.metadata,
        Column("type", key_text(), nullable=False),
        Column("id", key_text(), nullable=False),
        Column("parameter", key_text(), nullable=False),
        *values,
        Index(f"{name}_resource", "type", "id"),
    )


SEARCH_TOKEN = build_child_table(
    "search_token",
    Column("system", key_text(), nullable=False),
    Column("code", key_text(), nullable=False),
)
Index(
    "search_token_value",
    SEARCH_TOKEN.c.type,
    SEARCH_TOKEN.c.parameter,
    SEARCH_TOKEN.c.code,
    SEARCH_TOKEN.c.system,
    SEARCH_TOKEN.c.id,
)

SEARCH_REFERENCE = build_child_table("search_reference", Column("target", key_text(), nullable=False))
Index(
    "search_reference_value",
    SEARCH_REFERENCE.c.type,
    SEARCH_REFERENCE.c.parameter,
    SEARCH_REFERENCE.c.target,
    SEARCH_REFERENCE.c.id,
)

SEARCH_STRING = build_child_table(
    "search_string", Column("folded", key_text(), nullable=False), Column("exact", Text, nullable=False)
)
Index(
    "search_string_value",
    SEARCH_STRING.c.type,
    SEARCH_STRING.c.parameter,
    func.left(SEARCH_STRING.c.folded, INDEXED_PREFIX),
    SEARCH_STRING.c.id,
)

SEARCH_DATE = build_child_table(
    "search_date", Column("low", instant(), nullable=False), Column("high", instant(), nullable=False)
)
Index(
    "search_date_value",
    SEARCH_DATE.c.type,
    SEARCH_DATE.c.parameter,
    SEARCH_DATE.c.low,
    SEARCH_DATE.c.high,
    SEARCH_DATE.c.id,
)

SEARCH_QUANTITY = build_child_table(
    "search_quantity",
    Column("system", key_text(), nullable=False),
    Column("code", key_text(), nullable=False),
    Column("low", Numeric, nullable=False),
    Column("high", Numeric, nullable=False),
)
Index(
    "search_quantity_value",
    SEARCH_QUANTITY.c.type,
    SEARCH_QUANTITY.c.parameter,
    SEARCH_QUANTITY.c.low,
    SEARCH_QUANTITY.c.high,
    SEARCH_QUANTITY.c.id,
)

SEARCH_COMPOSITE = build_child_table(
    "search_composite",
    Column("key_system", key_text(), nullable=False),
    Column("key_code", key_text(), nullable=False),
    Column("system", key_text()),
    Column("code", key_text()),
    Column("target", key_text()),
    Column("folded", key_text()),
    Column("low", Numeric),
    Column("high", Numeric),
    Column("since", instant()),
    Column("until", instant()),
)
Index(
    "search_composite_value",
    SEARCH_COMPOSITE.c.type,
    SEARCH_COMPOSITE.c.parameter,
    SEARCH_COMPOSITE.c.key_code,
    SEARCH_COMPOSITE.c.code,
    SEARCH_COMPOSITE.c.low,
    SEARCH_COMPOSITE.c.since,
    SEARCH_COMPOSITE.c.id,
)

CHILD_TABLES: dict[str, Table] = {
    "token": SEARCH_TOKEN,
    "reference": SEARCH_REFERENCE,
    "string": SEARCH_STRING,
    "date": SEARCH_DATE,
    "quantity": SEARCH_QUANTITY,
    "composite": SEARCH_COMPOSITE,
}
