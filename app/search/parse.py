"""Reads the query of a search into a plan; what it does not know it refuses, or where asked to be lenient tells."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlencode

from app.core.errors import Invalid, Issue, Unsupported
from app.core.kept import is_short
from app.core.settings import Settings
from app.fhir.registry import TYPES, ResourceType, list_returning
from app.fhir.subset import Subset, parse_elements, parse_summary
from app.search.cursor import check_values, read_cursor
from app.search.dates import parse_interval
from app.search.escaping import is_escaped, split_values, unescape
from app.search.keys import index_key
from app.search.kinds import KINDS
from app.search.plan import (
    CanonicalCriterion,
    Criterion,
    Cursor,
    IdCriterion,
    Include,
    LastUpdatedCriterion,
    MissingCriterion,
    NotCriterion,
    SearchPlan,
    SortKey,
)
from app.search.sorting import choose_order, parse_sort, write_order

ALIASES = {"_lastupdated": "_lastUpdated"}
"""Misspellings of the guide's own examples (fhir-requirements.md, 5.4)."""

ANSWER_ONLY = frozenset({"_format", "_pretty"})
"""Parameters that shape the answer and are read by the router."""

ONCE = frozenset({"_sort", "_count", "_cursor", "_total", "_summary", "_elements"})
"""Parameters of which a second one would silently undo the first."""

INCLUDE_ALIASES = {"HealthCareService:": "HealthcareService:"}
"""A type as the guide's own examples misspell it (fhir-requirements.md, 5.4)."""

TOTALS = ("none", "estimate", "accurate")
"""R4 search, Bundle.total."""


KEPT = 1_000
"""How many plans are kept."""


class Limits(NamedTuple):
    """The settings that a plan depends on."""

    default_count: int
    max_count: int
    max_or_values: int


@dataclass
class Draft:
    """A plan in the making."""

    resource_type: ResourceType
    limits: Limits
    base: str
    criteria: list[Criterion] = field(default_factory=list)
    sort: tuple[SortKey, ...] = ()
    count: int = 0
    cursor: Cursor | None = None
    includes: list[Include] = field(default_factory=list)
    revincludes: list[Include] = field(default_factory=list)
    total: bool = False
    counts_only: bool = False
    subset: Subset | None = None

    def split(self, code: str, text: str) -> list[str]:
        """The OR-joined values, still escaped. Raises Invalid."""
        if not is_escaped(text):
            raise Invalid(r"\ stands before \, a comma, | or $ only: write \\ for itself", (code,))
        values = split_values(text, ",")
        if len(values) > self.limits.max_or_values:
            raise Invalid(f"{code} has more than {self.limits.max_or_values} values", (code,))
        return values


def parse_search(
    resource_type: str, query: Iterable[tuple[str, str]], settings: Settings, base: str, *, lenient: bool = False
) -> SearchPlan:
    """The plan of ``GET [base]/Type?query``; ``base`` is our own address, whose absolute references are ours.

    Raises Invalid and Unsupported, each naming the parameter. ``lenient`` turns what is Unsupported, and only
    that, into warnings (R4 search, Handling of unknown parameters); a modifier that is not offered stays an error.
    """
    pairs = tuple(query)
    limits = Limits(settings.default_count, settings.max_count, settings.max_or_values)
    read = read_kept if comes_again(pairs) else read_query
    return read(resource_type, pairs, limits, base, lenient)


def comes_again(pairs: tuple[tuple[str, str], ...]) -> bool:
    """Whether who asks this may ask the same again, and is to be answered by the same plan.

    A later page comes once, and what is about now (``ap``) means something else the next time.
    """
    once = any(name == "_cursor" or "ap" in value for name, value in pairs)
    return not once and is_short(pairs)


def read_query(
    resource_type: str, query: tuple[tuple[str, str], ...], limits: Limits, base: str, lenient: bool
) -> SearchPlan:
    draft = Draft(TYPES[resource_type], limits, base, count=limits.default_count)
    understood: list[tuple[str, str]] = []
    ignored: list[Issue] = []
    for place, (name, value) in enumerate(query):
        if name in ANSWER_ONLY:
            continue
        key, _, modifier = name.partition(":")
        key = ALIASES.get(key, key)
        if key in ONCE and any(key == other for other, _ in query[:place]):
            raise Invalid(f"{key} is given more than once", (key,))
        try:
            if name.endswith(":"):
                raise Unsupported(f"{name!r} names no modifier", (key,))
            read_parameter(draft, key, modifier or None, value)
        except Unsupported as error:
            if not lenient or modifier:
                raise  # a modifier may turn the meaning round: it is refused even so (R4 search, Modifiers)
            ignored.append(Issue("warning", error.code, f"Ignored: {error.diagnostics}", error.expression))
            continue
        if key != "_cursor":
            understood.append((f"{key}:{modifier}" if modifier else key, value))
    draft.sort = draft.sort or choose_order(draft.resource_type, draft.criteria)
    return SearchPlan(
        type=resource_type,
        criteria=tuple(draft.criteria),
        sort=draft.sort,
        count=0 if draft.counts_only else draft.count,
        cursor=check_cursor(draft),
        includes=tuple(dict.fromkeys(draft.includes)),
        revincludes=tuple(dict.fromkeys(draft.revincludes)),
        self_query=tuple(understood),
        self_text=urlencode(understood),
        total=draft.total,
        subset=check_subset(draft),
        issues=tuple(ignored),
    )


read_kept = lru_cache(maxsize=KEPT)(read_query)


def read_parameter(draft: Draft, key: str, modifier: str | None, value: str) -> None:
    """Adds one parameter to the draft."""
    if "\x00" in value:
        raise Invalid("A search value holds no NUL", (key,))
    special = SPECIAL.get(key)
    if special:
        if modifier:
            raise Unsupported(f"{key} takes no modifier here", (key,))
        special(draft, value)
        return
    parameter = draft.resource_type.parameter(key)
    if parameter is None:
        known = sorted([*SPECIAL, *(each.code for each in (*draft.resource_type.common, *draft.resource_type.search))])
        raise Unsupported(
            f"{draft.resource_type.name} has no search parameter {key!r} here; there are: {', '.join(known)}",
            (key,),
        )
    if modifier == "missing" and parameter.kind != "composite":
        draft.criteria.append(MissingCriterion(parameter, read_boolean(f"{key}:missing", value)))
        return
    values = draft.split(key, value)
    if identifiers := draft.resource_type.parameter(f"{key}:{modifier}"):
        parameter, modifier = identifiers, None
    version = draft.resource_type.parameter("version") if key == "url" and not modifier else None
    if version and any("|" in each for each in values):
        draft.criteria.append(CanonicalCriterion(parameter, version, tuple(map(read_canonical, values))))
        return
    if modifier == "not" and parameter.kind == "token":
        draft.criteria.append(NotCriterion(KINDS["token"].parse(parameter, None, values, draft.base)))
        return
    draft.criteria.append(KINDS[parameter.kind].parse(parameter, modifier, values, draft.base))


def read_canonical(value: str) -> tuple[str, str | None]:
    """(url, version), each as it is indexed; no version where none is asked for."""
    url, _, version = value.partition("|")
    return index_key(unescape(url)), index_key(unescape(version)) if version else None


def read_boolean(code: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise Invalid(f"{code} is true or false", (code,))
    return value == "true"


def read_id(draft: Draft, value: str) -> None:
    # An id that breaks the grammar names nothing: it matches no row, and needs no error.
    if not value:
        raise Invalid("_id needs a value", ("_id",))
    draft.criteria.append(IdCriterion(tuple(unescape(each) for each in draft.split("_id", value))))


def read_last_updated(draft: Draft, value: str) -> None:
    values: Sequence[str] = draft.split("_lastUpdated", value)
    draft.criteria.append(LastUpdatedCriterion(tuple(parse_interval("_lastUpdated", each) for each in values)))


def read_count(draft: Draft, value: str) -> None:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise Invalid("_count is a whole number", ("_count",))
    draft.count = min(int(value), draft.limits.max_count)
    draft.counts_only = draft.counts_only or draft.count == 0


def read_total(draft: Draft, value: str) -> None:
    if value not in TOTALS:
        raise Invalid(f"_total is one of {', '.join(TOTALS)}", ("_total",))
    # An estimate by the planner would tell of rows that the caller may not see: it is counted too.
    draft.total = value != "none"


def read_summary(draft: Draft, value: str) -> None:
    found = parse_summary(value)
    if found == "count":
        draft.counts_only = True
    else:
        set_subset(draft, found, "_summary")


def read_elements(draft: Draft, value: str) -> None:
    set_subset(draft, parse_elements(draft.resource_type.name, value), "_elements")


def set_subset(draft: Draft, subset: Subset | None, code: str) -> None:
    if draft.subset and subset:
        raise Invalid("_summary and _elements do not go together", (code,))
    draft.subset = draft.subset or subset


def check_subset(draft: Draft) -> Subset | None:
    """Raises Invalid for a text summary with includes, which R4 forbids (search, Summary)."""
    if draft.subset and draft.subset.mode == "text" and (draft.includes or draft.revincludes):
        raise Invalid("_summary=text does not go with _include or _revinclude", ("_summary",))
    return draft.subset


def read_sort(draft: Draft, value: str) -> None:
    draft.sort = parse_sort(draft.resource_type, value, ALIASES)


def read_cursor_parameter(draft: Draft, value: str) -> None:
    draft.cursor = read_cursor(value)


def read_include(draft: Draft, value: str) -> None:
    kept = draft.resource_type
    if value == "*":
        value = f"{kept.name}:*"
    draft.includes += find_includes("_include", value, [f"{kept.name}:{code}" for code in kept.includes])


def read_revinclude(draft: Draft, value: str) -> None:
    kept = draft.resource_type
    found = find_includes("_revinclude", value, list_returning(kept))
    if any(each.target not in (None, kept.name) for each in found):
        raise Unsupported(f"_revinclude leads to {kept.name} here", ("_revinclude",))
    draft.revincludes += [replace(each, target=None) for each in found]


def find_includes(code: str, value: str, known: list[str]) -> list[Include]:
    """What ``Type:code``, ``Type:code:TargetType`` or ``Type:*`` names among the known. Raises Unsupported."""
    for alias, name in INCLUDE_ALIASES.items():
        if value.startswith(alias):
            value = name + value.removeprefix(alias)
    source, _, rest = value.partition(":")
    name, typed, target = rest.partition(":")
    found = []
    for each in known:
        of, _, path = each.partition(":")
        parameter = TYPES[of].parameter(path)
        if parameter and of == source and name in (path, "*") and (not typed or target in parameter.targets):
            found.append(Include(of, parameter, target or None))
    if not found:
        raise Unsupported(f"{code} takes {', '.join(known) or 'nothing'} here", (code,))
    return found


def check_cursor(draft: Draft) -> Cursor | None:
    """A cursor belongs to the order that it was given in. Raises Invalid."""
    if draft.cursor and draft.cursor.order != write_order(draft.sort):
        raise Invalid("This _cursor belongs to a search in another order", ("_cursor",))
    if draft.cursor:
        check_values(draft.cursor, draft.sort)
    return draft.cursor


SPECIAL: dict[str, Callable[[Draft, str], None]] = {
    "_id": read_id,
    "_lastUpdated": read_last_updated,
    "_count": read_count,
    "_sort": read_sort,
    "_include": read_include,
    "_revinclude": read_revinclude,
    "_total": read_total,
    "_summary": read_summary,
    "_elements": read_elements,
    "_cursor": read_cursor_parameter,
}
