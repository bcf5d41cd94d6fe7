"""Delivery: the circuit breaker and the rate of each webhook; room for a row's next version on its page

Revision ID: 0019_pacing
Revises: 0018_webhook_client
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0019_pacing'
down_revision = '0018_webhook_client'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('webhook', sa.Column('failures', sa.Integer(), server_default='0', nullable=False))
    op.add_column('webhook', sa.Column('resting_until', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=True))
    op.add_column('webhook', sa.Column('rate', sa.Double(), nullable=True))
    op.add_column('webhook', sa.Column('paced_until', postgresql.TIMESTAMP(timezone=True), nullable=True))
    # A claim changes no column that has an index: with room on the page the indexes need not hear of it.
    op.execute('ALTER TABLE delivery SET (fillfactor = 60)')
    op.execute('ALTER TABLE attempt SET (fillfactor = 60)')


def downgrade() -> None:
    op.execute('ALTER TABLE attempt RESET (fillfactor)')
    op.execute('ALTER TABLE delivery RESET (fillfactor)')
    for name in ('paced_until', 'rate', 'resting_until', 'failures'):
        op.drop_column('webhook', name)
