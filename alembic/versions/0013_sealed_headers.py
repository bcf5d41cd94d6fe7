"""Subscription headers are sealed; what lay open is taken away, and its Subscription waits for it to be sent again

Revision ID: 0013_sealed_headers
Revises: 0012_audit
"""

import json

import sqlalchemy as sa
from alembic import op

revision = '0013_sealed_headers'
down_revision = '0012_audit'
branch_labels = None
depends_on = None

ASK = 'its headers were taken away when they began to be sealed: send them again'


def upgrade() -> None:
    # The server's key is not at hand here. Nothing open may stay, in the history neither.
    bind = op.get_bind()
    for webhook_id, lines in bind.execute(sa.text("SELECT id, headers FROM webhook WHERE headers <> '{}'")).all():
        for line in lines:
            hidden = f"{line.partition(':')[0]}: ***"
            for table, where in (('subscription', 'id = :id'), ('resource_history', "type = 'Subscription' AND id = :id")):
                bind.execute(
                    sa.text(f"UPDATE {table} SET content = replace(content, :line, :hidden) WHERE {where}"),
                    {'id': webhook_id, 'line': json.dumps(line), 'hidden': json.dumps(hidden)},
                )
        bind.execute(
            sa.text("UPDATE webhook SET status = 'error', error = :error WHERE id = :id AND status <> 'off'"),
            {'id': webhook_id, 'error': ASK},
        )
    op.drop_column('webhook', 'headers')
    op.add_column('webhook', sa.Column('headers', sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.execute(f"UPDATE webhook SET status = 'error', error = '{ASK}' WHERE headers IS NOT NULL AND status <> 'off'")
    op.drop_column('webhook', 'headers')
    op.add_column('webhook', sa.Column('headers', sa.ARRAY(sa.Text()), server_default='{}', nullable=False))
