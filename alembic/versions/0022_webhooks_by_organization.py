"""Webhooks by their organisation: the dispatcher looks at those of an event's audience alone

Revision ID: 0022_webhooks_by_organization
Revises: 0021_parts
"""

from alembic import op

revision = '0022_webhooks_by_organization'
down_revision = '0021_parts'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('webhook_by_organization', 'webhook', ['organization'])


def downgrade() -> None:
    op.drop_index('webhook_by_organization', table_name='webhook')
