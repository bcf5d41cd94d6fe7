"""Finds rows of the trail by what a search for AuditEvents asks."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from app.audit.hashing import SERVER_MADE, Hasher
from app.audit.kinds import KINDS, OWN, RESTFUL, subtypes_of, type_of
from app.core.caller import Scope
from app.core.database import Connection
from app.core.errors import Unsupported
from app.search.cursor import refuse_cursor
from app.search.plan import (
    Criterion,
    DateCriterion,
    IdCriterion,
    LastUpdatedCriterion,
    NotCriterion,
    ReferenceCriterion,
    SearchPlan,
    StringCriterion,
    TokenCriterion,
    TokenValue,
)
from app.search.sorting import BY_ID
from app.store.audit import SELECT, AuditRow, read_row
from app.store.criteria import INSTANT_COMPARISONS, Binder, any_of, compare
from app.store.patients import find_about

ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OUTCOMES = {
    "0": "status < 400",
    "4": "status BETWEEN 400 AND 499",
    "8": "status >= 500 AND reason IS DISTINCT FROM 'audience'",
    "12": "status >= 500 AND reason = 'audience'",
}
ENTITY_TYPES = {
    "1": "(type = 'Patient' AND resource_id IS NOT NULL OR EXISTS "
    "(SELECT FROM unnest(given) g WHERE starts_with(g, 'Patient/')))",
    "2": "(type IS NOT NULL OR query IS NOT NULL)",
}
BY_TIME = frozenset({"date", "_lastUpdated", "_id"})
"""What the trail is sorted by: all of them are the order in time, for an id begins with it."""


def moment_of(event_id: str) -> datetime | None:
    """The moment in an id of ours; None for any other id."""
    if not SERVER_MADE.fullmatch(event_id):
        return None
    found = UUID(event_id)
    try:
        return datetime.fromtimestamp((found.int >> 80) / 1000, UTC) if found.version == 7 else None
    except (ValueError, OverflowError):
        return None


async def find_event(connection: Connection, event_id: str) -> AuditRow | None:
    """The row of this id; its moment leads to the month that it stands in."""
    recorded = moment_of(event_id)
    if recorded is None:
        return None
    row = await connection.fetchrow(f"{SELECT} WHERE recorded = $1 AND id = $2", recorded, event_id)
    return read_row(row) if row else None


def newest_first(plan: SearchPlan) -> bool:
    """The direction of the order: without ``_sort`` the newest comes first. Raises Unsupported for another order."""
    if any(each.code not in BY_TIME for each in plan.sort):
        raise Unsupported(f"AuditEvents are sorted by {', '.join(sorted(BY_TIME))}", ("_sort",))
    return plan.sort == BY_ID or plan.sort[0].descending


async def find_events(connection: Connection, scope: Scope, plan: SearchPlan, hasher: Hasher) -> list[AuditRow]:
    """One row more than a page, so that one knows whether another follows. Raises Unsupported."""
    descending = newest_first(plan)
    binder = Binder()
    conditions = await render_conditions(connection, scope, plan, hasher, binder)
    if plan.cursor:
        last = str(plan.cursor.values[-1])
        sign = "<" if descending else ">"
        if (moment := moment_of(last)) is None:
            raise refuse_cursor()
        at, key = binder.add(moment, "timestamptz"), binder.add(last, "uuid")
        conditions.append(f"(recorded, id) {sign} ({at}, {key})")
    direction = "DESC" if descending else "ASC"
    rows = await connection.fetch(
        f"{SELECT} WHERE {' AND '.join(conditions)} ORDER BY recorded {direction}, id {direction} "
        f"LIMIT {binder.add(plan.count + 1, 'bigint')}",
        *binder.values,
    )
    return [read_row(row) for row in rows]


async def count_events(connection: Connection, scope: Scope, plan: SearchPlan, hasher: Hasher) -> int:
    """How many rows match on all pages."""
    binder = Binder()
    conditions = await render_conditions(connection, scope, plan, hasher, binder)
    found = await connection.fetchval(
        f"SELECT count(*) FROM audit WHERE {' AND '.join(conditions)}",
        *binder.values,
    )
    return int(found)


async def render_conditions(
    connection: Connection, scope: Scope, plan: SearchPlan, hasher: Hasher, binder: Binder
) -> list[str]:
    """What every match meets; what is about a patient is looked up first."""
    conditions = ["true"]
    for each in plan.criteria:
        if isinstance(each, ReferenceCriterion) and each.parameter.code == "patient":
            patients = [target for target in each.targets if target.startswith("Patient/")]
            about = await find_about(connection, scope, patients)
            conditions.append(render_entity([*patients, *about], hasher, binder))
        else:
            conditions.append(render_criterion(each, hasher, binder))
    return conditions


def render_criterion(criterion: Criterion, hasher: Hasher, binder: Binder) -> str:
    """The condition of one criterion. Raises Unsupported."""
    match criterion:
        case IdCriterion(ids):
            known = [(each, at) for each in ids if (at := moment_of(each))]
            moments = binder.add([at for _, at in known], "timestamptz[]")
            return f"(recorded = ANY({moments}) AND id = ANY({binder.add([each for each, _ in known], 'uuid[]')}))"
        case LastUpdatedCriterion(intervals) | DateCriterion(_, intervals):
            return any_of(
                compare(INSTANT_COMPARISONS[each.comparator], each, binder, at="recorded") for each in intervals
            )
        case NotCriterion(TokenCriterion() as inner):
            return f"({render_criterion(inner, hasher, binder)}) IS NOT TRUE"
        case TokenCriterion(parameter, values) if parameter.code in TOKENS:
            return any_of(TOKENS[parameter.code](each, binder) for each in values)
        case ReferenceCriterion(parameter, targets) if parameter.code == "agent":
            named = [each.removeprefix("Organization/") for each in targets if each.startswith("Organization/")]
            return f"organization = ANY({binder.add(named, 'text[]')})"
        case ReferenceCriterion(parameter, targets) if parameter.code == "entity":
            return render_entity(targets, hasher, binder)
        case StringCriterion(_, texts, "prefix"):
            return any_of(f"starts_with(lower(remote), {binder.add(each)})" for each in texts)
    code = getattr(getattr(criterion, "parameter", None), "code", "a parameter")
    raise Unsupported(f"{code} cannot be asked for in this way of AuditEvents", (code,))


def render_entity(targets: Sequence[str], hasher: Hasher, binder: Binder) -> str:
    """What asked for one of these resources, or was given one; refusals know some ids by their hash alone."""
    keys = [tuple(each.split("/", 1)) for each in targets if "/" in each]
    keys += [(name, hasher.digest(key)) for name, key in keys]
    names, ids = (binder.add([key[n] for key in keys], "text[]") for n in (0, 1))
    given = binder.add(list(targets), "text[]")
    return f"((type, resource_id) IN (SELECT * FROM unnest({names}, {ids})) OR given && {given})"


def render_action(value: TokenValue, binder: Binder) -> str:
    wanted = [name for name, kind in KINDS.items() if kind.action == value.code]
    if value.code == "E":
        others = binder.add([name for name in KINDS if name not in wanted], "text[]")
        return f"NOT interaction = ANY({others})"
    return f"interaction = ANY({binder.add(wanted, 'text[]')})"


def render_type(value: TokenValue, binder: Binder) -> str:
    kinds = {
        "interaction = 'token'": type_of("token"),
        "starts_with(interaction, 'handoff ')": type_of("handoff "),
        "interaction <> 'token' AND NOT starts_with(interaction, 'handoff ')": type_of("read"),
    }
    return any_of([f"({where})" for where, pair in kinds.items() if matches(value, pair)] or ["false"])


def render_subtype(value: TokenValue, binder: Binder) -> str:
    conditions = ["false"]
    listed = [name for name in (*KINDS, "token") if any(matches(value, pair) for pair in subtypes_of(name))]
    conditions.append(f"interaction = ANY({binder.add(listed, 'text[]')})")
    if matches(value, (RESTFUL, "operation")):
        conditions.append("position('$' in interaction) > 0")
    if value.system in (None, OWN) and value.code not in KINDS:
        if value.code:
            conditions.append(f"replace(interaction, ' ', '-') = {binder.add(value.code)}")
        else:
            conditions.append(f"NOT interaction = ANY({binder.add([*KINDS, 'token'], 'text[]')})")
    return any_of(conditions)


def render_outcome(value: TokenValue, binder: Binder) -> str:
    return f"({OUTCOMES.get(value.code or '', 'false')})"


def render_entity_type(value: TokenValue, binder: Binder) -> str:
    if value.system in (None, ENTITY_TYPE) and value.code in ENTITY_TYPES:
        return ENTITY_TYPES[value.code]
    start = binder.add(f"{value.code}/")
    return f"EXISTS (SELECT FROM unnest(given) g WHERE starts_with(g, {start}))"


def render_client(value: TokenValue, binder: Binder) -> str:
    return f"client = {binder.add(value.code)}" if not value.system else "false"


def matches(value: TokenValue, pair: tuple[str, str]) -> bool:
    """Whether a wanted token is this one."""
    return value.system in (None, pair[0]) and value.code in (None, pair[1])


TOKENS: dict[str, Callable[[TokenValue, Binder], str]] = {
    "action": render_action,
    "type": render_type,
    "subtype": render_subtype,
    "outcome": render_outcome,
    "entity-type": render_entity_type,
    "agent:identifier": render_client,
}
