"""Clients: keys at a URL, a rate of their own, when they last got a token; people's sessions

Revision ID: 0020_callers
Revises: 0019_pacing
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0020_callers'
down_revision = '0019_pacing'
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True, precision=3)


def upgrade() -> None:
    op.add_column('client', sa.Column('jwks_url', sa.Text(), nullable=True))
    op.add_column('client', sa.Column('rate', sa.Double(), nullable=True))
    op.add_column('client', sa.Column('last_token_at', INSTANT, nullable=True))
    op.create_table(
        'signed_in',
        sa.Column('id', sa.LargeBinary(), nullable=False),
        sa.Column('issuer', sa.Text(collation='C'), nullable=False),
        sa.Column('subject', sa.Text(collation='C'), nullable=False),
        sa.Column('claim', sa.Text(collation='C'), nullable=False),
        sa.Column('name', sa.Text(), nullable=False),
        sa.Column('created_at', INSTANT, server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('expires_at', INSTANT, nullable=False),
        sa.PrimaryKeyConstraint('id', name='signed_in_pkey'),
    )
    op.create_index('signed_in_expiry', 'signed_in', ['expires_at'])


def downgrade() -> None:
    op.drop_table('signed_in')
    for name in ('last_token_at', 'rate', 'jwks_url'):
        op.drop_column('client', name)
