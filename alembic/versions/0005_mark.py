"""The polling low-water mark: what was published, and the two functions that keep stamps and marks apart

Revision ID: 0005_mark
Revises: 0004_patient
"""

from alembic import op

revision = '0005_mark'
down_revision = '0004_patient'
branch_labels = None
depends_on = None

# The order inside both functions is the proof of docs/decisions/0010-polling-low-water-mark.md. Sequences, because they
# are read and written outside of snapshots. The unlogged one costs no commit, and PostgreSQL sets it to 1 again after a
# crash or a failover: that is how its loss is noticed, and the reserved one, durable and never below it, stands in.

STAMP = """
CREATE FUNCTION stamp_version() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    published bigint;
BEGIN
    IF current_setting('application_name') NOT LIKE 'handoff-%' THEN
        RAISE EXCEPTION 'a writer must be named handoff-...: the polling mark waits for no other';
    END IF;
    PERFORM pg_current_xact_id();
    SELECT last_value INTO published FROM published_mark;
    IF published = 1 THEN
        SELECT last_value INTO published FROM reserved_mark;
    END IF;
    RETURN greatest(
        date_trunc('milliseconds', greatest(clock_timestamp(), now())),
        'epoch'::timestamptz + published * interval '1 millisecond'
    );
END
$$
"""

PUBLISH = """
CREATE FUNCTION publish_mark(OUT mark timestamptz, OUT writers text[], OUT oldest timestamptz)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    published bigint;
    reserved bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('publish_mark'));
    SELECT last_value INTO published FROM published_mark;
    SELECT last_value INTO reserved FROM reserved_mark;
    IF published = 1 THEN
        published := reserved;
    END IF;
    published := greatest(published, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) + 1;
    IF published > reserved THEN
        PERFORM setval('reserved_mark', published + 1000);
    END IF;
    PERFORM setval('published_mark', published);
    mark := 'epoch'::timestamptz + published * interval '1 millisecond';
    PERFORM pg_stat_clear_snapshot();
    SELECT coalesce(array_agg(a.backend_xid::text), '{}'),
           date_trunc('milliseconds', min(coalesce(a.xact_start, 'epoch'::timestamptz)))
    INTO writers, oldest
    FROM pg_stat_activity a
    WHERE a.backend_xid IS NOT NULL AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
      AND a.datname = current_database() AND a.application_name LIKE 'handoff-%';
END
$$
"""


def upgrade() -> None:
    op.execute("CREATE UNLOGGED SEQUENCE published_mark")
    op.execute("CREATE SEQUENCE reserved_mark")
    op.execute(STAMP)
    op.execute(PUBLISH)


def downgrade() -> None:
    op.execute("DROP FUNCTION publish_mark()")
    op.execute("DROP FUNCTION stamp_version()")
    op.execute("DROP SEQUENCE published_mark, reserved_mark")
