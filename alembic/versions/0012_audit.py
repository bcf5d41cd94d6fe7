"""The audit trail: a table partitioned by month, and the function that makes the months ahead

Revision ID: 0012_audit
Revises: 0011_overdue
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0012_audit'
down_revision = '0011_overdue'
branch_labels = None
depends_on = None

# As its owner, so that the application's role, which owns nothing, can ask for it: it takes no argument and only adds.
# Rows of a month that came before its partition stand in the default one, and are moved.
MAKE_MONTHS = """
CREATE FUNCTION make_audit_months() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit_month'));
    FOR month IN SELECT generate_series(date_trunc('month', now()), now() + interval '2 months', interval '1 month')
    LOOP
        name := to_char(month, '"m"YYYY_MM');
        CONTINUE WHEN to_regclass('audit_month.' || name) IS NOT NULL;
        -- Or a row could come in between what is moved and what is attached.
        LOCK TABLE audit_month.other IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('CREATE TABLE audit_month.%I (LIKE public.audit INCLUDING ALL)', name);
        EXECUTE format('WITH moved AS (DELETE FROM audit_month.other WHERE recorded >= %L AND recorded < %L '
            'RETURNING *) INSERT INTO audit_month.%I SELECT * FROM moved', month, month + interval '1 month', name);
        EXECUTE format('ALTER TABLE public.audit ATTACH PARTITION audit_month.%I FOR VALUES FROM (%L) TO (%L)',
            name, month, month + interval '1 month');
    END LOOP;
END
$$
"""


def upgrade() -> None:
    op.execute("CREATE SCHEMA audit_month")
    op.create_table('audit',
    sa.Column('recorded', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=False),
    sa.Column('id', postgresql.UUID(), nullable=False),
    sa.Column('client', sa.Text(collation='C'), nullable=True),
    sa.Column('organization', sa.Text(collation='C'), nullable=True),
    sa.Column('role', sa.Text(collation='C'), nullable=True),
    sa.Column('remote', sa.Text(collation='C'), nullable=True),
    sa.Column('interaction', sa.Text(collation='C'), nullable=False),
    sa.Column('type', sa.Text(collation='C'), nullable=True),
    sa.Column('resource_id', sa.Text(collation='C'), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=True),
    sa.Column('query', sa.Text(collation='C'), nullable=True),
    sa.Column('status', sa.SmallInteger(), nullable=False),
    sa.Column('reason', sa.Text(collation='C'), nullable=True),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('given', postgresql.ARRAY(sa.Text(collation='C')), server_default=sa.text("'{}'"), nullable=False),
    sa.PrimaryKeyConstraint('recorded', 'id'),
    postgresql_partition_by='RANGE (recorded)')
    op.execute("CREATE TABLE audit_month.other PARTITION OF audit DEFAULT")
    op.execute(MAKE_MONTHS)
    op.execute("REVOKE ALL ON FUNCTION make_audit_months() FROM PUBLIC")
    op.execute("SELECT make_audit_months()")


def downgrade() -> None:
    op.drop_table('audit')
    op.execute("DROP FUNCTION make_audit_months()")
    op.execute("DROP SCHEMA audit_month")
