"""Classic R4 criteria: which searches are followed, and how far each type has been looked at

Revision ID: 0017_followed
Revises: 0016_terms
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0017_followed'
down_revision = '0016_terms'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('followed',
    sa.Column('webhook_id', sa.Text(collation='C'), nullable=False),
    sa.Column('type', sa.Text(collation='C'), nullable=False),
    sa.Column('criteria', sa.Text(), nullable=False),
    sa.Column('since', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=False),
    sa.ForeignKeyConstraint(['webhook_id'], ['webhook.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('webhook_id'))
    op.create_table('follow_cursor',
    sa.Column('type', sa.Text(collation='C'), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.PrimaryKeyConstraint('type'))


def downgrade() -> None:
    # The program before this one knows no Subscription whose criteria are a search, nor what was told to it.
    op.execute("DELETE FROM webhook WHERE id IN (SELECT webhook_id FROM followed)")
    op.execute("DELETE FROM delivery d USING event e WHERE e.id = d.event_id AND e.topic = 'resource-version'")
    op.execute("DELETE FROM event WHERE topic = 'resource-version'")
    op.drop_table('follow_cursor')
    op.drop_table('followed')
