"""The reason for which an access broke the glass, in the audit trail

Revision ID: 0023_break_glass
Revises: 0022_webhooks_by_organization
"""

import sqlalchemy as sa
from alembic import op

revision = '0023_break_glass'
down_revision = '0022_webhooks_by_organization'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('audit', sa.Column('purpose', sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column('audit', 'purpose')
