"""What the invariants of questionnaires, groups, terminology and search parameters demand (R4)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from app.fhir.element_access import Node, has, is_distinct, objects, text

Rule = tuple[str, Callable[[Node], bool]]

OPTION_TYPES = frozenset(
    {"choice", "open-choice", "decimal", "integer", "date", "dateTime", "time", "string", "quantity"}
)
LENGTH_TYPES = frozenset({"boolean", "decimal", "integer", "string", "text", "url", "open-choice"})


def _collect(node: Node, child: str, name: str) -> list[str]:
    """A string of every descendant by way of ``child`` elements, at any depth."""
    found: list[str] = []
    waiting = objects(node, child)
    while waiting:
        each = waiting.pop()
        if value := text(each, name):
            found.append(value)
        waiting += objects(each, child)
    return found


def _lacks(kind: str, *names: str) -> Callable[[Node], bool]:
    """An item of this type has none of the elements."""
    return lambda node: text(node, "type") != kind or not has(node, *names)


def _nests_as_its_type_says(node: Node) -> bool:
    return has(node, "item") if text(node, "type") == "group" else _lacks("display", "item")(node)


def _has_options_where_they_fit(node: Node) -> bool:
    return text(node, "type") in OPTION_TYPES or not has(node, "answerValueSet", "answerOption")


def _repeats_its_initial_values(node: Node) -> bool:
    initial = node.get("initial")
    return node.get("repeats") is True or not isinstance(initial, list) or len(initial) <= 1


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "grp-1": (
            "only an actual group has members",
            lambda node: not has(node, "member") or node.get("actual") is True,
        ),
        "que-1": ("a group has items, a display none", _nests_as_its_type_says),
        "que-2": ("linkId is unique in a questionnaire", lambda node: is_distinct(_collect(node, "item", "linkId"))),
        "que-3": ("a display has no code", _lacks("display", "code")),
        "que-4": (
            "answerOption and answerValueSet exclude each other",
            lambda node: not (has(node, "answerOption") and has(node, "answerValueSet")),
        ),
        "que-5": ("a type of answers that can be listed", _has_options_where_they_fit),
        "que-6": ("a display neither is required nor repeats", _lacks("display", "required", "repeats")),
        "que-7": (
            "the operator exists takes answerBoolean",
            lambda node: text(node, "operator") != "exists" or has(node, "answerBoolean"),
        ),
        "que-8": (
            "a group or display has no initial value",
            lambda node: _lacks("group", "initial")(node) and _lacks("display", "initial")(node),
        ),
        "que-9": ("a display is not readOnly", _lacks("display", "readOnly")),
        "que-10": (
            "maxLength is for types of some length",
            lambda node: text(node, "type") in LENGTH_TYPES or not has(node, "maxLength"),
        ),
        "que-11": (
            "initial values are marked in answerOption where there is one",
            lambda node: not (has(node, "answerOption") and has(node, "initial")),
        ),
        "que-12": (
            "more than two conditions need enableBehavior",
            lambda node: len(objects(node, "enableWhen")) <= 2 or has(node, "enableBehavior"),
        ),
        "que-13": ("only what repeats has several initial values", _repeats_its_initial_values),
        "qrs-1": (
            "items nest in an item or in its answers, not in both",
            lambda node: not (has(node, "answer") and has(node, "item")),
        ),
        "csd-1": ("codes are unique in a code system", lambda node: is_distinct(_collect(node, "concept", "code"))),
        "vsd-1": ("what is included has a system or a value set", lambda node: has(node, "valueSet", "system")),
        "vsd-2": (
            "concepts and filters need a system",
            lambda node: has(node, "system") or not has(node, "concept", "filter"),
        ),
        "vsd-3": (
            "concepts and filters exclude each other",
            lambda node: not (has(node, "concept") and has(node, "filter")),
        ),
        "vsd-6": ("an entry has a code or a display", lambda node: has(node, "code", "display")),
        "vsd-9": ("an entry has a code or is abstract", lambda node: has(node, "code") or node.get("abstract") is True),
        "vsd-10": ("a code needs a system", lambda node: not has(node, "code") or has(node, "system")),
        "spd-1": ("an xpath needs its usage", lambda node: not has(node, "xpath") or has(node, "xpathUsage")),
        "spd-2": (
            "chains are for references",
            lambda node: not has(node, "chain") or text(node, "type") == "reference",
        ),
    }
)
"""By key: the demand in words, and a function that tells whether an element meets it."""
