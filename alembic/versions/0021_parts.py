"""The part of a directory entry or of a Task in the pool that others see, and who does

Revision ID: 0021_parts
Revises: 0020_callers
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0021_parts'
down_revision = '0020_callers'
branch_labels = None
depends_on = None

TABLES = ('task', 'organization', 'healthcare_service', 'location')

SHELTERS = """
    SELECT h.id, h.owner_org FROM healthcare_service h WHERE EXISTS (SELECT 1 FROM search_token c
        WHERE c.type = 'HealthcareService' AND c.id = h.id AND c.parameter IN ('service-category', 'service-type')
        AND ((c.system = 'http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes'
              AND c.code IN ('intimate-partner-violence', 'elder-abuse'))
          OR (c.system = 'http://terminology.hl7.org/CodeSystem/service-type'
              AND c.code IN ('46', '72', '80', '126', '233', '310', '426', '439', '467', '485', '543'))))
"""


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column('reduced', sa.Text(), nullable=True))
        op.add_column(
            table,
            sa.Column('reduced_for', postgresql.ARRAY(sa.Text(collation='C')), server_default=sa.text("'{}'"), nullable=False),
        )
    op.create_index('task_pool', 'task', ['id'], unique=False, postgresql_where=sa.text('reduced IS NOT NULL'))
    op.create_index('healthcare_service_by_organization', 'healthcare_service', ['s_organization', 'last_updated', 'id'])
    op.create_index('practitioner_role_by_practitioner', 'practitioner_role', ['s_practitioner', 'last_updated', 'id'])
    # What belongs to a shelter is closed at once; its part shows when the service is written next.
    op.execute(f"""
        WITH shelter AS ({SHELTERS}),
        place AS (SELECT p.id FROM location p JOIN search_reference c ON c.type = 'HealthcareService'
            AND c.parameter = 'location' AND c.target = 'Location/' || p.id JOIN shelter s ON s.id = c.id
            AND s.owner_org = p.owner_org),
        role AS (SELECT r.id, r.owner_org, r.s_practitioner FROM practitioner_role r JOIN search_reference c
            ON c.type = 'PractitionerRole' AND c.parameter = 'service' AND c.id = r.id
            JOIN shelter s ON c.target = 'HealthcareService/' || s.id AND s.owner_org = r.owner_org),
        a AS (UPDATE healthcare_service SET shared_with = '{{}}' WHERE id IN (SELECT id FROM shelter)),
        b AS (UPDATE location SET shared_with = '{{}}' WHERE id IN (SELECT id FROM place)),
        c AS (UPDATE practitioner_role SET shared_with = '{{}}' WHERE id IN (SELECT id FROM role)),
        d AS (UPDATE organization o SET shared_with = '{{}}' FROM healthcare_service h WHERE h.id IN (SELECT id FROM shelter)
            AND h.s_organization = 'Organization/' || o.id AND h.owner_org = o.owner_org)
        UPDATE practitioner p SET shared_with = '{{}}' FROM role WHERE role.s_practitioner = 'Practitioner/' || p.id
            AND role.owner_org = p.owner_org
    """)


def downgrade() -> None:
    op.drop_index('practitioner_role_by_practitioner', table_name='practitioner_role')
    op.drop_index('healthcare_service_by_organization', table_name='healthcare_service')
    op.drop_index('task_pool', table_name='task')
    for table in TABLES:
        op.drop_column(table, 'reduced_for')
        op.drop_column(table, 'reduced')
