"""A table of searches: what is stored, what is asked, what must be found, and the section of R4 that says so."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.api import Caller, Resource, World
from tests.integration.interactions.search_resources import DIRECTORY, STORED

FORM = "application/x-www-form-urlencoded"
SORTING = "3.1.1.5.1"
SAFE = "/?&=:,%+"


@dataclass(frozen=True)
class Row:
    """One line of ``search_table.txt``; ``elements`` are those of the matches, ``total`` that of the Bundle."""

    section: str
    query: str
    matches: tuple[str, ...] = ()
    included: frozenset[str] = frozenset()
    elements: frozenset[str] = frozenset()
    counted: bool = False
    counts_only: bool = False


def read_rows() -> Iterator[Row]:
    """The rows of the table. Every line is a comment, a heading or a row."""
    section = ""
    for line in Path(__file__).with_name("search_table.txt").read_text("utf-8").splitlines():
        if found := re.fullmatch(r"## (\d+(?:\.\d+)+) \S.*", line):
            section = found[1]
        elif line and not line.startswith("#"):
            query, separator, wanted = line.partition(" =>")
            assert separator, line
            yield read_row(section, query, wanted)


def read_row(section: str, query: str, wanted: str) -> Row:
    elements = re.search(r"\{(.*)\}", wanted)
    words = re.sub(r"\{.*\}", "", wanted).split()
    return Row(
        section,
        query,
        tuple(each for each in words if each not in ("total", "of") and not each.startswith("+")),
        frozenset(each[1:] for each in words if each.startswith("+")),
        frozenset(elements[1].split() if elements else ()),
        "total" in words,
        "of" in words,
    )


ROWS = list(read_rows())
TYPE_OF = {each["id"]: each["resourceType"] for each in STORED}
"""The ids of the table are of one type each."""


async def ask(caller: Caller, query: str) -> Resource:
    """The Bundle of one search."""
    if query.startswith("POST "):
        address, _, form = query.removeprefix("POST ").partition(" ; ")
        name, separator, pairs = address.partition("?")
        path = f"/{name}/_search{separator}{quote(pairs, safe=SAFE)}"
        answer = await caller.send("POST", path, quote(form, safe=SAFE), Content_Type=FORM)
    else:
        answer = await caller.get(f"/{quote(query, safe=SAFE)}")
    assert answer.status_code == 200, f"{query}: {answer.text}"
    bundle: Resource = answer.json()
    return bundle


def check_answer(row: Row, bundle: Resource, visible: set[str]) -> list[object]:
    """What the answer has otherwise than the row says, of what is visible."""
    entries = bundle.get("entry", [])
    matches = [each["resource"] for each in entries if each["search"]["mode"] == "match"]
    beside = [each["resource"] for each in entries if each["search"]["mode"] == "include"]
    found = [each["id"] for each in matches]
    wanted = [each for each in row.matches if each in visible]
    included = {f"{each['resourceType']}/{each['id']}" for each in beside}
    differences: list[object] = []
    if row.counts_only:
        return [] if "entry" not in bundle and bundle["total"] == len(wanted) else [bundle]
    if (found if row.section == SORTING else sorted(found)) != (wanted if row.section == SORTING else sorted(wanted)):
        differences.append((wanted, found))
    if included != {each for each in row.included if wanted and each.partition("/")[2] in visible}:
        differences.append((row.included, included))
    if row.elements and matches and {key for each in matches for key in each} != row.elements:
        differences.append((row.elements, list(matches[0])))
    if bundle.get("total") != (len(wanted) if row.counted else None):
        differences.append(bundle.get("total"))
    return differences


async def store(caller: Caller, resources: list[Resource]) -> None:
    for each in resources:
        answer = await caller.send("PUT", f"/{each['resourceType']}/{quote(each['id'])}", each)
        assert answer.status_code == 201, answer.text


async def check_table(caller: Caller, visible: set[str], rows: list[Row]) -> None:
    wrong = [
        (row.section, row.query, *differences)
        for row in rows
        if (differences := check_answer(row, await ask(caller, row.query), visible))
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_the_size_of_the_table() -> None:
    """Each row cites a section, is there once, and speaks of what is stored; most of them find something."""
    assert len(ROWS) >= 300
    assert len({row.query for row in ROWS}) == len(ROWS)
    assert all(row.section.startswith("3.1.1.") for row in ROWS)
    assert {each for row in ROWS for each in row.matches} <= set(TYPE_OF)
    assert sum(1 for row in ROWS if row.matches) > 0.7 * len(ROWS)
    for section in (4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18, 19):
        assert any(row.section == f"3.1.1.4.{section}" for row in ROWS)


async def test_the_table(world: World) -> None:
    admin = await world.caller("operator", "admin")
    await store(admin, STORED)
    await check_table(admin, set(TYPE_OF), ROWS)


@pytest.mark.parametrize("half", [0, 1])
async def test_the_table_for_one_who_sees_half(world: World, half: int) -> None:
    callers = [await world.caller("one", "admin"), await world.caller("other", "admin")]
    for caller, start in zip(callers, (half, 1 - half), strict=True):
        await store(caller, STORED[start::2])
    # Whose page ends after one match sees another one there: such rows say nothing of a half.
    own = {each["id"] for each in STORED[half::2]}
    directory = {key for key, name in TYPE_OF.items() if name in DIRECTORY}
    await check_table(callers[0], own | directory, [row for row in ROWS if "_count=1" not in row.query])
