"""Subscriptions over REST: payload content, filters, headers and the handshake

Revision ID: 0007_subscriptions
Revises: 0006_tally
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0007_subscriptions'
down_revision = '0006_tally'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('event', sa.Column('keys', postgresql.ARRAY(sa.Text(collation='C')), server_default='{}', nullable=False))
    op.add_column('webhook', sa.Column('content', sa.Text(collation='C'), nullable=True))
    op.add_column('webhook', sa.Column('filters', postgresql.JSONB(), server_default='[]', nullable=False))
    op.add_column('webhook', sa.Column('headers', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False))
    op.add_column('webhook', sa.Column('handshake', sa.Text(collation='C'), nullable=True))
    op.add_column('webhook', sa.Column('handshake_until', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=True))
    op.alter_column('webhook', 'secret', nullable=True)


def downgrade() -> None:
    # The program before this one sends compact webhooks alone, and knows no endpoint without a secret.
    op.execute("DELETE FROM webhook WHERE content IS NOT NULL OR secret IS NULL")
    op.alter_column('webhook', 'secret', nullable=False)
    for name in ('handshake_until', 'handshake', 'headers', 'filters', 'content'):
        op.drop_column('webhook', name)
    op.drop_column('event', 'keys')
