"""Puts the steps of a write together into one statement, so that a transaction writes in one round trip."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from asyncpg import Record

from app.core.database import Connection

PARAMETER = re.compile(r"\$(\d+)")
NOTHING = "SELECT NULL::text, NULL::text, NULL::bigint WHERE false"


@dataclass(frozen=True, slots=True)
class Step:
    """``ctes`` writes, its names ending in ``@`` and its parameters counted from $1 to $``width``.

    ``told`` selects (type, id, version) of the rows that it met, for the writer to compare; empty for none.
    """

    ctes: str
    width: int
    told: str = ""


@lru_cache(maxsize=1000)
def compose(steps: tuple[Step, ...]) -> str:
    """One statement of these steps. None of them sees what another writes, and no row is written by two of them."""
    ctes, told, before = [], [], 0
    for n, step in enumerate(steps):
        ctes.append(place(step.ctes, n, before))
        if step.told:
            told.append(place(step.told, n, before))
        before += step.width
    return f"WITH {', '.join(ctes)} {' UNION ALL '.join(told) or NOTHING}"


def place(text: str, n: int, before: int) -> str:
    """The text with names of its own, and its parameters behind those ``before`` it."""
    return PARAMETER.sub(lambda found: f"${int(found[1]) + before}", text.replace("@", f"_{n}"))


async def run_steps(connection: Connection, steps: Iterable[tuple[Step, Sequence[Any]]]) -> list[Record]:
    """Carries them out in one statement; what they tell of."""
    chosen = list(steps)
    found: list[Record] = await connection.fetch(
        compose(tuple(step for step, _ in chosen)), *(value for _, values in chosen for value in values)
    )
    return found
