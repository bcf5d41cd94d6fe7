"""Compact webhooks that asked for the words of a statusReason

Revision ID: 0024_reason_text
Revises: 0023_break_glass
"""

import sqlalchemy as sa
from alembic import op

revision = '0024_reason_text'
down_revision = '0023_break_glass'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('webhook', sa.Column('reason_text', sa.Boolean(), server_default='false', nullable=False))


def downgrade() -> None:
    op.drop_column('webhook', 'reason_text')
