"""Lines for the person at the terminal, beside the output."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer


def tell(line: str) -> None:
    """A line on standard error."""
    typer.echo(line, err=True)


@contextmanager
def when_slow(what: str) -> Iterator[None]:
    """Says what takes so long, where it takes more than a second."""
    timer = threading.Timer(1.0, tell, [f"{what} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
