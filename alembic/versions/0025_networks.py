"""Coordinators' networks: who is in which, what their webhooks hear, and for whom a coordinator wrote

Revision ID: 0025_networks
Revises: 0024_reason_text
"""

import sqlalchemy as sa
from alembic import op

from app.models.resources import instant, key_text

revision = '0025_networks'
down_revision = '0024_reason_text'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'network_member',
        sa.Column('coordinator', key_text(), nullable=False),
        sa.Column('member', key_text(), nullable=False),
        sa.Column('acts', sa.Boolean(), nullable=False),
        sa.Column('since', instant(), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.PrimaryKeyConstraint('coordinator', 'member'),
    )
    op.create_index('network_by_member', 'network_member', ['member'])
    op.add_column('webhook', sa.Column('network', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('audit', sa.Column('acting_for', key_text(), nullable=True))


def downgrade() -> None:
    op.drop_column('audit', 'acting_for')
    op.drop_column('webhook', 'network')
    op.drop_index('network_by_member', table_name='network_member')
    op.drop_table('network_member')
