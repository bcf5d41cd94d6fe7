"""Binary: its rows, the size of each version's content, and the content in pieces

Revision ID: 0010_binary
Revises: 0009_composite
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0010_binary'
down_revision = '0009_composite'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('binary_resource',
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=False),
    sa.Column('deleted', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('owner_org', sa.Text(collation='C'), nullable=False),
    sa.Column('shared_with', postgresql.ARRAY(sa.Text(collation='C')), server_default=sa.text("'{}'"), nullable=False),
    sa.PrimaryKeyConstraint('id'))
    op.create_index('binary_resource_last_updated', 'binary_resource', ['last_updated', 'id'], unique=False)
    op.create_table('binary_content',
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('security_context', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('id', 'version'))
    op.create_index('binary_content_context', 'binary_content', ['security_context'], unique=False)
    op.create_table('binary_chunk',
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('id', 'version', 'position'))
    # Scans and pictures are compressed already: trying again costs time and gains nothing.
    op.execute('ALTER TABLE binary_chunk ALTER COLUMN data SET STORAGE EXTERNAL')


def downgrade() -> None:
    op.execute("DELETE FROM package_member WHERE type = 'Binary'")
    op.execute("DELETE FROM resource_history WHERE type = 'Binary'")
    op.drop_table('binary_chunk')
    op.drop_table('binary_content')
    op.drop_table('binary_resource')
