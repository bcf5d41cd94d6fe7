"""What each open package rests on: the patient whose Consents are weighed, and when they are weighed again

Revision ID: 0014_ground
Revises: 0013_sealed_headers
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0014_ground'
down_revision = '0013_sealed_headers'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('package_ground',
    sa.Column('task_id', sa.Text(collation='C'), nullable=False),
    sa.Column('organization', sa.Text(collation='C'), nullable=False),
    sa.Column('patient', sa.Text(collation='C'), nullable=False),
    sa.Column('consented', sa.Boolean(), nullable=False),
    sa.Column('due_at', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=True),
    sa.Column('closes_at', postgresql.TIMESTAMP(timezone=True, precision=3), nullable=True),
    sa.PrimaryKeyConstraint('task_id', 'organization', 'patient'))
    op.create_index('package_ground_due', 'package_ground', ['due_at'], unique=False, postgresql_where=sa.text('due_at IS NOT NULL'))
    op.create_index('package_ground_patient', 'package_ground', ['patient'], unique=False)
    # Where there are Consents, a package that is open is weighed at once; what has ended has its time from now on.
    op.execute("""
        INSERT INTO package_ground (task_id, organization, patient, consented, due_at, closes_at)
        SELECT id, assigned_org, patient, false, CASE WHEN weighed THEN now() ELSE closes_at END, closes_at
        FROM (SELECT t.id, t.assigned_org,
                     CASE WHEN t.s_patient LIKE 'Patient/%' THEN substr(t.s_patient, 9) ELSE '' END AS patient,
                     EXISTS (SELECT 1 FROM consent c WHERE c.s_patient = t.s_patient AND NOT c.deleted) AS weighed,
                     CASE WHEN t.s_status IN ('completed', 'failed') THEN now() + interval '90 days' END AS closes_at
              FROM task t WHERE t.assigned_org <> t.owner_org AND NOT t.deleted
                AND EXISTS (SELECT 1 FROM package_member m WHERE m.task_id = t.id AND m.organization = t.assigned_org)
                AND t.s_status NOT IN ('draft', 'rejected', 'cancelled', 'entered-in-error')) AS open
    """)


def downgrade() -> None:
    op.drop_table('package_ground')
