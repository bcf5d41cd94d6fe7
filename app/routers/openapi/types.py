"""The paths of one resource type in the OpenAPI document: an operation for each interaction that it has."""

from collections.abc import Callable, Collection
from typing import Any

from app.access.interaction_rules import LETTERS
from app.fhir.openapi_examples import EXAMPLE_ID, history_example, new_example, search_form_example, searchset_example
from app.fhir.openapi_examples import stored_example as stored
from app.fhir.openapi_schemas import refer
from app.fhir.openapi_search import build_search_parameters, parameter_name
from app.fhir.registry import COMMON_SEARCH, ResourceType
from app.interactions.break_glass import is_of_patients
from app.routers.openapi.parts import FORM, answer, ask, fail, secure, show, take

Json = dict[str, Any]
Paths = dict[str, Json]

SHAPING = ("_format", "_pretty")
PARTS = ("_summary", "_elements")
READING = (400, 401, 403, 406, 429, 503)
WRITING = (400, 401, 403, 404, 406, 409, 410, 412, 413, 415, 422, 429, 503)
DELETING = (400, 401, 403, 404, 406, 409, 412, 422, 429, 503)
HISTORY = ("_since", "_count", "_cursor", "If-None-Match", *SHAPING)
NOTHING_NEW: Json = {"304": {"description": "A poll that would answer what If-None-Match names"}}
BODY_ON_DEMAND = "; it comes along where FHIR JSON is accepted, or preferred by return=representation"
SENT: Json = {"schema": {"type": "string", "format": "binary", "description": "Content of this or any other type"}}
CONTENT: Json = {"schema": {"description": "The content itself, in its own type"}}
INCLUDES = ("_include", "_revinclude")
NO_CRITERIA = frozenset({"_count", "_sort", "_cursor", "_total", "_summary", "_elements", "_include", "_revinclude"})


class TypePaths:
    """The paths of one type; ``offered`` are the common search parameters that the server takes."""

    def __init__(self, kept: ResourceType, offered: Collection[str]) -> None:
        self.kept = kept
        self.name = kept.name
        self.parameters = build_search_parameters(kept, offered)
        unknown = {each.code for each in COMMON_SEARCH if each not in kept.common} | set(INCLUDES)
        self.common = [each for each in offered if each not in self.parameters and each not in unknown]

    def build(self) -> Paths:
        """Path, method, operation."""
        builders: dict[str, Callable[[], Paths]] = {
            "search-type": self.build_search,
            "create": self.build_create,
            "update": self.build_update,
            "delete": self.build_delete,
            "read": self.build_read,
            "vread": self.build_vread,
            "history-instance": self.build_instance_history,
            "history-type": self.build_type_history,
        }
        paths: Paths = {}
        for interaction, build in builders.items():
            if interaction in self.kept.interactions:
                for path, operations in build().items():
                    paths.setdefault(path, {}).update(operations)
        if self.name == "Binary":
            add_content(paths)
        return paths

    def operation(self, interaction: str, verb: str, summary: str, **members: Any) -> Json:
        """One operation; its id is a verb and the type."""
        scope = f"system/{self.name}.{LETTERS[interaction]}"
        return {
            "tags": [self.name],
            "operationId": verb.replace("*", self.name),
            "summary": summary,
            "security": secure(scope),
            **members,
        }

    def criteria(self, *, all_of_them: bool) -> list[Json]:
        """The search parameters; those alone that tell resources apart, or all."""
        own = [parameter_name(self.kept, code) for code in self.parameters if all_of_them or code not in NO_CRITERIA]
        common = [code for code in self.common if all_of_them or code not in NO_CRITERIA]
        return take(*own, *common)

    def build_search(self) -> Paths:
        found = answer(f"A searchset of {self.name}", "Bundle", f"{self.name}.searchset")
        by_get = self.operation(
            "search-type",
            "search*",
            f"Searches {self.name}",
            parameters=[
                *self.criteria(all_of_them=True),
                *take("If-None-Match", "Prefer.handling", *self.glass(), *SHAPING),
            ],
            responses={"200": found, **NOTHING_NEW, **fail(READING)},
        )
        form = {"schema": refer(f"search.{self.name}"), "example": search_form_example(self.name)}
        by_post = self.operation(
            "search-type",
            "search*ByForm",
            f"Searches {self.name} with a posted form, so that names and identifiers stay out of logs",
            parameters=take("Prefer.handling", *self.glass(), *SHAPING),
            requestBody={"content": {FORM: form}},
            responses={"200": found, **fail((*READING, 413, 415))},
        )
        return {f"/fhir/{self.name}": {"get": by_get}, f"/fhir/{self.name}/_search": {"post": by_post}}

    def glass(self) -> tuple[str, ...]:
        """The header by which the glass is broken, where the type is about patients."""
        return ("X-Break-Glass-Reason",) if is_of_patients(self.name) else ()

    def build_form(self) -> Json:
        """The schema of the form that searches the type."""
        codes = [(code, parameter_name(self.kept, code)) for code in self.parameters]
        codes += [(code, code) for code in self.common]
        properties = {code: {"$ref": f"#/components/parameters/{name}/schema"} for code, name in codes}
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": {"type": "string"},
            "description": f"The search parameters of {self.name}; also with a modifier, as in name:exact",
        }

    def written(self, status: str, meaning: str) -> Json:
        meaning += BODY_ON_DEMAND if self.name == "Binary" else ""
        return {
            status: answer(meaning, self.name, f"{self.name}.stored", "ETag", "Last-Modified", "Location")
            | {"links": self.links()}
        }

    def links(self) -> Json:
        """How the id of an answer leads on."""
        if "read" not in self.kept.interactions:
            return {}
        return {"read": {"operationId": f"read{self.name}", "parameters": {"id": "$response.body#/id"}}}

    def build_create(self) -> Paths:
        operation = self.operation(
            "create",
            "create*",
            f"Creates a {self.name}; with If-None-Exist only where there is none yet",
            parameters=take("If-None-Exist", "Prefer", *SHAPING),
            requestBody=ask(self.name, f"{self.name}.new"),
            responses={
                **self.written("200", "There was one already: the match of If-None-Exist"),
                **self.written("201", "It was created"),
                **fail(WRITING),
            },
        )
        return {f"/fhir/{self.name}": {"post": operation}}

    def build_update(self) -> Paths:
        if_match = "If-Match.required" if self.kept.versioned_update else "If-Match"
        answers = {
            **self.written("200", "The next version"),
            **self.written("201", "It was created"),
            **fail(WRITING),
        }
        by_id = self.operation(
            "update",
            "update*",
            f"Replaces a {self.name} by its next version",
            parameters=take("id", if_match, "Prefer", *SHAPING),
            requestBody=ask(self.name, f"{self.name}.changed"),
            responses=answers,
        )
        by_query = self.operation(
            "update",
            "update*ByQuery",
            f"Updates the one {self.name} that the query matches, or creates it",
            parameters=[*self.criteria(all_of_them=False), *take("If-Match", "Prefer", *SHAPING)],
            requestBody=ask(self.name, f"{self.name}.new"),
            responses=answers,
        )
        return {f"/fhir/{self.name}": {"put": by_query}, f"/fhir/{self.name}/{{id}}": {"put": by_id}}

    def build_delete(self) -> Paths:
        gone = {"204": {"description": "It is deleted; its history stays"}, **fail(DELETING)}
        by_id = self.operation(
            "delete",
            "delete*",
            f"Deletes a {self.name}",
            parameters=take("id", "If-Match", *SHAPING),
            responses=gone,
        )
        by_query = self.operation(
            "delete",
            "delete*ByQuery",
            f"Deletes the one {self.name} that the query matches, if there is one",
            parameters=[*self.criteria(all_of_them=False), *take(*SHAPING)],
            responses=gone,
        )
        return {f"/fhir/{self.name}": {"delete": by_query}, f"/fhir/{self.name}/{{id}}": {"delete": by_id}}

    def build_read(self) -> Paths:
        operation = self.operation(
            "read",
            "read*",
            f"Reads the current version of a {self.name}",
            parameters=take("id", "If-None-Match", "If-Modified-Since", *self.glass(), *PARTS, *SHAPING),
            responses={
                "200": answer(f"The {self.name}", self.name, f"{self.name}.stored", "ETag", "Last-Modified"),
                "304": {"description": "It has not changed", "headers": show("ETag", "Last-Modified")},
                **fail((*READING, 404, 410)),
            },
        )
        return {f"/fhir/{self.name}/{{id}}": {"get": operation}}

    def build_vread(self) -> Paths:
        operation = self.operation(
            "vread",
            "read*Version",
            f"Reads one version of a {self.name}",
            parameters=take("id", "vid", *PARTS, *SHAPING),
            responses={
                "200": answer("The version", self.name, f"{self.name}.stored", "ETag", "Last-Modified"),
                **fail((*READING, 404, 410)),
            },
        )
        return {f"/fhir/{self.name}/{{id}}/_history/{{vid}}": {"get": operation}}

    def build_instance_history(self) -> Paths:
        operation = self.operation(
            "history-instance",
            "list*Versions",
            f"Every version of one {self.name}, newest first",
            parameters=take("id", *HISTORY),
            responses={
                "200": answer("A history", "Bundle", f"{self.name}.history"),
                **NOTHING_NEW,
                **fail((*READING, 404)),
            },
        )
        return {f"/fhir/{self.name}/{{id}}/_history": {"get": operation}}

    def build_type_history(self) -> Paths:
        operation = self.operation(
            "history-type",
            "list*History",
            f"Every version of every {self.name}, newest first",
            parameters=take(*HISTORY),
            responses={
                "200": answer("A history", "Bundle", f"{self.name}.history"),
                **NOTHING_NEW,
                **fail(READING),
            },
        )
        return {f"/fhir/{self.name}/_history": {"get": operation}}


def add_content(paths: Paths) -> None:
    """Binary is sent, and by default read, as content of any type; ``Accept: application/fhir+json`` asks for JSON."""
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method in ("post", "put") and not path.endswith("_search"):
                operation["requestBody"]["content"]["application/octet-stream"] = SENT
                operation["parameters"] += take("X-Security-Context")
            elif method == "get" and path.endswith(("{id}", "{vid}")):
                operation["responses"]["200"]["content"]["*/*"] = CONTENT


def build_type_examples(kept: ResourceType, base: str) -> Json:
    """The examples of a type's interactions, by their names among the components."""
    name = kept.name
    examples: dict[str, tuple[str, Json]] = {
        "new": ("create", new_example(name)),
        "changed": ("update", {**new_example(name), "id": EXAMPLE_ID}),
        "stored": ("read", stored(name)),
        "searchset": ("search-type", searchset_example(name, base)),
        "history": ("history-type", history_example(name, base)),
    }
    return {
        f"{name}.{key}": {"value": value}
        for key, (interaction, value) in examples.items()
        if interaction in kept.interactions
    }
