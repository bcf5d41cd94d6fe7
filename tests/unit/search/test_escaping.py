"""What the escape of search values means, and what is no escape (R4 search, 3.1.1.4.19)."""

import pytest

from app.search.escaping import is_escaped, split_values, unescape


@pytest.mark.parametrize(
    ("text", "values"),
    [("a,b", ["a", "b"]), (r"a\,b", ["a,b"]), (r"a\\,b", ["a\\", "b"]), (r"\$\|", ["$|"]), ("", [""]), (",", ["", ""])],
)
def test_values(text: str, values: list[str]) -> None:
    assert is_escaped(text)
    assert [unescape(each) for each in split_values(text, ",")] == values


@pytest.mark.parametrize("text", ["\\", r"a\b", r"a\\\b", r"\,\\" + "\\", "\\\n"])
def test_a_stray_backslash(text: str) -> None:
    assert not is_escaped(text)
