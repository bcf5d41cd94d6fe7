"""history of an instance, a type, or the whole system (R4 http, history)."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from app.access.interaction_rules import authorize
from app.access.release import may_leave
from app.core.caller import Caller
from app.core.errors import Invalid, NotFound, Unsupported
from app.core.settings import Settings
from app.fhir.references import ID
from app.fhir.registry import STORED
from app.interactions.hub import Hub
from app.interactions.read import reading
from app.search.dates import read_interval
from app.store.audience import sees_whole
from app.store.history import HistoryCursor, read_history
from app.store.read import read_resource
from app.store.rows import Stored

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """The parameters of a history, read."""

    since: datetime | None
    count: int
    cursor: HistoryCursor | None
    mark: datetime | None
    """What the poll's first page was held below."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Versions, newest first: ``following`` is the ``_cursor`` of the next page; a poll's next begins at ``mark``."""

    entries: list[Stored]
    following: str | None
    mark: datetime | None
    whole: bool
    """Whether this page is all there is."""


async def read_versions(
    hub: Hub,
    caller: Caller,
    resource_type: str | None,
    resource_id: str | None,
    query: Iterable[tuple[str, str]],
) -> HistoryPage:
    """One page. Raises NotFound for an unknown instance."""
    request = parse_history(query, hub.settings)
    if resource_type is None:
        types = tuple(sorted(name for name in STORED if caller.may(name, "s")))
        authorize(caller, "history-system", None)
    else:
        types = (resource_type,)
        authorize(caller, "history-instance" if resource_id else "history-type", resource_type)
    async with reading(hub, caller) as (connection, scope):
        if resource_type and resource_id:
            current = await read_resource(connection, scope, resource_type, resource_id)
            if current is None or not sees_whole(scope, current):
                raise NotFound(f"{resource_type}/{resource_id} is not known")
        cursor, mark = request.cursor, None
        if request.since:
            mark = await hub.low_water.read(connection)
            mark = min(mark, request.mark or mark)
            cursor = hold_back(cursor, mark)
        entries, following = await read_history(
            connection,
            scope,
            types,
            resource_id,
            since=request.since or EPOCH,
            count=request.count,
            cursor=cursor,
        )
        entries = [each for each in entries if may_leave(each, scope)]
    whole = request.cursor is None and following is None
    # Another process may have led the caller to a later mark than this one knows of.
    later = max(mark, request.since) if mark and request.since else mark
    return HistoryPage(entries, write_cursor(following, mark) if following else None, later, whole)


def hold_back(cursor: HistoryCursor | None, mark: datetime) -> HistoryCursor:
    """Where a poll begins: entries run from the newest to the oldest, and none is at the mark or above."""
    start = HistoryCursor(mark, "", "", 0)
    return start if cursor is None or cursor.last_updated >= mark else cursor


def parse_history(query: Iterable[tuple[str, str]], settings: Settings) -> HistoryRequest:
    """Reads ``_since``, ``_count`` and ``_cursor``. Raises Invalid and Unsupported."""
    since, count, cursor, mark = None, settings.default_count, None, None
    for name, value in query:
        match name:
            case "_since":
                since = read_since(value)
            case "_count":
                if not value.isascii() or not value.isdigit() or not int(value[:9]) > 0:
                    raise Invalid("_count is a whole number above 0", ("_count",))
                count = min(int(value[:9]), settings.max_count)
            case "_cursor":
                cursor, mark = read_cursor(value)
            case "_format" | "_pretty":
                pass
            case _:
                raise Unsupported(f"history takes _since, _count and _cursor here, not {name!r}", (name,))
    return HistoryRequest(since, count, cursor, mark)


def read_since(text: str) -> datetime:
    try:
        return read_interval(text.replace(" ", "+"))[0]
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{text!r} is not an instant", ("_since",)) from error


def write_cursor(cursor: HistoryCursor, mark: datetime | None) -> str:
    """The cursor, and the mark of a poll's first page, as the value of ``_cursor``."""
    at, below = (each and (each - EPOCH) // timedelta(milliseconds=1) for each in (cursor.last_updated, mark))
    data = orjson.dumps([at, cursor.type, cursor.id, cursor.version, below])
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def read_cursor(text: str) -> tuple[HistoryCursor, datetime | None]:
    """The cursor and the mark that ``write_cursor`` wrote. Raises Invalid."""
    try:
        at, name, key, version, below = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        cursor = HistoryCursor(EPOCH + timedelta(milliseconds=at), str(name), str(key), int(version))
        mark = None if below is None else EPOCH + timedelta(milliseconds=below)
    except (ValueError, TypeError, binascii.Error, OverflowError) as error:
        raise Invalid("This _cursor was not given by this server", ("_cursor",)) from error
    if cursor.type not in STORED or not ID.fullmatch(cursor.id) or not 0 <= cursor.version < 2**63:
        raise Invalid("This _cursor was not given by this server", ("_cursor",))
    return cursor, mark
