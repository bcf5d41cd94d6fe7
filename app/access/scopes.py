"""Reads SMART scopes v2 and narrows what a client asks for to what it was registered with."""

import re

from app.access.narrowing import LETTERS as NARROWED_LETTERS
from app.access.narrowing import read_criteria
from app.core.caller import BREAK_GLASS
from app.core.errors import HandoffError, Invalid
from app.fhir.registry import TYPES

Permissions = tuple[tuple[str, frozenset[str]], ...]
"""A type, ``*``, or a type with the search that narrows it, and its letters."""

LETTERS = "cruds"
GLASS_LETTER = "b"
"""The letter of ``BREAK_GLASS``, which no scope on types has."""
MAX_LENGTH = 4_000
SCOPE = re.compile(r"(?P<context>[a-z]+)/(?P<type>[A-Za-z]+|\*)\.(?P<letters>[^?]*)(?P<suffix>\?.*)?", re.DOTALL)
IN_ORDER = re.compile(r"(?=.)c?r?u?d?s?")


def parse_scopes(text: str) -> Permissions:
    """The types and letters of a list of scopes (SMART App Launch 2.2, Scopes for requesting FHIR resources).

    Raises Invalid with the first scope that is not understood or not offered: nothing is dropped in silence.
    """
    if len(text) > MAX_LENGTH:
        raise Invalid(f"The list of scopes is longer than {MAX_LENGTH} characters")
    found: dict[str, frozenset[str]] = {}
    # RFC 6749, 3.3: the separator is the space alone, so a tab or a line break belongs to a scope, and spoils it.
    for scope in filter(None, text.split(" ")):
        name, letters = (BREAK_GLASS, frozenset(GLASS_LETTER)) if scope == BREAK_GLASS else parse_scope(scope)
        kind, _, query = name.partition("?")
        for other, have in found.items() if query else ():
            if other.startswith(f"{kind}?") and other != name and letters & have:
                raise Invalid(f"Scope {scope!r}: one search narrows a type; join its values with commas")
        found[name] = found.get(name, frozenset()) | letters
    if not found:
        raise Invalid("At least one scope is needed, such as system/Task.rs")
    return tuple(found.items())


def parse_scope(scope: str) -> tuple[str, frozenset[str]]:
    """The type, with the search that narrows it, and the letters of one scope. Raises Invalid."""
    match = SCOPE.fullmatch(scope)
    if match is None:
        raise Invalid(f"Scope {scope!r} is not of the form system/Type.letters, such as system/Task.rs")
    if match["context"] != "system":
        raise Invalid(f"Scope {scope!r}: only system/ scopes are offered here")
    if match["letters"] in ("read", "write", "*"):
        raise Invalid(f"Scope {scope!r} is of SMART v1; write it with letters, such as system/Task.rs")
    if not IN_ORDER.fullmatch(match["letters"]):
        raise Invalid(f"Scope {scope!r}: the letters after the dot are of {LETTERS}, in that order, once each")
    if match["type"] != "*" and match["type"] not in TYPES:
        raise Invalid(f"Scope {scope!r}: {match['type']} is not a resource type of this server")
    suffix = match["suffix"] or ""
    if suffix:
        check_suffix(scope, match["type"], match["letters"], suffix.removeprefix("?"))
    return match["type"] + suffix, frozenset(match["letters"])


def check_suffix(scope: str, resource_type: str, letters: str, query: str) -> None:
    """Raises Invalid for a search by which no scope is narrowed here: it is honoured or refused, never ignored."""
    if not NARROWED_LETTERS.issuperset(letters):
        raise Invalid(f"Scope {scope!r}: a search narrows r and s only")
    try:
        read_criteria(resource_type, query, "")
    except HandoffError as error:
        raise Invalid(f"Scope {scope!r}: {error.diagnostics}") from error


def format_scopes(permissions: Permissions) -> str:
    """The scopes as text, letters in order."""
    return " ".join(format_scope(name, letters) for name, letters in permissions)


def format_scope(name: str, letters: frozenset[str]) -> str:
    """One scope as text."""
    if name == BREAK_GLASS:
        return name
    kind, mark, query = name.partition("?")
    return f"system/{kind}.{''.join(sorted(letters, key=LETTERS.index))}{mark}{query}"


def narrow_scopes(requested: Permissions, granted: Permissions) -> Permissions:
    """What was requested, if what was granted covers all of it (RFC 6749, 3.3).

    Raises Invalid with the first scope that goes further: a client that gets less than it asked for would find
    out only later, by a refusal in the middle of its work.
    """
    for name, letters in requested:
        wide = ("*", name.partition("?")[0], name)
        covered = frozenset[str]().union(*(have for kind, have in granted if kind in wide))
        if not letters <= covered:
            raise Invalid(f"Scope {format_scopes(((name, letters),))!r} goes further than what the client may have")
    return requested


def offered_scopes() -> list[str]:
    """The widest scope of every type, for clients that ask what there is."""
    return [*(f"system/{name}.{LETTERS}" for name in ("*", *sorted(TYPES))), BREAK_GLASS]
