"""Takes out of a receiver's answer what it repeats of the message, so that dead letters tell nothing of patients."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import orjson

SHORTEST = 3
"""Characters of a value that would say something."""
TAKEN_OUT = "[...]"
NOT_KEPT = "(not kept: the message held a resource)"


def strip_echo(answer: str, body: bytes, headers: Iterable[str]) -> str:
    """The answer without the values of the message and of its headers, as JSON, HTML and an address write them."""
    values = {text for text in (*read_texts(body), *headers) if len(text) >= SHORTEST}
    forms = {form for text in values for form in write_forms(text)}
    if not forms:
        return answer
    # The longest first: a value may stand in another one.
    ordered = sorted(forms, key=len, reverse=True)
    kept = re.sub("|".join(map(re.escape, ordered)), TAKEN_OUT, answer, flags=re.IGNORECASE)
    # Only its beginning was read: it may end within a value.
    begun = (n for form in ordered for n in range(len(form) - 1, SHORTEST - 1, -1) if kept.endswith(form[:n]))
    cut = max(begun, default=0)
    return kept[:-cut] + TAKEN_OUT if cut else kept


def read_texts(body: bytes) -> list[str]:
    """Every text in a JSON body; nothing of an empty one."""
    return list(walk_texts(orjson.loads(body))) if body else []


def walk_texts(node: Any) -> Iterator[str]:
    """The names of elements are ours, and say nothing."""
    if isinstance(node, dict):
        for each in node.values():
            yield from walk_texts(each)
    elif isinstance(node, list):
        for each in node:
            yield from walk_texts(each)
    elif isinstance(node, str):
        yield node


def write_forms(text: str) -> Iterator[str]:
    """The ways in which an answer may write a value."""
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield html.escape(text)
    yield quote(text, safe="")
    yield quote(text)
