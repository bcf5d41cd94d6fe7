"""The media type of a Subscription's notifications

Revision ID: 0015_payload
Revises: 0014_ground
"""

import sqlalchemy as sa
from alembic import op

revision = '0015_payload'
down_revision = '0014_ground'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('webhook', sa.Column('payload', sa.Text(collation='C'), nullable=True))


def downgrade() -> None:
    # The program before this one would post to an address that is mail's.
    op.execute("DELETE FROM webhook WHERE url LIKE 'mailto:%'")
    op.drop_column('webhook', 'payload')
