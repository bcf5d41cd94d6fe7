"""What is logged, and how: an error by its kind and places, never by its text, which may hold what somebody wrote."""

import logging
import sys
from traceback import walk_tb
from types import TracebackType

FORMAT = "%(levelname)s %(name)s: %(message)s"
UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.asgi")
"""Its loggers, save the one of accesses: addresses hold ids and queries, and it stays without a handler."""
FRAMES = 12
"""The innermost ones that are shown."""
CHAIN = 5
"""Exceptions that led to one another."""

ErrorInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class PlainFormatter(logging.Formatter):
    """Leaves out the text of exceptions: a ValueError quotes a value, and PostgreSQL's DETAIL a row."""

    def formatException(self, ei: ErrorInfo) -> str:  # noqa: N802 -- the framework's name
        """Kind and places of the exception, and of those that led to it."""
        return "\n".join(f"  {line}" for line in describe_error(ei[1])) if ei[1] else ""


def describe_error(error: BaseException) -> list[str]:
    """A line for an exception and for each that led to it."""
    lines: list[str] = []
    found: BaseException | None = error
    while found is not None and len(lines) < CHAIN:
        places = [f"{frame.f_code.co_filename}:{line}" for frame, line in walk_tb(found.__traceback__)][-FRAMES:]
        lines.append(f"{type(found).__name__} at {' > '.join(places) or 'nowhere'}")
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return lines


def configure_logging(level: str) -> None:
    """Everything goes to standard error by one handler, that of the web server too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # that it looked is no news
    for name in UVICORN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
