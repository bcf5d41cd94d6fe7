"""The opaque cursor of a page: where the next one begins, whatever rows come or go meanwhile."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from app.core.errors import Invalid
from app.fhir.references import ID
from app.search.plan import Cursor, KeyValue, SortKey
from app.search.ranges import EXACT

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECIMAL = re.compile(r"-?(\d{1,1000}(\.\d{1,1000})?(E[+-]\d{1,4})?|Infinity)", re.ASCII)


def write_cursor(cursor: Cursor) -> str:
    """The cursor as the value of ``_cursor``."""
    data = [cursor.order, write_value(cursor.mark), *map(write_value, cursor.values)]
    return base64.urlsafe_b64encode(orjson.dumps(data)).decode().rstrip("=")


def read_cursor(text: str) -> Cursor:
    """The cursor that ``write_cursor`` wrote. Raises Invalid."""
    try:
        order, mark, *values = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        cursor = Cursor(order, tuple(map(read_value, values)), read_value(mark))
    except (ValueError, TypeError, binascii.Error, OverflowError) as error:
        raise refuse_cursor() from error
    if not isinstance(cursor.order, str) or not isinstance(cursor.mark, datetime | None):
        raise refuse_cursor()
    return cursor


def check_values(cursor: Cursor, keys: tuple[SortKey, ...]) -> None:
    """Whether its values are what these keys can have. Raises Invalid."""
    values = cursor.values
    fits = len(values) == len(keys) and ID.fullmatch(str(values[-1])) is not None
    fits = fits and all(
        each.parameter is not None if value is None else isinstance(value, each.value_type)
        for each, value in zip(keys, values, strict=True)
    )
    if not fits:
        raise refuse_cursor()


def write_value(value: KeyValue) -> Any:
    """As JSON: text, milliseconds, a list of a decimal's digits, or null."""
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(milliseconds=1)
    return [str(value.normalize(EXACT))] if isinstance(value, Decimal) else value


def read_value(data: Any) -> Any:
    """The value that ``write_value`` wrote. Raises ValueError, TypeError and OverflowError for what it did not."""
    if isinstance(data, int) and not isinstance(data, bool):
        return EPOCH + timedelta(milliseconds=data)
    if isinstance(data, list):
        [digits] = data
        if not DECIMAL.fullmatch(digits):
            raise ValueError(digits)
        return Decimal(digits)
    if data is not None and (not isinstance(data, str) or "\x00" in data):
        raise ValueError(data)
    return data


def refuse_cursor() -> Invalid:
    return Invalid("This _cursor was not given by this server", ("_cursor",))
