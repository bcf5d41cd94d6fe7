"""Short texts are worked out once; a long one leaves nothing behind."""

from app.core.kept import LONGEST, MOST, MOST_PAIRS, is_short, keep_short


def test_a_short_text_is_worked_out_once_and_a_long_one_each_time() -> None:
    asked: list[str] = []

    @keep_short
    def shout(text: str) -> str:
        asked.append(text)
        return text.upper()

    for text in ("a", "a", "b" * (LONGEST + 1), "b" * (LONGEST + 1)):
        assert shout(text) == text.upper()
    assert asked == ["a", "b" * (LONGEST + 1), "b" * (LONGEST + 1)]


def test_only_so_many_are_kept() -> None:
    asked: list[str] = []
    keep = keep_short(asked.append)
    for n in range(MOST + 1):
        keep(str(n))
    keep("0")
    assert asked[-1] == "0"
    assert len(asked) == MOST + 2


def test_many_empty_parameters_are_no_short_query() -> None:
    assert is_short([("name", "x")] * MOST_PAIRS)
    assert not is_short([("", "")] * (MOST_PAIRS + 1))
    assert not is_short([("name", "x" * LONGEST)])
