"""Numbers with a prefix, and the range that their digits imply (R4 search, 3.1.1.4.6)."""

import re
from decimal import Context, Decimal, InvalidOperation

from app.core.errors import Invalid
from app.search.plan import Comparator, NumberRange

NUMBER = re.compile(
    r"(?P<prefix>eq|ne|gt|ge|lt|le|sa|eb|ap)?(?P<number>[+-]?(?:\d{1,40}(?:\.\d{1,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?)",
    re.ASCII,
)
EXACT = Context(prec=1000)
TENTH = Decimal("0.1")
COMPARATORS: dict[str | None, Comparator] = {
    None: "eq",
    "eq": "eq",
    "ne": "ne",
    "gt": "gt",
    "ge": "ge",
    "lt": "lt",
    "le": "le",
    "sa": "sa",
    "eb": "eb",
    "ap": "ap",
}


def parse_number(code: str, text: str) -> NumberRange:
    """A search value such as ``lt5.4``: half a unit of the last digit either side of it, a tenth of it for ``ap``.

    Raises Invalid.
    """
    # An unescaped + in a query string arrives as a space; a number holds no other.
    found = NUMBER.fullmatch(text.replace(" ", "+"))
    if not found:
        raise Invalid(f"{text!r} is not a number, nor a prefix and a number", (code,))
    comparator = COMPARATORS[found["prefix"]]
    try:
        value = Decimal(found["number"])
        unit = Decimal((0, (5,), find_last_place(found["number"]) - 1))
        around = EXACT.multiply(abs(value), TENTH) if comparator == "ap" else unit
        return NumberRange(comparator, value, EXACT.subtract(value, around), EXACT.add(value, around))
    except InvalidOperation as error:
        raise Invalid(f"{text!r} has too many digits", (code,)) from error


def find_last_place(number: str) -> int:
    """The power of ten that the last digit counts.

    The exponential form has two digits at least: R4 says of ``1e2`` that it is 95 to 105, as ``1.0e2`` is.
    """
    value = Decimal(number)
    last = int(value.as_tuple().exponent)
    return last - 1 if "e" in number.lower() and len(value.as_tuple().digits) == 1 else last
