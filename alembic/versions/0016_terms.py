"""Subscriptions: heartbeat, timeout, end, and handshakes that are tried again

Revision ID: 0016_terms
Revises: 0015_payload
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0016_terms'
down_revision = '0015_payload'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('webhook', sa.Column('handshakes', sa.SmallInteger(), server_default='0', nullable=False))
    op.add_column('webhook', sa.Column('heartbeat_period', sa.Integer(), nullable=True))
    op.add_column('webhook', sa.Column('heartbeat_due', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=True))
    op.add_column('webhook', sa.Column('timeout', sa.Integer(), nullable=True))
    op.add_column('webhook', sa.Column('ends_at', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=True))


def downgrade() -> None:
    for name in ('ends_at', 'timeout', 'heartbeat_due', 'heartbeat_period', 'handshakes'):
        op.drop_column('webhook', name)
