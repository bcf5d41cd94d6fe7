"""SMART scopes v2: what is read, what is refused, and what covers what."""

import pytest

from app.access.scopes import format_scopes, narrow_scopes, offered_scopes, parse_scopes
from app.core.errors import Invalid


def letters(text: str) -> frozenset[str]:
    return frozenset(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("system/Task.rs", (("Task", letters("rs")),)),
        ("system/*.cruds", (("*", letters("cruds")),)),
        ("system/Task.r system/Patient.c", (("Task", letters("r")), ("Patient", letters("c")))),
        ("system/Task.r system/Task.s", (("Task", letters("rs")),)),
        ("  system/Task.r  ", (("Task", letters("r")),)),
    ],
)
def test_reads(text: str, expected: tuple[tuple[str, frozenset[str]], ...]) -> None:
    assert parse_scopes(text) == expected


REFUSED = [
    "system/Task.sr",
    "system/Task.rr",
    "system/Task.",
    "system/Task.x",
    "system/Task.R",
    "system/Task.rs\n",
    "system/Task",
    "system/Task.read",
    "system/Task.write",
    "system/Task.*",
    "system/*.*",
    "system/*.read",
    "system/task.rs",
    "system/Unicorn.rs",
    "system/.rs",
    "system/Task.rs?",
    "system/Task?status=requested.rs",
    "user/Task.rs",
    "patient/Task.rs",
    "launch/patient",
    "openid",
    "offline_access",
    "SYSTEM/Task.rs",
    "system/Task.rs,system/Patient.rs",
    "system/Tasк.rs",
]


@pytest.mark.parametrize("scope", REFUSED)
def test_refuses_by_name(scope: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_scopes(f"system/Patient.r {scope}")
    assert repr(scope) in refusal.value.diagnostics


@pytest.mark.parametrize("text", ["", " ", "x" * 4_001, "system/Task.r\tsystem/Patient.r"])
def test_refuses_what_is_no_list(text: str) -> None:
    with pytest.raises(Invalid):
        parse_scopes(text)


def test_says_why_a_suffix_is_refused() -> None:
    with pytest.raises(Invalid, match="narrows r and s only"):
        parse_scopes("system/Task.cruds?status=requested")


@pytest.mark.parametrize(
    ("requested", "granted"),
    [
        ("system/Task.rs", "system/Task.rs"),
        ("system/Task.r", "system/Task.cruds"),
        ("system/Task.r", "system/*.r"),
        ("system/Task.rs", "system/*.r system/Task.s"),
        ("system/*.r", "system/*.cruds"),
    ],
)
def test_gives_what_is_covered(requested: str, granted: str) -> None:
    asked = parse_scopes(requested)
    assert narrow_scopes(asked, parse_scopes(granted)) == asked


@pytest.mark.parametrize(
    ("requested", "granted"),
    [
        ("system/Task.ru", "system/Task.rs"),
        ("system/Patient.r", "system/Task.cruds"),
        ("system/*.r", "system/Task.r system/Patient.r"),
        ("system/Task.r system/Patient.r", "system/Task.r"),
    ],
)
def test_refuses_what_goes_further(requested: str, granted: str) -> None:
    with pytest.raises(Invalid, match="goes further"):
        narrow_scopes(parse_scopes(requested), parse_scopes(granted))


def test_writes_letters_in_order() -> None:
    text = "system/*.cruds system/Task.rs"
    assert format_scopes(parse_scopes(text)) == text


def test_every_scope_on_offer_is_understood() -> None:
    assert len(parse_scopes(" ".join(offered_scopes()))) == len(offered_scopes())
