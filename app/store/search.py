"""Runs a search plan within a scope: one page of matches, and what they include."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from app.core.caller import Scope
from app.core.database import Connection
from app.core.errors import TooCostly
from app.fhir.registry import TYPES
from app.models.resources import column_names
from app.search.plan import Cursor, Include, SearchPlan
from app.search.sorting import write_order
from app.store.audience import sees_whole
from app.store.criteria import Binder, render_criterion, select_children
from app.store.looks import list_looks, render_looks, render_unless_chosen, render_walked
from app.store.order import render_beyond, render_keys, walk_texts
from app.store.read import load_resources, read_row
from app.store.rows import Key, Stored
from app.store.statements import WIDTH, audience_parameter, filter_visible, shown_columns


@dataclass(frozen=True, slots=True)
class Page:
    """One page: ``following`` is the cursor of the next, None at the end; a poll's rows are all below ``mark``."""

    matches: list[Stored]
    included: list[Stored]
    following: Cursor | None
    mark: datetime | None = None
    total: int | None = None


def render_conditions(plan: SearchPlan, scope: Scope, mark: datetime | None, binder: Binder) -> list[str]:
    """What every match meets beside the criteria, on whatever page: first of all that the scope sees it.

    What it sees in part is no match where the search asks for more than the part: the answer would tell the rest.
    """
    parts = all(map(TYPES[plan.type].shows, plan.parameters))
    conditions = ["NOT r.deleted", filter_visible(plan.type, scope, 1, parts=parts)]
    if mark:
        conditions.append(f"r.last_updated < {binder.add(mark, 'timestamptz')}")
    return conditions


KEPT = 1_000
"""How many rendered searches are kept, and how many letters a query may have to be among them."""


def render_search(plan: SearchPlan, scope: Scope, mark: datetime | None = None) -> tuple[str, tuple[object, ...]]:
    """The statement and its parameters; the same shape of query gives the same, prepared, text.

    After the columns of ``row_columns`` come the values of the order's parameters, then the included references.
    Who polls asks the same again and again: the last ones are kept, but for what comes once (a later page, a mark),
    and what is long, for a form may hold a megabyte.
    """
    once = mark is not None or plan.cursor is not None
    if once or sum(len(value) for _, value in plan.self_query) > KEPT:
        return render(plan, scope, mark)
    return render_kept(plan, scope)


@lru_cache(maxsize=KEPT)
def render_kept(plan: SearchPlan, scope: Scope) -> tuple[str, tuple[object, ...]]:
    return render(plan, scope, None)


def render(plan: SearchPlan, scope: Scope, mark: datetime | None) -> tuple[str, tuple[object, ...]]:
    binder = Binder([audience_parameter(scope)])
    conditions = render_conditions(plan, scope, mark, binder)
    keys = render_keys(plan.type, plan.sort)
    if plan.cursor:
        conditions.append(render_beyond(keys, plan.cursor.values, binder))
    columns = [
        shown_columns(plan.type, scope, 1),
        *(f"{each.expression} AS {each.name}" for each in keys if each.key.parameter),
    ]
    single = [each.parameter for each in plan.includes if not each.parameter.in_rows]
    columns += [f"r.{column_names(each)[0]} AS include{n}" for n, each in enumerate(single)]
    within = plan.sort[0].within
    table = walk_texts(plan.type, within, binder) if within else f"{TYPES[plan.type].table} r"
    source = f"FROM {table}{''.join(each.join for each in keys)}"
    limit = f"LIMIT {binder.add(plan.count + 1, 'bigint')}"
    page = f"ORDER BY {', '.join(f'{each.expression} {each.direction}' for each in keys)} {limit}"

    def select(criteria: list[str]) -> str:
        return f"SELECT {', '.join(columns)} {source} WHERE {' AND '.join([*conditions, *criteria])}"

    looks = list_looks(plan, binder)
    if not looks:
        rest = [each for each in plan.criteria if each is not within]
        return f"{select([render_criterion(each, plan.type, binder) for each in rest])} {page}", tuple(binder.values)
    few = select(["r.id = ANY((SELECT ids FROM chosen)::text[])", *render_unless_chosen(plan, looks, binder)])
    many = select(["(SELECT look FROM chosen) IS NULL", *render_walked(plan, looks, binder)])
    order = ", ".join(f"{each.name} {each.direction}" for each in keys)
    found = f"({few}) UNION ALL ({many} {page})"
    return f"{render_looks(looks)} SELECT * FROM ({found}) found ORDER BY {order} {limit}", tuple(binder.values)


def read_cursor(plan: SearchPlan, row: Any, mark: datetime | None) -> Cursor:
    """Where the page after this row begins."""
    selected = iter(tuple(row)[WIDTH:])
    own = {"_id": row["id"], "_lastUpdated": row["last_updated"]}
    values = [next(selected) if each.parameter else own[each.code] for each in plan.sort]
    return Cursor(write_order(plan.sort), tuple(values), mark)


async def search_resources(
    connection: Connection, scope: Scope, plan: SearchPlan, most_included: int, mark: datetime | None = None
) -> Page:
    """One page of a search; ``most_included`` bounds what is included on it.

    With ``mark``, which was read before, only what is below it, and below the mark of the first page.
    """
    if mark and plan.cursor and plan.cursor.mark:
        mark = min(mark, plan.cursor.mark)
    if plan.count == 0:
        return Page([], [], None, total=await count_matches(connection, scope, plan, mark))
    statement, values = render_search(plan, scope, mark)
    rows = await connection.fetch(statement, *values)
    more = len(rows) > plan.count
    rows = rows[: plan.count]
    matches = [read_row(row) for row in rows]
    following = read_cursor(plan, rows[-1], mark) if more else None
    included: dict[Key, Stored] = {}
    if plan.includes and matches:
        targets = find_column_targets(plan, scope, rows, matches) | await find_child_targets(
            connection, plan, scope, matches
        )
        included = await load_included(connection, scope, targets, matches, most_included)
    if plan.revincludes and matches:
        included |= await load_referring(connection, scope, plan, matches, most_included)
        check_included(len(included), most_included)
    total = len(matches) if plan.total else None
    if plan.total and (plan.cursor or following):
        total = await count_matches(connection, scope, plan, mark)
    beside = [included[key] for key in sorted(included)]
    return Page(matches, beside, following, mark, total)


async def count_matches(connection: Connection, scope: Scope, plan: SearchPlan, mark: datetime | None) -> int:
    """How many matches the scope sees on all pages."""
    binder = Binder([audience_parameter(scope)])
    criteria = [render_criterion(each, plan.type, binder) for each in plan.criteria]
    conditions = " AND ".join([*render_conditions(plan, scope, mark, binder), *criteria])
    found = await connection.fetchval(
        f"SELECT count(*) FROM {TYPES[plan.type].table} r WHERE {conditions}", *binder.values
    )
    return int(found)


def may_follow(include: Include, match: Stored, scope: Scope) -> bool:
    """Whether a scope sees where this reference of a match leads: one seen in part may not tell."""
    return sees_whole(scope, match) or TYPES[match.type].shows(include.parameter)


def find_column_targets(plan: SearchPlan, scope: Scope, rows: list[Any], matches: list[Stored]) -> set[str]:
    """The targets of included parameters that are columns of the matches' rows."""
    single = [each for each in plan.includes if not each.parameter.in_rows]
    start = WIDTH + sum(1 for each in plan.sort if each.parameter)
    return {
        value
        for row, match in zip(rows, matches, strict=True)
        for include, value in zip(single, tuple(row)[start:], strict=True)
        if value and include.admits(value) and may_follow(include, match, scope)
    }


async def find_child_targets(connection: Connection, plan: SearchPlan, scope: Scope, matches: list[Stored]) -> set[str]:
    """The targets of included parameters whose values are child rows."""
    follow = [each for each in plan.includes if each.parameter.in_rows]
    if not follow:
        return set()
    rows = await connection.fetch(
        "SELECT id, parameter, target FROM search_reference WHERE type = $1 AND id = ANY($2) AND parameter = ANY($3)",
        plan.type,
        [each.id for each in matches],
        [each.parameter.stored_as for each in follow],
    )
    by_id = {each.id: each for each in matches}
    found = [(each, by_id[row[0]], row[2]) for row in rows for each in follow if each.parameter.stored_as == row[1]]
    return {target for include, match, target in found if include.admits(target) and may_follow(include, match, scope)}


async def load_included(
    connection: Connection, scope: Scope, targets: set[str], matches: list[Stored], most: int
) -> dict[Key, Stored]:
    """The targets that the scope sees and that are not matches themselves.

    Raises TooCostly rather than leave any out.
    """
    matched = {each.key for each in matches}
    keys: set[Key] = set()
    for target in targets:
        name, _, resource_id = target.partition("/")
        if name in TYPES and (name, resource_id) not in matched:
            keys.add((name, resource_id))
    check_included(len(keys), most)
    found = await load_resources(connection, scope, keys)
    return {key: each for key, each in found.items() if not each.deleted}


def check_included(number: int, most: int) -> None:
    """Raises TooCostly rather than leave any out."""
    if number > most:
        raise TooCostly(f"This page would include more than {most} resources: lower _count", ("_include",))


def render_referring(include: Include, targets: str) -> str:
    """Whether the row ``r`` refers to one of the targets."""
    if include.parameter.in_rows:
        # Gathered first, target by target: the planner cannot know that few refer to the matches of one page.
        one = select_children(include.parameter, include.type, "c.target = wanted.target")
        each = f"unnest({targets}) wanted(target) CROSS JOIN LATERAL ({one} OFFSET 0) c"
        return f"r.id = ANY(ARRAY(SELECT c.id FROM {each}))"
    return f"r.{column_names(include.parameter)[0]} = ANY({targets})"


async def load_referring(
    connection: Connection, scope: Scope, plan: SearchPlan, matches: list[Stored], most: int
) -> dict[Key, Stored]:
    """What the scope sees of the resources that refer to the matches, at most one more than ``most`` of each kind."""
    statement, values = render_returning(plan, scope, [each.reference for each in matches], most)
    rows = await connection.fetch(statement, *values)
    matched = {each.key for each in matches}
    found = {stored.key: stored for stored in map(read_row, rows)}
    return {key: stored for key, stored in found.items() if key not in matched}


def render_returning(plan: SearchPlan, scope: Scope, references: list[str], most: int) -> tuple[str, list[object]]:
    """The statement that finds what refers to the matches, and its parameters."""
    binder = Binder([audience_parameter(scope)])
    targets = binder.add(references, "text[]")
    limit = binder.add(most + 1, "bigint")
    parts = [
        f"(SELECT {shown_columns(each.type, scope, 1)} FROM {TYPES[each.type].table} r WHERE NOT r.deleted "
        f"AND {filter_visible(each.type, scope, 1, parts=TYPES[each.type].shows(each.parameter))} "
        f"AND {render_referring(each, targets)} LIMIT {limit})"
        for each in plan.revincludes
    ]
    return " UNION ALL ".join(parts), binder.values
