"""What scopes and roles allow before anything is looked up."""

from typing import cast, get_args

import pytest

from app.access.interaction_rules import LETTERS, MAY_WRITE, WRITES, authorize, check_role
from app.core.caller import Caller, Role
from app.core.errors import Forbidden
from app.fhir.registry import TYPES

ROLES: tuple[Role, ...] = get_args(Role)


def caller(role: Role = "referrer", **permissions: str) -> Caller:
    granted = tuple((name, frozenset(letters)) for name, letters in permissions.items())
    return Caller("client", "org", role, granted or (("*", frozenset("cruds")),))


def allowed(who: Caller, interaction: str, resource_type: str | None) -> bool:
    try:
        authorize(who, interaction, resource_type)
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize(
    ("interaction", "letter"),
    [
        ("create", "c"),
        ("read", "r"),
        ("vread", "r"),
        ("update", "u"),
        ("delete", "d"),
        ("search-type", "s"),
        ("history-instance", "r"),
        ("history-type", "s"),
    ],
)
def test_each_interaction_takes_its_letter_and_no_other(interaction: str, letter: str) -> None:
    assert allowed(caller(Task=letter), interaction, "Task")
    assert not allowed(caller(Task="cruds".replace(letter, "")), interaction, "Task")
    assert not allowed(caller(Patient="cruds"), interaction, "Task")


def test_history_of_the_system_takes_a_scope_on_every_type() -> None:
    every = tuple((name, frozenset("cruds")) for name in TYPES)
    assert not allowed(Caller("client", "org", "admin", every), "history-system", None)
    assert allowed(Caller("client", "org", "referrer", (("*", frozenset("s")),)), "history-system", None)
    assert not allowed(Caller("client", "org", "referrer", (("*", frozenset("crud")),)), "history-system", None)


@pytest.mark.parametrize("interaction", ["search", "SEARCH-TYPE", "", "patch", "history", "search-system"])
def test_other_codes_are_mistakes_of_ours_and_open_nothing(interaction: str) -> None:
    with pytest.raises(ValueError, match="no interaction"):
        authorize(caller("admin"), interaction, "Task")


@pytest.mark.parametrize(("interaction", "name"), [("read", None), ("create", None), ("history-system", "Task")])
def test_only_the_system_has_no_type(interaction: str, name: str | None) -> None:
    with pytest.raises(ValueError, match="no interaction"):
        authorize(caller("admin"), interaction, name)


@pytest.mark.parametrize("interaction", ["create", "read", "search-type"])
@pytest.mark.parametrize("name", ["Unicorn", "Medication", "*", ""])
def test_a_type_that_is_not_kept_is_refused(interaction: str, name: str) -> None:
    assert not allowed(caller("admin"), interaction, name)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_and_searches_every_type(role: Role) -> None:
    for name in TYPES:
        for interaction in LETTERS.keys() - WRITES - {"history-system"}:
            authorize(caller(role), interaction, name)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("interaction", sorted(WRITES))
def test_every_role_writes_its_directory_entries(role: Role, interaction: str) -> None:
    for name, each in TYPES.items():
        if each.directory:
            authorize(caller(role), interaction, name)


RECORDS = {"Procedure", "Observation", "QuestionnaireResponse", "DocumentReference", "Communication", "SupplyDelivery"}
PROVIDER = {
    "create": RECORDS | {"Binary", "ServiceRequest", "Task"},
    "update": RECORDS | {"Binary", "ServiceRequest", "Task"},
    "delete": RECORDS | {"Binary"},
}


@pytest.mark.parametrize("interaction", sorted(WRITES))
def test_a_provider_records_its_service_moves_its_tasks_and_subscribes(interaction: str) -> None:
    directory = {name for name, each in TYPES.items() if each.directory}
    may = {name for name in TYPES if allowed(caller("provider"), interaction, name)}
    assert may == PROVIDER[interaction] | {"Subscription"} | directory


@pytest.mark.parametrize("role", ["referrer", "coordinator", "admin"])
def test_who_refers_writes_everything_but_changes_no_provenance(role: Role) -> None:
    for interaction in WRITES:
        refused = {name for name in TYPES if not allowed(caller(role), interaction, name)}
        assert refused == {"AuditEvent"} | (set() if interaction == "create" else {"Provenance"})


def test_a_scope_that_is_missing_is_named() -> None:
    with pytest.raises(Forbidden, match=r"system/Task\.c") as refusal:
        authorize(caller(Task="rs"), "create", "Task")
    assert 'error="insufficient_scope", scope="system/Task.c"' in refusal.value.headers["WWW-Authenticate"]


def test_a_role_that_is_not_known_writes_nothing() -> None:
    stranger = caller(cast(Role, "stranger"))
    assert not any(allowed(stranger, interaction, name) for interaction in WRITES for name in TYPES)


def test_the_table_names_every_role_and_only_types_that_are_kept() -> None:
    assert set(MAY_WRITE) == set(ROLES)
    assert {name for lines in MAY_WRITE.values() for names in lines.values() for name in names} <= set(TYPES)


def test_reads_roles() -> None:
    assert [check_role(each) for each in ROLES] == list(ROLES)
    with pytest.raises(ValueError, match="no role"):
        check_role("Admin")
