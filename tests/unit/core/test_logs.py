"""The log names an error's kind and places, and nothing of its text."""

import io
import logging

from app.core.logs import FORMAT, PlainFormatter, describe_error


def fail() -> None:
    try:
        int("canary1")
    except ValueError as error:
        raise KeyError("canary2") from error


def test_the_text_of_an_exception_is_left_out() -> None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(PlainFormatter(FORMAT))
    logger = logging.Logger("here")
    logger.addHandler(handler)
    try:
        fail()
    except KeyError:
        logger.exception("It failed")
    lines = said.getvalue().splitlines()
    assert lines[0] == "ERROR here: It failed"
    assert [line.split()[0] for line in lines[1:]] == ["KeyError", "ValueError"]
    assert "test_logs.py:" in lines[1]
    assert "canary" not in said.getvalue()


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert describe_error(ValueError("canary")) == ["ValueError at nowhere"]
