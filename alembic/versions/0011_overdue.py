"""The clock of a Task: when it is overdue, and that it was told

Revision ID: 0011_overdue
Revises: 0010_binary
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0011_overdue'
down_revision = '0010_binary'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The Tasks that there are have no clock yet: -infinity, which costs no rewrite, asks the worker to set it.
    op.add_column('task', sa.Column('due_at', postgresql.TIMESTAMP(timezone=True, precision=3), server_default='-infinity', nullable=True))
    op.alter_column('task', 'due_at', server_default=None)
    op.create_index('task_due', 'task', ['due_at'], postgresql_where=sa.text('due_at IS NOT NULL'))
    op.create_table('overdue',
    sa.Column('task_id', sa.Text(collation='C'), nullable=False),
    sa.Column('deadline', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=False),
    sa.Column('told_at', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=False),
    sa.PrimaryKeyConstraint('task_id', 'deadline'))


def downgrade() -> None:
    # Deliveries of this event are nothing that the program before this one could make a message of.
    op.execute("DELETE FROM delivery d USING event e WHERE e.id = d.event_id AND e.topic = 'referral-overdue'")
    op.execute("DELETE FROM event WHERE topic = 'referral-overdue'")
    op.drop_table('overdue')
    op.drop_index('task_due', table_name='task')
    op.drop_column('task', 'due_at')
