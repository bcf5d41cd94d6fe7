"""Replay, pause, rotation of secrets

Revision ID: 0002_delivery
Revises: 0002_types
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0002_delivery'
down_revision = '0002_types'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('delivery', sa.Column('forgiven', sa.Integer(), server_default='0', nullable=False))
    op.add_column('webhook', sa.Column('previous_secret', sa.LargeBinary(), nullable=True))
    op.add_column('webhook', sa.Column('previous_until', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=True))
    op.add_column('webhook', sa.Column('shown_status', sa.Text(collation='C'), server_default='active', nullable=False))


def downgrade() -> None:
    op.drop_column('webhook', 'shown_status')
    op.drop_column('webhook', 'previous_until')
    op.drop_column('webhook', 'previous_secret')
    op.drop_column('delivery', 'forgiven')
