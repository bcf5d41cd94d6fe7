"""Names are found as people type them."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.search.folding import fold_text
from app.search.keys import index_key


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("nguyen", "Nguyễn"),
        ("nguyen", unicodedata.normalize("NFD", "Nguyễn")),
        ("dang", "Đặng"),
        ("le thi  huong", "Lê Thị Hương"),
        ("សុខ", "សុខ"),
        ("strasse", "Straße"),
    ],
)
def test_folded_alike(typed: str, written: str) -> None:
    assert fold_text(typed) == fold_text(written)


def test_khmer_vowels_stay() -> None:
    assert fold_text("សុខ") != fold_text("សខ")


@given(st.text(max_size=60))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold_text(fold_text(text)) == fold_text(text)


@given(st.text(min_size=0, max_size=900), st.text(min_size=0, max_size=900))
def test_keys_are_equal_exactly_when_values_are(one: str, other: str) -> None:
    assert (index_key(one) == index_key(other)) == (one == other)
    assert len(index_key(one)) < 500
