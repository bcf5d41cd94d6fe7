"""Walks a resource by the tables: structure, primitives, required bindings, invariants, narrative."""

from typing import Any

from app.fhir.bindings import check_code, check_coding, check_concept
from app.fhir.findings import Findings, extend_place
from app.fhir.invariants import Context, Invariant
from app.fhir.narrative import check_narrative
from app.fhir.references import NAMES
from app.fhir.shapes import SHAPES, SIBLING, UNKNOWN_RESOURCE, Binding, Element, Shape

DEEPEST = 100
_NULL = "null stands only in a list of values, beside the _list with their extensions (R4 json)"
_ELE_1 = "ele-1: an element has a value or children, not only an id"
_EXT_1 = "ext-1: an extension has either a value or extensions"


class StructureWalk:
    """One walk through one resource; what it finds goes to ``findings``.

    ``undescribed`` tells afterwards whether it came upon a resource inside that the tables do not describe.
    """

    __slots__ = ("context", "depth", "findings", "stopped", "undescribed")

    def __init__(self, resource: dict[str, Any], findings: Findings) -> None:
        self.findings = findings
        self.context = Context(resource)
        self.depth = 0
        self.stopped = False
        self.undescribed = False

    def walk_resource(self, node: dict[str, Any], place: str) -> None:
        """A resource whose type is known to be one of R4."""
        shape = SHAPES.get(node["resourceType"], UNKNOWN_RESOURCE)
        self.undescribed = self.undescribed or shape is UNKNOWN_RESOURCE
        self._walk_object(node, shape, place)

    def _walk_object(self, node: Any, shape: Shape, place: str) -> None:
        if not isinstance(node, dict):
            self.findings.add("structure", place, f"A JSON object is wanted here ({shape.name})")
            return
        if not node:
            self.findings.add("structure", place, "An empty object is not a value (R4 json)")
            return
        if self.depth >= DEEPEST or self.stopped:
            self._stop(place)
            return
        self.depth += 1
        choices = self._walk_keys(node, shape, place)
        self.depth -= 1
        for name, keys in shape.required:
            if keys.isdisjoint(node):
                self.findings.add("required", f"{place}.{name}", f"{shape.name} needs {name}")
        if len(node) == 1 and "id" in node and shape is not SIBLING:
            self.findings.add("invariant", place, _ELE_1)
        if shape.name == "Extension" and (choices is not None) == ("extension" in node):
            self.findings.add("invariant", place, _EXT_1)
        if shape.invariants:
            self._check_invariants(node, shape.invariants, place)

    def _walk_keys(self, node: dict[str, Any], shape: Shape, place: str) -> dict[str, str] | None:
        """Walks the values of an object; gives which key was used for each choice."""
        elements = shape.elements
        choices: dict[str, str] | None = None
        for key, value in node.items():
            element = elements.get(key)
            if element is None:
                element = shape.siblings.get(key)
                if element is None:
                    self._walk_unknown_key(key, value, shape, place)
                    continue
                self._walk_sibling(node, value, element, f"{place}.{element.name}")
            elif element.many:
                self._walk_list(node, value, element, f"{place}.{element.name}")
            else:
                self._walk_value(value, element, f"{place}.{element.name}")
            if element.choice is not None:
                choices = {} if choices is None else choices
                if choices.setdefault(element.choice, element.key) != element.key:
                    reason = f"Only one of {element.choice}[x] may be there"
                    self.findings.add("structure", f"{place}.{element.name}", reason)
        return choices

    def _walk_unknown_key(self, key: Any, value: Any, shape: Shape, place: str) -> None:
        if key == "resourceType" and self._is_resource(shape):
            return
        if shape.open and isinstance(key, str):
            self._walk_unknown(value, extend_place(place, key))
            return
        self.findings.add("structure", extend_place(place, key), f"{shape.name} has no such element")

    def _is_resource(self, shape: Shape) -> bool:
        return shape.open or shape.name in NAMES

    def _walk_list(self, node: dict[str, Any], values: Any, element: Element, place: str) -> None:
        if not isinstance(values, list):
            self.findings.add("structure", place, f"A list is wanted here: {element.key} may repeat")
            return
        if not values:
            self.findings.add("structure", place, "An empty list is not a value (R4 json)")
            return
        siblings = node.get(f"_{element.key}") if element.sibling else None
        for index, value in enumerate(values):
            if value is None and isinstance(siblings, list) and index < len(siblings) and siblings[index]:
                continue
            self._walk_value(value, element, f"{place}[{index}]")

    def _walk_value(self, value: Any, element: Element, place: str) -> None:
        if value is None:
            self.findings.add("structure", place, _NULL)
        elif isinstance(value, list):
            self.findings.add("structure", place, "One value is wanted here, not a list")
        elif element.grammar is not None:
            problem = element.grammar(value)
            if problem is not None:
                self.findings.add(*_at(place, problem))
            elif element.binding is not None:
                self._note("code-invalid", place, check_code(value, element.binding))
        elif element.kind == "complex":
            self._walk_object(value, SHAPES[element.type], place)
            if isinstance(value, dict):
                if element.binding is not None:
                    self._check_binding(value, element.type, element.binding, place)
                if element.invariants:
                    self._check_invariants(value, element.invariants, place)
        elif element.kind == "narrative":
            for key, reason in check_narrative(value):
                self.findings.add("invariant", place, f"{key}: {reason}")
        else:
            self._walk_held_resource(value, element, place)

    def _walk_held_resource(self, value: Any, element: Element, place: str) -> None:
        if not isinstance(value, dict):
            self.findings.add("structure", place, "A JSON object is wanted here (a resource)")
            return
        name = value.get("resourceType")
        if not isinstance(name, str) or name not in NAMES:
            reason = "resourceType has to name a resource type of FHIR R4"
            self.findings.add("structure", f"{place}.resourceType", reason)
        elif element.key == "contained":
            self.walk_resource(value, place)
        elif element.key != "resource":  # that one is validated on its own
            self.undescribed = True

    def _walk_sibling(self, node: dict[str, Any], sibling: Any, element: Element, place: str) -> None:
        value = node.get(element.key)
        if not element.many:
            self._walk_extended(sibling, value, place)
            return
        if not isinstance(sibling, list) or not sibling:
            reason = f"A list is wanted for _{element.key}, beside the values"
            self.findings.add("structure", place, reason)
            return
        values = value if isinstance(value, list) else []
        for index, each in enumerate(sibling):
            beside = values[index] if index < len(values) else None
            if each is None:
                if index >= len(values):
                    self.findings.add("structure", f"{place}[{index}]", "Neither a value nor an extension is here")
            else:
                self._walk_extended(each, beside, f"{place}[{index}]")

    def _walk_extended(self, sibling: Any, value: Any, place: str) -> None:
        self._walk_object(sibling, SIBLING, place)
        if value is None and isinstance(sibling, dict) and sibling and "extension" not in sibling:
            self.findings.add("invariant", place, _ELE_1)

    def _walk_unknown(self, value: Any, place: str, beside: bool = False) -> None:
        """Nulls and emptiness in what the tables do not describe."""
        if isinstance(value, dict | list) and (self.depth >= DEEPEST or self.stopped):
            self._stop(place)
            return
        self.depth += 1
        if value is None and not beside:
            self.findings.add("structure", place, _NULL)
        elif isinstance(value, dict | list | str) and not value:
            self.findings.add("structure", place, "An empty object, list or string is not a value (R4 json)")
        elif isinstance(value, dict):
            for key, child in value.items():
                self._walk_unknown(child, extend_place(place, key), isinstance(child, list) and _has_twin(value, key))
        elif isinstance(value, list):
            for index, child in enumerate(value):
                self._walk_unknown(child, f"{place}[{index}]", beside)
        self.depth -= 1

    def _stop(self, place: str) -> None:
        if not self.stopped:
            self.stopped = True
            self.findings.add("structure", place, f"Elements are nested deeper than {DEEPEST} levels")

    def _check_binding(self, value: dict[str, Any], type_name: str, binding: Binding, place: str) -> None:
        check = check_coding if type_name == "Coding" else check_concept
        self._note("code-invalid", place, check(value, binding))

    def _check_invariants(self, node: dict[str, Any], invariants: tuple[Invariant, ...], place: str) -> None:
        if self.stopped:  # what is too deep may be a loop, and some invariants look at all that is below
            return
        for invariant in invariants:
            for below in invariant.find(node, self.context):
                self.findings.add("invariant", place + below, f"{invariant.key}: {invariant.demand}")

    def _note(self, code: str, place: str, reason: str | None) -> None:
        if reason is not None:
            self.findings.add(code, place, reason)


def _at(place: str, problem: tuple[str, str]) -> tuple[str, str, str]:
    return problem[0], place, problem[1]


def _has_twin(node: dict[str, Any], key: Any) -> bool:
    """Whether a list of values has a list of extensions beside it, or the other way round."""
    if not isinstance(key, str):
        return False
    return isinstance(node.get(key[1:] if key.startswith("_") else f"_{key}"), list)
