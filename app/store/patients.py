"""Tells which Patient a resource is about, and what is about a Patient: as the search parameters say it now."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import STORED, SearchParameter
from app.models.resources import column_names
from app.store.read import group_by_type
from app.store.rows import Key
from app.store.statements import audience_parameter, filter_visible

CODES = ("patient", "subject")
"""The search parameters that name the patient, the first one of a type."""


@cache
def patient_parameter(resource_type: str) -> SearchParameter | None:
    """The parameter by which a type tells its patient; None where it tells none."""
    found = (STORED[resource_type].parameter(code) for code in CODES)
    return next((each for each in found if each), None)


def select_pairs(resource_type: str, scope: Scope, condition: str) -> str:
    """SELECT reference, patient of one type; ``condition`` is on ``{id}`` and ``{patient}``. $1 is the audience."""
    parameter, table = patient_parameter(resource_type), STORED[resource_type].table
    if parameter is None:
        raise ValueError(resource_type)
    join, patient = "", ""
    if parameter.in_rows:
        join = (
            f" JOIN search_reference c ON c.id = r.id AND c.type = '{resource_type}' "
            f"AND c.parameter = '{parameter.stored_as}'"
        )
        patient = "c.target"
    else:
        patient = f"r.{column_names(parameter)[0]}"
    where = condition.format(id="r.id", patient=patient)
    return (
        f"SELECT '{resource_type}/' || r.id, {patient} FROM {table} r{join} "
        f"WHERE {filter_visible(resource_type, scope, 1)} AND {where}"
    )


async def find_patients(connection: Connection, scope: Scope, keys: Iterable[Key]) -> dict[str, set[str]]:
    """For each of these resources (``Type/id``) the Patients that it is about."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    grouped = {name: ids for name, ids in group_by_type(keys).items() if patient_parameter(name)}
    if not grouped:
        return found
    parts = [
        select_pairs(name, scope, f"{{id}} = ANY(${n}::text[]) AND starts_with({{patient}}, 'Patient/')")
        for n, name in enumerate(grouped, start=2)
    ]
    for reference, patient in await connection.fetch(
        " UNION ALL ".join(parts), audience_parameter(scope), *grouped.values()
    ):
        found[reference].add(patient)
    return found


async def find_about(connection: Connection, scope: Scope, patients: list[str]) -> list[str]:
    """References to everything that is about one of these (``Patient/id``)."""
    names = [name for name in STORED if patient_parameter(name)]
    parts = [select_pairs(name, scope, "{patient} = ANY($2::text[])") for name in names]
    return [row[0] for row in await connection.fetch(" UNION ALL ".join(parts), audience_parameter(scope), patients)]
