"""Fills the tables with a million Tasks in minutes: the rows of one period, built as the server would, grown in SQL.

What ``bench.load`` writes about Task ``n`` depends on ``n`` modulo PERIOD, but for the numbers in ids and identifiers,
and the time. So the rows of one period become templates with marks in place of these, and PostgreSQL fills them in.
"""

from datetime import timedelta
from functools import cache

from app.core.database import Connection
from bench.load import BEGINNING, TABLES, Row, build_rows

PERIOD = 9_120
"""The least common multiple of the periods of partners, statuses, names and dates in ``bench.load``."""

STEP = 10
"""Periods grown in one statement of each table."""

MARKS = {
    "«n8»": "lpad(g.n::text, 8, '0')",
    "«p8»": "lpad((g.n / 2)::text, 8, '0')",
    "«n»": "g.n::text",
    "«p»": "(g.n / 2)::text",
    "«at»": """to_char(g.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
}
"""What stands for a number or the time of Task ``n`` or its Patient, and the SQL that fills it in."""


def list_marks(n: int) -> list[tuple[str, str]]:
    """How the number and the time of Task ``n`` appear in its rows, and the mark in its place."""
    at = (BEGINNING + timedelta(seconds=n)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [
        (f"bench-task-{n}", "bench-task-«n»"),
        (f"bench-request-{n}", "bench-request-«n»"),
        (f"bench-patient-{n // 2}", "bench-patient-«p»"),
        (f"T{n:08}", "T«n8»"),
        (f"O{n:08}", "O«n8»"),
        (f"R{n // 2:08}", "R«p8»"),
        (at, "«at»"),
    ]


def mark_row(row: Row, marks: list[tuple[str, str]]) -> Row:
    """The row with marks in it."""
    marked = []
    for value in row:
        if isinstance(value, str):
            for text, mark in marks:
                value = value.replace(text, mark)
        marked.append(value)
    return tuple(marked)


@cache
def build_templates(numbers: range) -> dict[str, list[Row]]:
    """The marked rows of these Tasks for each table, the number of the Task before each."""
    templates: dict[str, list[Row]] = {table: [] for table in TABLES}
    for n in numbers:
        marks = list_marks(n)
        for table, row in build_rows(n):
            templates[table].append((n, *mark_row(row, marks)))
    return templates


async def load_templates(connection: Connection, numbers: range = range(PERIOD)) -> dict[str, str]:
    """Makes the templates of these Tasks; for each table the statement that grows it.

    Their parameters: the first and the last period, and the number of Tasks.
    """
    templates = build_templates(numbers)
    for table, columns in TABLES.items():
        await connection.execute(f"CREATE TEMP TABLE template_{table} (n bigint, LIKE {table} INCLUDING DEFAULTS)")
        names = ["n", *columns]
        await connection.copy_records_to_table(f"template_{table}", records=templates[table], columns=names)
    return {table: grow_statement(table, columns, templates[table]) for table, columns in TABLES.items()}


def grow_statement(table: str, columns: list[str], rows: list[Row]) -> str:
    """$1 the first period, $2 the last, $3 how many Tasks there will be."""
    values = [fill_column(name, [row[place] for row in rows]) for place, name in enumerate(columns, start=1)]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} "
        f"FROM generate_series($1::bigint, $2) AS k CROSS JOIN template_{table} t CROSS JOIN LATERAL "
        f"(SELECT t.n + k * {PERIOD} AS n, '{BEGINNING.isoformat()}'::timestamptz "
        f"+ (t.n + k * {PERIOD}) * interval '1 second' AS at) g WHERE g.n < $3"
    )


def fill_column(name: str, values: list[object]) -> str:
    """The SQL of one column; only the marks that occur in it are looked for."""
    if name == "last_updated":
        return "g.at"
    filled = f"t.{name}"
    for mark, expression in MARKS.items():
        if any(isinstance(value, str) and mark in value for value in values):
            filled = f"replace({filled}, '{mark}', {expression})"
    return filled


async def drop_indexes(connection: Connection) -> list[str]:
    """Drops the indexes that hold no key; the statements that make them again."""
    rows = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made FROM pg_index "
        "WHERE indrelid = ANY($1::regclass[]) AND NOT indisunique",
        list(TABLES),
    )
    for row in rows:
        await connection.execute(f"DROP INDEX {row['name']}")
    return [row["made"] for row in rows]


async def grow_tasks(connection: Connection, tasks: int) -> None:
    """Writes ``tasks`` Tasks and what belongs to them, as ``load_tasks`` does; indexes are made at the end."""
    await connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
    statements = await load_templates(connection)
    indexes = await drop_indexes(connection)
    last = (tasks - 1) // PERIOD
    for start in range(0, last + 1, STEP):
        for statement in statements.values():
            await connection.execute(statement, start, min(start + STEP - 1, last), tasks)
    for statement in indexes:
        await connection.execute(statement)
    await connection.execute("RESET synchronous_commit; RESET maintenance_work_mem")
