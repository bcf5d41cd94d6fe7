"""The opaque cursor of a page: where the next one begins, whatever rows come or go meanwhile."""

import base64
import binascii
from datetime import UTC, datetime, timedelta

import orjson

from app.core.errors import Invalid
from app.fhir.references import ID
from app.search.plan import Cursor

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_cursor(cursor: Cursor) -> str:
    """The cursor as the value of ``_cursor``."""
    moments = [
        None if each is None else (each - EPOCH) // timedelta(milliseconds=1)
        for each in (cursor.last_updated, cursor.mark)
    ]
    return base64.urlsafe_b64encode(orjson.dumps([*moments, cursor.id])).decode().rstrip("=")


def read_cursor(text: str) -> Cursor:
    """The cursor that ``write_cursor`` wrote. Raises Invalid."""
    try:
        *moments, key = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        at, mark = (None if each is None else EPOCH + timedelta(milliseconds=each) for each in moments)
    except (ValueError, TypeError, binascii.Error, OverflowError) as error:
        raise Invalid("This _cursor was not given by this server", ("_cursor",)) from error
    if not isinstance(key, str) or not ID.fullmatch(key):
        raise Invalid("This _cursor was not given by this server", ("_cursor",))
    return Cursor(at, key, mark)
