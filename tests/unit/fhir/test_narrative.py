"""check_narrative(): what may stand in a narrative and what may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.narrative import check_narrative
from tests.unit.fhir.samples import XHTML


def write(inner: str) -> str:
    """A narrative with this content."""
    return f'<div xmlns="{XHTML}">{inner}</div>'


def find_keys(div: object) -> list[str]:
    """Keys of the invariants that are broken."""
    return [key for key, _ in check_narrative(div)]


@pytest.mark.parametrize(
    "inner",
    [
        "x",
        "<p>Zoë &amp; co &#160; <b>bold</b><br/></p>",
        '<table border="1"><tbody><tr><td colspan="2" style="color: red; background: #fff">x</td></tr></tbody></table>',
        '<a href="http://example.org/?a=1&amp;b=2" title="x" name="y">x</a>',
        '<a href="Patient/1">x</a><a href="#a">y</a><a href="mailto:a@example.org">z</a>',
        '<img src="data:image/png;base64,AAAA" alt=""/>',
        '<img src="#pic"/>',
        '<span xml:lang="nl" lang="nl" dir="ltr" class="a" id="b">x</span>',
        "<!-- a comment -->x",
        "<ul><li>a</li></ul><dl><dt>a</dt><dd>b</dd></dl><pre>c</pre><blockquote cite='http://a'>q</blockquote>",
    ],
)
def test_allowed(inner: str) -> None:
    assert check_narrative(write(inner)) == []


@pytest.mark.parametrize(
    "inner",
    [
        "<script>alert(1)</script>",
        "<SCRIPT>alert(1)</SCRIPT>",
        "<iframe src='http://a'/>x",
        "<object/>x",
        "<form><input/></form>x",
        "<link rel='stylesheet' href='a'/>x",
        "<style>p {}</style>x",
        "<base href='http://a'/>x",
        "<font>x</font>",
        "<ins>x</ins>",
        "<p onclick='alert(1)'>x</p>",
        "<p ONCLICK='alert(1)'>x</p>",
        "<img src='x' onerror='alert(1)'/>",
        "<p href='http://a'>x</p>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href=' JaVaScRiPt:alert(1)'>x</a>",
        "<a href='java&#9;script:alert(1)'>x</a>",
        "<a href='data:text/html;base64,AAAA'>x</a>",
        "<a href='vbscript:x'>x</a>",
        "<img src='data:image/svg+xml;base64,AAAA'/>",
        "<p style='background: url(http://a)'>x</p>",
        "<p style='background: u\\72l(http://a)'>x</p>",
        "<p style='width: expression(alert(1))'>x</p>",
        "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>x",
        "<a xmlns:xlink='http://www.w3.org/1999/xlink' xlink:href='http://a'>x</a>",
        "<!--><script>alert(1)</script>-->x",
        "<![CDATA[><script>alert(1)</script>]]>x",
        "<?php x ?>x",
        "&nbsp;x",
        "<p>x",
        "<p>x</div>",
        "<p class='a' class='b'>x</p>",
        "<div>" * 100 + "x" + "</div>" * 100,
        "a\x00b",
        "\ud800",
    ],
)
def test_refused(inner: str) -> None:
    assert set(find_keys(write(inner))) == {"txt-1"}


@pytest.mark.parametrize(
    "div",
    [
        None,
        5,
        "",
        "x",
        "<div>x</div>",
        f'<p xmlns="{XHTML}">x</p>',
        f'<?xml version="1.0"?><div xmlns="{XHTML}">x</div>',
        f'<!DOCTYPE div [<!ENTITY a "b">]><div xmlns="{XHTML}">&a;</div>',
        f'<!DOCTYPE div SYSTEM "http://a"><div xmlns="{XHTML}">x</div>',
        write("x") * 2,
    ],
)
def test_refused_as_a_whole(div: object) -> None:
    assert find_keys(div) == ["txt-1"]


def test_entities_do_not_grow() -> None:
    bomb = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    assert find_keys(f'<!DOCTYPE d [<!ENTITY a0 "a">{bomb}]><div xmlns="{XHTML}">&a9;</div>') == ["txt-1"]


@pytest.mark.parametrize("inner", ["", "  \n\t", "<p> </p>", "&#160;", "\u200b", "<br/>", "<!-- x -->"])
def test_shows_nothing(inner: str) -> None:
    assert find_keys(write(inner)) == ["txt-2"]


def test_reasons_name_elements_but_no_text() -> None:
    (fault,) = check_narrative(write("<blink>Jane Doe</blink>"))
    assert fault == ("txt-1", "the element 'blink' is not allowed")


@given(st.text(alphabet="<>/!-[]&;#x'\"=a \x00\ud800é", max_size=40))
def test_no_text_makes_it_raise(inner: str) -> None:
    assert isinstance(check_narrative(write(inner)), list)
    assert isinstance(check_narrative(inner), list)
