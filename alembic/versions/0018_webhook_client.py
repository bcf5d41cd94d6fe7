"""A Subscription knows the client that wrote it, so that it pauses while that client is disabled

Revision ID: 0018_webhook_client
Revises: 0017_followed
"""

import sqlalchemy as sa
from alembic import op

revision = '0018_webhook_client'
down_revision = '0017_followed'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('webhook', sa.Column('client_id', sa.Text(collation='C'), nullable=True))


def downgrade() -> None:
    op.drop_column('webhook', 'client_id')
