"""Writes app/fhir/definitions/*.json from the official FHIR R4 definitions.

    python -m scripts.generate_definitions [DIRECTORY]

The directory (default ``$HANDOFF_TEST_DATA`` or ``../shared/fhir``) holds ``search-parameters.json``,
``profiles/r4``, ``terminology/r4`` and ``conformance``. Only facts are taken over (codes, types, paths,
cardinalities, keys of invariants), never prose. ``types.json`` is the hand-written input, and
``search_left_out.json`` names each official parameter that it leaves out, with the reason.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.search_expressions import CannotCompileError, Compiler
from scripts.value_sets import expand_value_set

Json = dict[str, Any]

DEFINITIONS = Path(__file__).parent.parent / "app" / "fhir" / "definitions"
CORE = "http://hl7.org/fhir/StructureDefinition/"
SYSTEM_TYPE = "http://hl7.org/fhirpath/System."
UNIVERSAL_INVARIANTS = {"ele-1", "ext-1"}  # on nearly every element; checked everywhere without a table
ON_EVERY_TYPE = ("_tag", "_security", "_profile")
ABSTRACT = {"Resource", "DomainResource", "Element", "BackboneElement"}


def read_json(path: Path) -> Json:
    """A file's JSON object."""
    content: Json = json.loads(path.read_text("utf-8"))
    return content


def read_structures(directory: Path) -> dict[str, list[Json]]:
    """The snapshot elements of every resource and complex datatype, by type."""
    found = {}
    for path in sorted((directory / "profiles" / "r4").glob("StructureDefinition-*.json")):
        definition = read_json(path)
        if definition["kind"] != "primitive-type" and definition["type"] not in ABSTRACT:
            found[definition["type"]] = definition["snapshot"]["element"]
    return found


def name_type(element: Json, code: str, resources: set[str]) -> str:
    """The type of an element as the tables call it; a backbone is named by its own path."""
    if code in ("BackboneElement", "Element"):
        return str(element["path"])
    if code.startswith(SYSTEM_TYPE):
        owner = element["path"].split(".")[0]
        if element["path"].endswith(".id"):
            return "id" if owner in resources and element["path"].count(".") == 1 else "string"
        return "uri" if element["path"] == "Extension.url" else code.removeprefix(SYSTEM_TYPE).lower()
    return code


def list_invariants(element: Json) -> list[str]:
    """Keys of the invariants of severity error stated on an element."""
    return [
        each["key"]
        for each in element.get("constraint", ())
        if each["severity"] == "error" and each["key"] not in UNIVERSAL_INVARIANTS
    ]


def describe_element(element: Json, resources: set[str]) -> Iterator[tuple[str, Json]]:
    """The JSON keys of an element (several for a choice), each with its facts."""
    name = element["path"].rsplit(".", 1)[1]
    facts: Json = {}
    if element["max"] != "1":
        facts["many"] = True
    if element["min"]:
        facts["required"] = True
    if invariants := list_invariants(element):
        facts["invariants"] = invariants
    binding = element.get("binding", {})
    if binding.get("strength") == "required":
        facts["binding"] = binding["valueSet"].split("|")[0]
    if reference := element.get("contentReference"):
        yield name, {"type": reference.removeprefix("#"), **facts}
        return
    for each in element["type"]:
        named = name_type(element, each["code"], resources)
        key = name
        described = {"type": named, **facts}
        if name.endswith("[x]"):
            base = name.removesuffix("[x]")
            key = base + named[0].upper() + named[1:]
            described["choice"] = base
        if targets := each.get("targetProfile"):
            described["targets"] = [target.removeprefix(CORE) for target in targets]
        yield key, described


def build_structures(snapshots: dict[str, list[Json]], resources: set[str]) -> dict[str, Json]:
    """``{type or backbone path: {"invariants": [...], "elements": {key: facts}}}``."""
    tables: dict[str, Json] = {}
    for name, elements in snapshots.items():
        tables[name] = {"invariants": list_invariants(elements[0]), "elements": {}}
        for element in elements[1:]:
            if element["max"] == "0":
                continue
            codes = {each["code"] for each in element.get("type", ())}
            if codes & {"BackboneElement", "Element"}:
                tables[element["path"]] = {"elements": {}}
            parent = element["path"].rsplit(".", 1)[0]
            tables[parent]["elements"].update(describe_element(element, resources))
    return tables


def build_summary(snapshots: dict[str, list[Json]], types: Json) -> dict[str, list[str]]:
    """The elements of a summary by kept type, and by backbone where it is summarised in turn.

    Those flagged isSummary, and the mandatory ones. A backbone without a flag inside is told whole.
    """
    found: dict[str, list[str]] = {}
    for name in types:
        told = [each for each in snapshots[name][1:] if each.get("isSummary") or each["min"]]
        for each in told:
            parent, element = each["path"].rsplit(".", 1)
            found.setdefault(parent, []).append(element.removesuffix("[x]"))
    return {path: names for path, names in found.items() if set(names) != {"modifierExtension"}}


def build_value_sets(directory: Path, structures: dict[str, Json]) -> dict[str, Any]:
    """The codes of every value set with a required binding; null where its codes cannot be listed."""
    urls = {
        facts["binding"] for table in structures.values() for facts in table["elements"].values() if "binding" in facts
    }
    files = [read_json(path) for path in sorted((directory / "terminology" / "r4").glob("*.json"))]
    known = {each["url"]: each for each in files}
    return {url: expand_value_set(url, known) for url in sorted(urls)}


def read_search_parameters(directory: Path) -> dict[tuple[str, str], Json]:
    """Every search parameter by (type, code); a base parameter before one of an implementation guide."""
    bundle = read_json(directory / "search-parameters.json")
    found = [entry["resource"] for entry in bundle["entry"]]
    found += [read_json(path) for path in sorted(directory.glob("conformance/*/SearchParameter-*.json"))]
    by_code: dict[tuple[str, str], Json] = {}
    for each in found:
        for base in each["base"]:
            by_code.setdefault((base, each["code"]), each)
    return by_code


def check_complete(official: dict[tuple[str, str], Json], types: Json, left_out: Json) -> None:
    """Every official parameter of a kept type is switched on, or left out for a reason."""
    for name, line in types.items():
        wanted = {code for base, code in official if base == name}
        missing = wanted ^ (set(line["search"]) | set(left_out.get(name, ())))
        twice = set(line["search"]) & set(left_out.get(name, ()))
        if missing or twice:
            raise CannotCompileError(f"{name}: neither searched nor left out, or both: {sorted(missing | twice)}")


def build_search(
    directory: Path, types: Json, structures: dict[str, Json], value_sets: dict[str, Any]
) -> dict[str, list[Json]]:
    """The compiled search parameters that ``types.json`` switches on, by type; those of every type as ``Resource``."""
    official = read_search_parameters(directory)
    check_complete(official, types, read_json(DEFINITIONS / "search_left_out.json"))
    kinds = {each["url"]: each["type"] for each in official.values()}
    compiler = Compiler({**structures, "Resource": {"elements": {"meta": {"type": "Meta"}}}}, value_sets, kinds)
    rows = {"Resource": [compiler.compile("Resource", official["Resource", code]) for code in ON_EVERY_TYPE]}
    for name, line in types.items():
        rows[name] = []
        for code in line["search"]:
            if (name, code) not in official:
                raise CannotCompileError(f"{name}: there is no search parameter {code}")
            rows[name].append(compiler.compile(name, official[name, code]))
        kinds = {row["code"]: row["kind"] for row in rows[name]}
        for code in line.get("includes", ()):
            if kinds.get(code) != "reference":
                raise CannotCompileError(f"{name}: _include needs a reference parameter, not {code}")
        for code in [code for codes in line.get("hot_indexes", ()) for code in codes]:
            if code not in kinds:
                raise CannotCompileError(f"{name}: hot index on {code}, which is not switched on")
    return rows


def trim_structures(structures: dict[str, Json]) -> dict[str, Json]:
    """The tables without what only the generator needs."""
    for table in structures.values():
        for facts in table["elements"].values():
            facts.pop("targets", None)
    return structures


def write_table(name: str, content: Any, depth: int) -> None:
    """Writes a table with one line for each entry down to ``depth``, so that a diff can be read."""
    path = DEFINITIONS / f"{name}.json"
    path.write_text(render_table(content, depth) + "\n", "utf-8")
    sys.stdout.write(f"{path.name}: {path.stat().st_size // 1024 + 1} kB\n")


def render_table(content: Any, depth: int, indent: str = "") -> str:
    """JSON text, broken into lines only in the outer ``depth`` levels."""
    if depth == 0 or not content or not isinstance(content, dict | list):
        return json.dumps(content, ensure_ascii=False)
    inner = indent + " "
    if isinstance(content, list):
        lines = [inner + render_table(each, depth - 1, inner) for each in content]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    lines = [f"{inner}{json.dumps(key)}: {render_table(each, depth - 1, inner)}" for key, each in content.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def main() -> None:
    """Generates every table."""
    default = os.environ.get("HANDOFF_TEST_DATA", "../shared/fhir")
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else default)
    names = [
        each["code"]
        for each in read_json(directory / "terminology" / "r4" / "CodeSystem-resource-types.json")["concept"]
        if each["code"] not in ABSTRACT
    ]
    snapshots, types = read_structures(directory), read_json(DEFINITIONS / "types.json")
    structures = build_structures(snapshots, set(names))
    value_sets = build_value_sets(directory, structures)
    search = build_search(directory, types, structures, value_sets)
    write_table("resource_names", names, 0)
    write_table("search", search, 2)
    write_table("summary", build_summary(snapshots, types), 1)
    write_table("structures", trim_structures(structures), 3)
    write_table("value_sets", value_sets, 2)


if __name__ == "__main__":
    main()
