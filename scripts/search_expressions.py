"""Compiles the FHIRPath expressions of official search parameters into paths of JSON keys.

Only the forms that the standard's own parameters use are understood; anything else is refused.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

Json = dict[str, Any]

LEAF_TYPES = {
    "token": {
        "boolean", "canonical", "code", "id", "string", "uri",
        "CodeableConcept", "Coding", "ContactPoint", "Identifier",
    },
    "number": {"integer", "positiveInt", "unsignedInt", "decimal"},
    "quantity": {"Quantity", "Age", "Duration", "Range", "SampledData"},
    "reference": {"Reference", "canonical", "uri"},
    "string": {"string", "markdown", "HumanName", "Address"},
    "date": {"date", "dateTime", "instant", "Period", "Timing"},
    "uri": {"uri", "url", "canonical", "oid", "uuid"},
}  # fmt: skip
"""Types that a kind of parameter can search (R4 search, 3.1.1.4.2 to 3.1.1.4.14)."""

MANY_VALUED = {"CodeableConcept", "Coding", "Identifier", "ContactPoint", "HumanName", "Address", "Timing"}
"""Types of which one element already gives more than one value to search."""

STEP = re.compile(
    r"\.where\(resolve\(\) is (?P<only>\w+)\)"
    r"|\.where\((?P<key>\w+)='(?P<value>[^']*)'\)"
    r"|(?:\.as\(| as |\.ofType\()(?P<cast>\w+)(?P<close>\)?)"
    r"|\.(?P<child>\w+)"
)

TRUTH = re.compile(r"(?P<path>[\w.]+)\.exists\(\) and (?P=path) != false")
"""``Patient.deceased``: a boolean, or a time whose presence says yes; absent says no."""


MISNAMED = {
    "http://hl7.org/fhir/SearchParameter/DocumentReference-relatesto": "token",
    "http://hl7.org/fhir/SearchParameter/DocumentReference-relation": "reference",
}
"""Components of which R4 names each other's definition: DocumentReference ``relationship`` is code$target."""


class CannotCompileError(Exception):
    """An expression has a form that the compiler does not know."""


@dataclass(frozen=True)
class Cursor:
    """Where the compiler stands in a structure: ``choice`` names an open ``value[x]`` not yet cast."""

    steps: tuple[str, ...]
    type: str
    many: bool = False
    targets: tuple[str, ...] = ()
    choice: str = ""
    only: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    tail: tuple[str, ...] = ()
    binding: str = ""


class Compiler:
    """Compiles search parameters against the tables of structures and of required value sets.

    ``kinds`` are those of all parameters by url: the components of a composite name theirs so.
    """

    def __init__(self, structures: dict[str, Json], value_sets: dict[str, Any], kinds: dict[str, str]) -> None:
        self.structures = structures
        self.value_sets = value_sets
        self.kinds = kinds

    def compile(self, resource_type: str, parameter: Json) -> Json:
        """The row of a parameter for one type; raises CannotCompileError where any part is unknown."""
        kind, code = parameter["type"], parameter["code"]
        if kind == "composite":
            return self.compile_composite(resource_type, parameter)
        if kind not in LEAF_TYPES:
            raise CannotCompileError(f"{resource_type}.{code}: parameters of kind {kind} are not known")
        parts = self.split_parts(resource_type, parameter)
        if truth := TRUTH.fullmatch(parts[0]):
            return self.compile_truth(resource_type, parameter, parts[0], truth["path"])
        leaves = [leaf for part in parts for leaf in self.fit(self.walk(resource_type, part), part, kind)]
        row: Json = {"code": code, "kind": kind, "url": parameter["url"], "expression": " | ".join(parts)}
        row["paths"] = [self.describe_leaf(leaf) for leaf in leaves]
        if kind == "reference":
            row["targets"] = join_targets(leaves, parameter.get("target", []))
        versioned = kind == "reference" and any(leaf.type == "canonical" for leaf in leaves)
        row["many"] = len(parts) > 1 or versioned or any(leaf.many or leaf.type in MANY_VALUED for leaf in leaves)
        return row

    def compile_composite(self, resource_type: str, parameter: Json) -> Json:
        """The row of a composite: for each element that holds its components, these, compiled from there."""
        parts = self.split_parts(resource_type, parameter)
        paths = []
        for context in [each for part in parts for each in self.walk(resource_type, part)]:
            components = [self.compile_component(context.type, each) for each in parameter["component"]]
            paths.append({**self.describe_leaf(context), "components": components})
        row: Json = {"code": parameter["code"], "kind": "composite", "url": parameter["url"]}
        return {**row, "expression": " | ".join(parts), "paths": paths, "many": True}

    def compile_component(self, context: str, component: Json) -> Json:
        """One component of a composite: its kind, and its paths from the element that holds it."""
        definition = component["definition"]
        kind = MISNAMED.get(definition) or self.kinds[definition]
        parts = [each.strip() for each in component["expression"].split("|")]
        leaves = [leaf for part in parts for leaf in self.fit(self.walk(context, f"{context}.{part}"), part, kind)]
        row: Json = {"kind": kind, "paths": [self.describe_leaf(leaf) for leaf in leaves]}
        return {**row, "targets": join_targets(leaves, [])} if kind == "reference" else row

    def compile_truth(self, resource_type: str, parameter: Json, expression: str, path: str) -> Json:
        """The row of a parameter that asks whether an element is there and not false."""
        leaves = self.enter_child(Cursor((), resource_type), path.removeprefix(f"{resource_type}."), expression)
        row: Json = {"code": parameter["code"], "kind": "token", "url": parameter["url"], "expression": expression}
        return {**row, "paths": [self.describe_leaf(leaf) for leaf in leaves], "many": False, "absent": "false"}

    def split_parts(self, resource_type: str, parameter: Json) -> list[str]:
        """The operands of the union that are about this type, without outer brackets."""
        parts = []
        for operand in parameter.get("expression", "").split("|"):
            text = operand.strip()
            if re.fullmatch(r"\([^()]*\)", text):
                text = text[1:-1]
            if re.match(rf"\(?{resource_type}\b", text):
                parts.append(text)
        if not parts:
            raise CannotCompileError(f"{resource_type}.{parameter['code']}: no expression for this type")
        return parts

    def walk(self, start: str, part: str) -> list[Cursor]:
        """Where one operand ends, which begins with the type or backbone ``start``: several for an open choice."""
        bracket = part.startswith("(")
        position = len(start) + bracket
        cursors = [Cursor((), start)]
        while position < len(part):
            match = STEP.match(part, position)
            if match is None:
                raise CannotCompileError(f"{part}: unknown at {part[position:]!r}")
            position = match.end()
            if match["cast"] and bracket and match.group().startswith(" as ") and not match["close"]:
                raise CannotCompileError(f"{part}: bracket left open")
            cursors = [after for cursor in cursors for after in self.step(cursor, match, part)]
        return cursors

    def fit(self, cursors: list[Cursor], part: str, kind: str) -> list[Cursor]:
        """The ends of an operand that the kind can search; only an open choice may have others too."""
        fitting = [cursor for cursor in cursors if cursor.type in LEAF_TYPES[kind]]
        if not fitting or (len(fitting) < len(cursors) and not all(cursor.choice for cursor in cursors)):
            raise CannotCompileError(f"{part}: {[c.type for c in cursors]} cannot be searched as {kind}")
        return fitting

    def step(self, cursor: Cursor, match: re.Match[str], part: str) -> list[Cursor]:
        """The cursors after one step of the expression."""
        if match["only"]:
            if cursor.type != "Reference":
                raise CannotCompileError(f"{part}: resolve() on {cursor.type}")
            return [replace(cursor, only=(match["only"],))]
        if match["key"]:
            return [replace(cursor, where=(*cursor.where, (match["key"], match["value"])))]
        if match["cast"]:
            cast = "dateTime" if match["cast"] == "DateTime" else match["cast"]  # so spelt in a composite
            if not cursor.choice and cursor.type == cast:
                return [cursor]
            return [replace(cursor, choice="")] if cursor.choice and cursor.type == cast else []
        if cursor.only or cursor.choice or cursor.tail:
            raise CannotCompileError(f"{part}: a step after a filter or an open choice")
        return self.enter_child(cursor, match["child"], part)

    def enter_child(self, cursor: Cursor, child: str, part: str) -> list[Cursor]:
        """The cursors at a child element; a choice opens into all its types."""
        elements = self.structures.get(cursor.type, {"elements": {}})["elements"]
        keys = [key for key, facts in elements.items() if key == child or facts.get("choice") == child]
        if not keys:
            raise CannotCompileError(f"{part}: {cursor.type} has no element {child}")
        return [
            Cursor(
                cursor.steps if cursor.where else (*cursor.steps, key),
                elements[key]["type"],
                cursor.many or elements[key].get("many", False),
                tuple(elements[key].get("targets", ())),
                elements[key].get("choice", ""),
                where=cursor.where,
                tail=(key,) if cursor.where else (),
                binding=elements[key].get("binding", ""),
            )
            for key in keys
        ]

    def describe_leaf(self, leaf: Cursor) -> Json:
        """A leaf as the table holds it, empty parts left out."""
        row: Json = {"steps": list(leaf.steps), "type": leaf.type}
        if leaf.only:
            row["only"] = list(leaf.only)
        if leaf.where:
            row["where"] = [list(pair) for pair in leaf.where]
        if leaf.tail:
            row["tail"] = list(leaf.tail)
        if leaf.type == "code" and (systems := self.value_sets.get(leaf.binding)):
            row["systems"] = systems if len(systems) > 1 else dict.fromkeys(systems, ())
        return row


def join_targets(leaves: list[Cursor], official: list[str]) -> list[str] | str:
    """The types that a reference may point at; ``*`` where the elements take any."""
    allowed: set[str] = set()
    for leaf in leaves:
        allowed |= set(leaf.only or leaf.targets or ("Resource",))
    if "Resource" in allowed:
        return "*"
    return sorted(allowed & set(official) if official else allowed)
