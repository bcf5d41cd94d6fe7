"""JSON Schemas of the kept resource types and all that they are made of, for the OpenAPI document (R4 json)."""

from collections.abc import Iterable
from typing import Any

from app.fhir.openapi_primitives import PRIMITIVES
from app.fhir.registry import RESOURCE_NAMES, TYPES, load_definition
from app.fhir.shapes import SHAPES, Element, Shape

Json = dict[str, Any]

ANSWERED = ("Bundle", "CapabilityStatement", "OperationOutcome")
"""Resource types that are sent or answered, but not kept."""

VALUE_SET = "http://hl7.org/fhir/ValueSet/"
_VALUE_SETS: dict[str, dict[str, list[str]]] = load_definition("value_sets")
_OF_SIBLING = "Element"
_OF_SIBLINGS = "Elements"


def refer(name: str) -> Json:
    """The reference to a schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def build_schemas() -> dict[str, Json]:
    """Every schema that the kept types need, by name: types and backbones, value sets, primitives."""
    built = {
        "Resource": _build_any_resource(),
        _OF_SIBLING: _build_sibling(),
        _OF_SIBLINGS: {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [refer(_OF_SIBLING), {"type": "null"}]},
            "description": "What stands beside each value of a list, null for nothing",
        },
    }
    waiting = [*TYPES, *ANSWERED, "Extension"]
    while waiting:
        name = waiting.pop()
        if name not in built:
            shape = SHAPES[name]
            built[name] = _build_shape(shape)
            waiting += [each.type for each in shape.elements.values() if each.kind == "complex"]
            built |= {binding: _build_binding(binding) for binding in _list_bindings(shape)}
            built |= {each.type: PRIMITIVES[each.type] for each in shape.elements.values() if each.type in PRIMITIVES}
    return dict(sorted(built.items()))


def _build_any_resource() -> Json:
    return {
        "type": "object",
        "required": ["resourceType"],
        "properties": {"resourceType": {"enum": list(RESOURCE_NAMES)}},
        "description": "A resource of FHIR R4; the schema of each type that this server keeps stands under its name",
    }


def _build_sibling() -> Json:
    return {
        "type": "object",
        "minProperties": 1,
        "properties": {
            "id": refer("string"),
            "extension": {"type": "array", "minItems": 1, "items": refer("Extension")},
        },
        "additionalProperties": False,
        "description": "What stands beside a primitive value under its name with _ before it: id and extensions",
    }


def _build_shape(shape: Shape) -> Json:
    properties: Json = {key: _build_element(each) for key, each in shape.elements.items()}
    required = []
    if shape.name in RESOURCE_NAMES:
        properties = {"resourceType": {"const": shape.name}, **properties}
        required.append("resourceType")
    alternatives = list(_list_alternatives(shape))
    required += [group[0] for group in alternatives if len(group) == 1]
    built: Json = {"type": "object", "properties": properties}
    if required:
        built["required"] = required
    siblings = _build_siblings(shape)
    if siblings:
        built["patternProperties"] = siblings
    conditions = [{"anyOf": [{"required": [key]} for key in group]} for group in alternatives if len(group) > 1]
    conditions += _list_choices(shape)
    if conditions:
        built["allOf"] = conditions
    built["additionalProperties"] = False
    if shape.name in RESOURCE_NAMES:
        built["externalDocs"] = {"url": f"http://hl7.org/fhir/R4/{shape.name.lower()}.html"}
    return built


def _list_alternatives(shape: Shape) -> Iterable[list[str]]:
    """For each required element the keys of which one has to be there; choices are told by ``_list_choices``."""
    for name, keys in shape.required:
        if not any(each.choice == name for each in shape.elements.values()):
            yield [key for key in (name, f"_{name}") if key in keys and (key == name or key in shape.siblings)]


def _list_choices(shape: Shape) -> Iterable[Json]:
    """For each choice that at most one of its keys is there, or just one where it is required."""
    choices: dict[str, list[Element]] = {}
    for each in shape.elements.values():
        if each.choice:
            choices.setdefault(each.choice, []).append(each)
    required = {name for name, _ in shape.required}
    for name, elements in choices.items():
        present = [_tell_present(each) for each in elements]
        if shape.name == "Extension":
            present.append({"required": ["extension"]})  # ext-1: a value or extensions
        elif name not in required:
            present.append({"not": {"anyOf": present.copy()}})
        if len(present) > 1:
            yield {"oneOf": present}


def _tell_present(element: Element) -> Json:
    if not element.sibling:
        return {"required": [element.key]}
    return {"anyOf": [{"required": [element.key]}, {"required": [f"_{element.key}"]}]}


def _build_siblings(shape: Shape) -> Json:
    built: Json = {}
    for name, many in ((_OF_SIBLING, False), (_OF_SIBLINGS, True)):
        keys = [each.key for each in shape.elements.values() if each.sibling and each.many == many]
        if keys:
            built[f"^_({'|'.join(keys)})$"] = refer(name)
    return built


def _build_element(element: Element) -> Json:
    value = refer(element.type if element.binding is None else _name_binding(element))
    if not element.many:
        return value
    if element.sibling:
        value = {"anyOf": [value, {"type": "null"}]}
    return {"type": "array", "minItems": 1, "items": value}


def _name_binding(element: Element) -> str:
    if element.binding is None:
        raise ValueError(element.key)
    prefix = "codes" if element.kind == "primitive" else element.type
    return f"{prefix}.{element.binding.url.removeprefix(VALUE_SET)}"


def _list_bindings(shape: Shape) -> set[str]:
    return {_name_binding(each) for each in shape.elements.values() if each.binding is not None}


def _build_binding(name: str) -> Json:
    kind, _, value_set = name.partition(".")
    url = VALUE_SET + value_set
    listed = _VALUE_SETS[url]
    if kind == "codes":
        return {"type": "string", "enum": sorted({code for codes in listed.values() for code in codes}), "title": url}
    codings = [
        {
            "required": ["system", "code"],
            "properties": {"system": {"const": system}, "code": {"enum": codes}},
        }
        for system, codes in listed.items()
    ]
    coding = codings[0] if len(codings) == 1 else {"anyOf": codings}
    built: Json = {"title": url, "allOf": [refer(kind)]}
    if kind == "Coding":
        return {**built, **coding}
    told = {"required": ["coding"], "properties": {"coding": {"contains": coding}}}
    untold = {
        "required": ["extension"],
        "not": {"anyOf": [{"required": ["coding"]}, {"required": ["text"]}]},
    }
    return {**built, "anyOf": [told, untold]}
