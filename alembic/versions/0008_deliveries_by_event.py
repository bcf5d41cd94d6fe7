"""Deliveries are found by their event, so that old events can be deleted

Revision ID: 0008_by_event
Revises: 0007_subscriptions
"""

from alembic import op

revision = '0008_by_event'
down_revision = '0007_subscriptions'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('delivery_by_event', 'delivery', ['event_id'])


def downgrade() -> None:
    op.drop_index('delivery_by_event', table_name='delivery')
