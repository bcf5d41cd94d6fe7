"""Composite search parameters: one table of their rows

Revision ID: 0009_composite
Revises: 0008_by_event
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0009_composite'
down_revision = '0008_by_event'
branch_labels = None
depends_on = None


def upgrade() -> None:
    text, instant = sa.Text(collation='C'), postgresql.TIMESTAMP(timezone=True, precision=3)
    op.create_table('search_composite',
    sa.Column('type', text, nullable=False),
    sa.Column('id', text, nullable=False),
    sa.Column('parameter', text, nullable=False),
    sa.Column('key_system', text, nullable=False),
    sa.Column('key_code', text, nullable=False),
    sa.Column('system', text, nullable=True),
    sa.Column('code', text, nullable=True),
    sa.Column('target', text, nullable=True),
    sa.Column('folded', text, nullable=True),
    sa.Column('low', sa.Numeric(), nullable=True),
    sa.Column('high', sa.Numeric(), nullable=True),
    sa.Column('since', instant, nullable=True),
    sa.Column('until', instant, nullable=True)
    )
    op.create_index('search_composite_resource', 'search_composite', ['type', 'id'], unique=False)
    op.create_index('search_composite_value', 'search_composite', ['type', 'parameter', 'key_code', 'code', 'low', 'since', 'id'], unique=False)


def downgrade() -> None:
    op.drop_table('search_composite')
