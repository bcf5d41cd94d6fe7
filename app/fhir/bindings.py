"""Checks required bindings (R4 terminologies, 4.1.5)."""

import re
from typing import Any

from app.fhir.element_access import Node, objects, text
from app.fhir.shapes import Binding

_MOST_LISTED = 20
_SHORT_CODE = re.compile(r"[A-Za-z0-9.\-]{1,32}")


def check_code(value: Any, binding: Binding) -> str | None:
    """What is wrong with a code that has the grammar of one."""
    if value in binding.codes:
        return None
    named = f"The code {value!r}" if _SHORT_CODE.fullmatch(value) else "The code"
    return f"{named} is not in {binding.url}{_list_codes(binding)}"


def check_concept(concept: Node, binding: Binding) -> str | None:
    """What is wrong with a CodeableConcept: one of its codings has to be in the value set.

    One that is only an extension says that there is no concept, and passes.
    """
    codings = objects(concept, "coding")
    if not codings and "text" not in concept and "extension" in concept:
        return None
    if any(check_coding(coding, binding) is None for coding in codings):
        return None
    return f"None of the codings is in {binding.url}{_list_codes(binding)}"


def check_coding(coding: Node, binding: Binding) -> str | None:
    """What is wrong with a Coding."""
    if (text(coding, "system"), text(coding, "code")) in binding.concepts:
        return None
    return f"The coding is not in {binding.url}{_list_codes(binding)}"


def _list_codes(binding: Binding) -> str:
    if len(binding.codes) > _MOST_LISTED:
        return ""
    return f"; there are: {', '.join(sorted(binding.codes))}"
