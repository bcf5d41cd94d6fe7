"""Checks the XHTML of a narrative: safe to show, and not empty (R4 narrative, 2.4.0; txt-1, txt-2)."""

import re
from typing import Any
from xml.parsers import expat

from app.fhir.registry import load_definition

_XHTML = "http://www.w3.org/1999/xhtml"
_XML = "http://www.w3.org/XML/1998/namespace"
_DEEPEST = 64

_ALLOWED = load_definition("narrative")
_TAGS = frozenset(_ALLOWED["tags"])
_ATTRIBUTES = frozenset(_ALLOWED["attributes"])
_ATTRIBUTES_OF = {tag: frozenset(names) for tag, names in _ALLOWED["attributes_of"].items()}
_XML_ATTRIBUTES = frozenset({f"{_XML} lang", f"{_XML} space"})
_ADDRESSES = frozenset({"href", "src", "cite", "longdesc", "usemap"})
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_SAFE_SCHEMES = frozenset({"http", "https", "mailto", "tel", "fax", "ftp", "cid", "urn"})
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028\u2029\ufeff]+")
_SAFE_IMAGE = re.compile(r"data:image/(?:png|jpeg|jpg|gif|webp|bmp)[;,]", re.IGNORECASE)
# A backslash or a comment can hide url( from a reader of the text but not from a browser.
_UNSAFE_STYLE = re.compile(r"url\s*\(|expression|javascript:|@import|behavior\s*:|binding\s*:|\\|/\*", re.IGNORECASE)

Fault = tuple[str, str]
"""The key of an invariant and what is wrong."""


class _RefusedError(Exception):
    """The text is not to be read any further."""


class _Reader:
    """The events of one narrative; ``faults`` are what was found, each once."""

    def __init__(self) -> None:
        self.depth = 0
        self.shown = False
        self.faults: dict[Fault, None] = {}

    def fault(self, reason: str) -> None:
        self.faults["txt-1", reason] = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _RefusedError(f"elements are nested deeper than {_DEEPEST} levels")
        space, _, tag = name.rpartition(" ")
        if space != _XHTML:
            raise _RefusedError(f"an element is not in the namespace {_XHTML}")
        if self.depth == 1 and tag != "div":
            raise _RefusedError("the outermost element is not div")
        if tag not in _TAGS:
            self.fault(f"the element {_show(tag)} is not allowed")
            return
        if tag == "img":
            self.shown = True
        own = _ATTRIBUTES_OF.get(tag, frozenset())
        for attribute, value in attributes.items():
            if attribute not in _ATTRIBUTES and attribute not in own and attribute not in _XML_ATTRIBUTES:
                self.fault(f"the attribute {_show(attribute)} of {tag} is not allowed")
            elif attribute in _ADDRESSES and not _is_safe_address(value, tag):
                self.fault(f"the address in {attribute} of {tag} is not allowed")
            elif attribute == "style" and _UNSAFE_STYLE.search(value):
                self.fault(f"the style of {tag} reaches outside the narrative")

    def end(self, _name: str) -> None:
        self.depth -= 1

    def text(self, characters: str) -> None:
        if not self.shown and _UNSEEN.sub("", characters).strip():
            self.shown = True

    def refuse_doctype(self, *_args: object) -> None:
        raise _RefusedError("a document type is not allowed")

    def refuse_instruction(self, *_args: object) -> None:
        raise _RefusedError("a declaration or processing instruction is not allowed")

    def refuse_cdata(self) -> None:
        raise _RefusedError("a CDATA section is not allowed")  # HTML ends it at the first >, and runs what follows

    def comment(self, characters: str) -> None:
        if characters.startswith((">", "->")):
            raise _RefusedError("a comment may not begin with >")  # HTML takes <!--> for a whole comment


def _show(name: str) -> str:
    local = name.rpartition(" ")[2]
    return f"'{local}'" if len(local) <= 20 and local.isascii() and local.isalnum() else "given"


def _is_safe_address(address: str, tag: str) -> bool:
    compact = _UNSEEN.sub("", address)  # browsers skip these: java&#9;script: runs
    found = _SCHEME.match(compact)
    if found is None or found[1].lower() in _SAFE_SCHEMES:
        return True
    return tag == "img" and _SAFE_IMAGE.match(compact) is not None


def check_narrative(div: Any) -> list[Fault]:
    """What is wrong with the content of ``Narrative.div``; an empty list if nothing is."""
    if not isinstance(div, str):
        return [("txt-1", "the narrative is not a string")]
    reader = _Reader()
    parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    parser.XmlDeclHandler = reader.refuse_instruction
    parser.ProcessingInstructionHandler = reader.refuse_instruction
    parser.StartCdataSectionHandler = reader.refuse_cdata
    parser.CommentHandler = reader.comment
    try:
        parser.Parse(div.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        return [("txt-1", f"not well-formed XHTML: {reason}, line {error.lineno} column {error.offset + 1}")]
    except _RefusedError as error:
        return [("txt-1", str(error))]
    faults = list(reader.faults)
    if not reader.shown:
        faults.append(("txt-2", "the narrative shows nothing"))
    return faults
