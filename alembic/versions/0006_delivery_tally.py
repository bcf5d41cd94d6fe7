"""What the metrics are read from: a tally of deliveries and attempts, an index of dead letters

Revision ID: 0006_tally
Revises: 0005_mark
"""

import sqlalchemy as sa
from alembic import op

revision = '0006_tally'
down_revision = '0005_mark'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'delivery_tally',
        sa.Column('webhook_id', sa.Text(collation='C'), nullable=False),
        sa.Column('outcome', sa.Text(collation='C'), nullable=False),
        sa.Column('slot', sa.SmallInteger(), nullable=False),
        sa.Column('most_seconds', sa.Double(), nullable=False),
        sa.Column('number', sa.BigInteger(), nullable=False),
        sa.Column('seconds', sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(['webhook_id'], ['webhook.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('webhook_id', 'outcome', 'most_seconds', 'slot'),
    )
    op.create_index(
        'delivery_dead', 'delivery', ['webhook_id', 'id'], postgresql_where=sa.text("state = 'dead'")
    )


def downgrade() -> None:
    op.drop_index('delivery_dead', table_name='delivery')
    op.drop_table('delivery_tally')
