"""The SQL that writes and reads one resource, made once for each type from its table."""

from functools import cache

from app.core.caller import EVERYONE, Scope
from app.fhir.labels import LABELS
from app.fhir.registry import STORED, TYPES
from app.models.resources import REFERRAL_TYPES, column_names
from app.models.search_rows import CHILD_TABLES
from app.store.steps import Step

MEMBER = "~"
CLOCK = "stamp_version()"
"""The database's clock, never below a mark that a poller was given (0010-polling-low-water-mark.md)."""


def audience_parameter(scope: Scope) -> list[str]:
    """The value of the organisation filter's parameter: the first of the two layers (architecture.md, Rules).

    The members of a network stand in it under a mark that no organisation's id holds.
    """
    return [*scope.organizations, EVERYONE, *(f"{MEMBER}{each}" for each in scope.network)]


def shape(scope: Scope) -> Scope:
    """The scope without its organisations: all that the text of a statement depends on."""
    return Scope((), scope.everything, scope.whole_directory, (MEMBER,) if scope.network else ())


def sees_all(resource_type: str, scope: Scope) -> bool:
    """Whether a scope sees every resource of a type whole."""
    return scope.everything or (scope.whole_directory and TYPES[resource_type].directory)


def filter_visible(resource_type: str, scope: Scope, parameter: int, *, parts: bool = False) -> str:
    """The organisation filter as a condition on the row ``r``; with ``parts`` also what is seen in part."""
    if sees_all(resource_type, scope):
        return f"${parameter}::text[] IS NOT NULL"
    whole = admits_scope(resource_type, scope, f"${parameter}")
    if not (parts and TYPES[resource_type].view):
        return whole
    return f"({whole} OR (r.reduced IS NOT NULL AND r.reduced_for && ${parameter}))"


def admits(organizations: str) -> str:
    """Whether the audience of the row ``r`` holds one of these, an SQL expression of text[]."""
    return f"(r.owner_org = ANY({organizations}) OR r.shared_with && {organizations})"


def admits_scope(resource_type: str, scope: Scope, audience: str) -> str:
    """Whether the scope whose ``audience_parameter`` this is sees the row ``r`` whole."""
    own = admits(audience)
    if not (scope.network and is_of_network(resource_type)):
        return own
    # Asked once for a statement, whatever the number of rows.
    members = f"ARRAY(SELECT substr(each, 2) FROM unnest({audience}::text[]) each WHERE starts_with(each, '{MEMBER}'))"
    return f"({own} OR ({admits(members)} AND NOT {is_labelled(resource_type)}))"


def is_of_network(resource_type: str) -> bool:
    """Whether a coordinator sees its network's resources of a type.

    The directory shows everybody what it shows at all, and a Binary is as secret as what names it.
    """
    return resource_type in STORED and resource_type != "Binary" and not TYPES[resource_type].directory


def is_labelled(resource_type: str) -> str:
    """Whether the row ``r``, or what it was before it was deleted, is labelled: as ``app.fhir.labels`` tells it.

    What a resource contains bears no label (dom-5). A deleted one whose versions were not kept is taken for labelled.
    """
    before = (
        "CASE WHEN r.deleted THEN (SELECT h.content FROM resource_history h "
        f"WHERE h.type = '{resource_type}' AND h.id = r.id AND h.version = r.version - 1) ELSE r.content END"
    )
    labels = ", ".join(f"('{system}', '{code}')" for system, code in sorted(LABELS))
    # Not as jsonb, whose numbers end somewhere. CASE: what is not labelled is not parsed.
    return (
        "(SELECT was IS NULL OR EXISTS (SELECT 1 FROM json_array_elements("
        "CASE WHEN strpos(was, '\"security\"') > 0 THEN was::json #> '{meta,security}' END) label "
        f"WHERE (label ->> 'system', label ->> 'code') IN ({labels})) FROM (SELECT {before}) version(was))"
    )


@cache
def extra_columns(resource_type: str) -> tuple[str, ...]:
    """The columns that only types of the referral have."""
    names: tuple[str, ...] = ("referral",) if resource_type in REFERRAL_TYPES else ()
    return (*names, "requester_org", "assigned_org") if resource_type == "Task" else names


@cache
def search_columns(resource_type: str) -> tuple[str, ...]:
    """The search columns, in the order of IndexEntry.columns."""
    return tuple(name for parameter in TYPES[resource_type].search for name in column_names(parameter))


@cache
def child_kinds(resource_type: str) -> tuple[str, ...]:
    """The kinds of child rows that a type has, sorted as IndexEntry.rows is."""
    return tuple(sorted({each.row_kind for each in TYPES[resource_type].indexed if each.in_rows}))


def has_clock(resource_type: str) -> bool:
    """Whether the rows of a type have a moment at which they are overdue."""
    return resource_type == "Task"


WIDTH = 13
"""How many columns ``row_columns`` selects."""


@cache
def row_columns(resource_type: str, alias: str = "r") -> str:
    """The select list that ``read_row`` understands."""
    extra = extra_columns(resource_type)
    optional = [
        f"{alias}.{name}" if name in extra else f"NULL::text AS {name}"
        for name in ("referral", "requester_org", "assigned_org")
    ]
    return (
        f"'{resource_type}'::text AS type, {alias}.id, {alias}.version, {alias}.last_updated, {alias}.deleted, "
        f"{alias}.content, {alias}.owner_org, {alias}.shared_with, {', '.join(optional)}, "
        + (f"{alias}.reduced, {alias}.reduced_for" if TYPES[resource_type].view else "NULL::text, NULL::text[]")
    )


def shown_columns(resource_type: str, scope: Scope, parameter: int) -> str:
    """``row_columns`` of ``r``, with the part in the place of what the audience $parameter does not see whole."""
    columns = row_columns(resource_type)
    if sees_all(resource_type, scope) or not TYPES[resource_type].view:
        return columns
    whole = admits_scope(resource_type, scope, f"${parameter}")
    shown = f"CASE WHEN r.reduced IS NULL OR {whole} THEN r.content ELSE r.reduced END AS content"
    return columns.replace("r.content", shown, 1)


def version_columns(resource_type: str) -> str:
    """What ``row_columns`` selects, of the version ``h`` in the history of ``r``: it has today's audience."""
    return (
        f"'{resource_type}'::text, r.id, h.version, h.last_updated, h.deleted, h.content, r.owner_org, r.shared_with, "
        "NULL::text, NULL::text, NULL::text, NULL::text, NULL::text[]"
    )


def child_inserts(resource_type: str, first_parameter: int) -> str:
    """CTEs that insert the child rows, one array parameter for each column of each kind."""
    parts, n = [], first_parameter
    for kind in child_kinds(resource_type):
        table = CHILD_TABLES[kind]
        columns = [column.name for column in table.columns][2:]
        arrays = ", ".join(f"${n + i}::{array_type(kind, name)}" for i, name in enumerate(columns))
        parts.append(
            f", new_{kind}@ AS (INSERT INTO {table.name} (type, id, {', '.join(columns)}) "
            f"SELECT '{resource_type}', $1, * FROM unnest({arrays}))"
        )
        n += len(columns)
    return "".join(parts)


def array_type(kind: str, column: str) -> str:
    if column in ("since", "until"):
        return "timestamptz[]"
    if column in ("low", "high"):
        return "timestamptz[]" if kind == "date" else "numeric[]"
    return "text[]"


def count_child_columns(resource_type: str) -> int:
    """How many arrays ``child_inserts`` takes."""
    return sum(len(CHILD_TABLES[kind].columns) - 2 for kind in child_kinds(resource_type))


def child_deletes(resource_type: str) -> str:
    """CTEs that delete the child rows of $1."""
    return "".join(
        f", old_{kind}@ AS (DELETE FROM {CHILD_TABLES[kind].name} WHERE type = '{resource_type}' AND id = $1)"
        for kind in child_kinds(resource_type)
    )


@cache
def insert_step(resource_type: str) -> Step:
    """$1 id, $2 last_updated, $3 content, $4 owner_org, $5 shared_with, extra and search columns, clock, children."""
    names = ["owner_org", "shared_with", *extra_columns(resource_type), *search_columns(resource_type)]
    names += ["due_at"] if has_clock(resource_type) else []
    after = 4 + len(names)
    ctes = (
        f"written@ AS (INSERT INTO {TYPES[resource_type].table} (id, version, last_updated, content, "
        f"{', '.join(names)}) VALUES ($1, 1, $2, $3, {', '.join(f'${n}' for n in range(4, after))}))"
        f"{child_inserts(resource_type, after)}"
    )
    return Step(ctes, after - 1 + count_child_columns(resource_type))


def clear_part(resource_type: str) -> str:
    """What a new version shows in part is settled anew: forgotten, it shows nothing."""
    return ", reduced = NULL" if TYPES[resource_type].view else ""


@cache
def update_step(resource_type: str, *, children: bool) -> Step:
    """$1 id, $2 the version replaced, $3 last_updated, $4 content, extra and search columns, clock, child arrays.

    The clock is a moment, and a time by which to move the moment that there was instead. It tells of the row where
    that version was current.
    """
    table = TYPES[resource_type].table
    names = [*extra_columns(resource_type), *search_columns(resource_type)]
    sets = "".join(f", {name} = ${n}" for n, name in enumerate(names, start=5)) + clear_part(resource_type)
    after = 5 + len(names)
    if has_clock(resource_type):
        shift = f"${after + 1}::interval"
        sets += f", due_at = CASE WHEN {shift} IS NULL THEN ${after}::timestamptz ELSE r.due_at + {shift} END"
        after += 2
    rows = child_deletes(resource_type) + child_inserts(resource_type, after) if children else ""
    ctes = (
        f"before@ AS (SELECT * FROM {table} WHERE id = $1 AND version = $2 FOR UPDATE), "
        "superseded@ AS (INSERT INTO resource_history (type, id, version, last_updated, deleted, content) "
        f"SELECT '{resource_type}', id, version, last_updated, deleted, content FROM before@), "
        f"written@ AS (UPDATE {table} r SET version = b.version + 1, last_updated = $3, deleted = false, "
        f"content = $4{sets} FROM before@ b WHERE r.id = $1 RETURNING r.id, r.version){rows}"
    )
    width = after - 1 + (count_child_columns(resource_type) if children else 0)
    return Step(ctes, width, f"SELECT '{resource_type}'::text, id, version FROM written@")


@cache
def delete_statement(resource_type: str) -> str:
    """$1 id, $2 version replaced: leaves a tombstone that keeps its audience and answers no search."""
    table = TYPES[resource_type].table
    cleared = [*search_columns(resource_type), *(["due_at"] if has_clock(resource_type) else [])]
    sets = "".join(f", {name} = NULL" for name in cleared) + clear_part(resource_type)
    return (
        f"WITH before AS (SELECT * FROM {table} WHERE id = $1 AND version = $2 FOR UPDATE), "
        "stamp AS MATERIALIZED (SELECT version + 1 AS next, "
        f"greatest({CLOCK}, last_updated + interval '1 millisecond') AS at FROM before), "
        "superseded AS (INSERT INTO resource_history (type, id, version, last_updated, deleted, content) "
        f"SELECT '{resource_type}', id, version, last_updated, deleted, content FROM before), "
        f"written AS (UPDATE {table} r SET version = next, last_updated = at, "
        f"deleted = true, content = ''{sets} FROM stamp WHERE r.id = $1 RETURNING {row_columns(resource_type)})"
        f"{child_deletes(resource_type).replace('@', '')} SELECT * FROM written"
    )


@cache
def read_statement(resource_type: str, scope: Scope) -> str:
    """$1 id, $2 audience."""
    table = TYPES[resource_type].table
    visible = filter_visible(resource_type, scope, 2, parts=True)
    return f"SELECT {shown_columns(resource_type, scope, 2)} FROM {table} r WHERE r.id = $1 AND {visible}"


@cache
def vread_statement(resource_type: str, scope: Scope) -> str:
    """$1 id, $2 audience, $3 version: the current row if it is that version, else the one in the history."""
    table = TYPES[resource_type].table
    visible = filter_visible(resource_type, scope, 2)
    return (
        f"SELECT {row_columns(resource_type)} FROM {table} r WHERE r.id = $1 AND {visible} AND r.version = $3 "
        f"UNION ALL SELECT {version_columns(resource_type)} FROM {table} r JOIN resource_history h "
        f"ON h.type = '{resource_type}' AND h.id = r.id WHERE r.id = $1 AND {visible} AND h.version = $3"
    )


@cache
def versions_statement(resource_type: str, scope: Scope) -> str:
    """$1 audience, $2 ids, $3 their versions: what ``vread_statement`` gives of each."""
    table = TYPES[resource_type].table
    visible = filter_visible(resource_type, scope, 1)
    wanted = f"{table} r JOIN unnest($2::text[], $3::bigint[]) w(id, version) ON w.id = r.id"
    return (
        f"SELECT {row_columns(resource_type)} FROM {wanted} AND w.version = r.version WHERE {visible} "
        f"UNION ALL SELECT {version_columns(resource_type)} FROM {wanted} JOIN resource_history h "
        f"ON h.type = '{resource_type}' AND h.id = r.id AND h.version = w.version WHERE {visible}"
    )
