"""Which addresses a mail may go to."""

import pytest

from app.core.errors import Unprocessable
from app.core.settings import Settings
from app.core.smtp import SmtpFailure
from app.delivery.mail_request import check_address
from app.delivery.outcome import judge_mail, parse_schedule


@pytest.mark.parametrize(
    "address", ["a@b.example", "social.work+x@mail.hospital.example", "o'neil@b.example", "x@xn--bcher-kva.example"]
)
def test_plain_addresses(address: str) -> None:
    check_address(f"mailto:{address}", Settings(), "e")


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        1,
        "",
        "a@b.example",
        "mailto:",
        "MAILTO:a@b.example",
        "mailto:a",
        "mailto:a@b",
        "mailto:a@b.example,c@d.example",
        "mailto:a@b.example;c@d.example",
        "mailto:a@b.example c@d.example",
        "mailto:a@b.example?bcc=c@d.example",
        "mailto:a@b.example%0d%0aBcc:c@d.example",
        "mailto:a@b.example\r\nBcc: c@d.example",
        "mailto:a@b.example\n",
        "mailto:a\n@b.example",
        "mailto:a@b@c.example",
        "mailto:<a@b.example>",
        'mailto:"a b"@c.example',
        "mailto:A <a@b.example>",
        "mailto:a..b@c.example",
        "mailto:.a@c.example",
        "mailto:a@-b.example",
        "mailto:a@b-.example",
        "mailto:a@b..example",
        "mailto:a@b.example.",
        "mailto:a@[127.0.0.1]",
        "mailto:a@127.0.0.1",
        "mailto:bücher@b.example",
        "mailto:a@bücher.example",
        "mailto:a@b\u0000.example",
        f"mailto:{'a' * 65}@b.example",
        f"mailto:a@{'b.' * 130}example",
    ],
)
def test_whatever_is_no_plain_address_is_refused(endpoint: object) -> None:
    with pytest.raises(Unprocessable):
        check_address(endpoint, Settings(), "e")


SCHEDULE = parse_schedule("0,10,100")


@pytest.mark.parametrize(
    ("refused", "attempts", "age", "state"),
    [
        (False, 1, 9_999, "queued"),
        (False, 3, 0, "dead"),
        (True, 1, 0, "queued"),
        (True, 1, 3_600, "dead"),
    ],
)
def test_what_is_refused_for_good_is_tried_for_an_hour(refused: bool, attempts: int, age: float, state: str) -> None:
    failure = SmtpFailure("refused", reply=550, text="no", refused=refused)
    result = judge_mail(failure, attempts, age, SCHEDULE, 5)
    assert (result.state, result.status, result.answer) == (state, 550, "no")
