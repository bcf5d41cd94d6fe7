"""Confidentiality and sensitivity labels."""

import pytest

from app.fhir.labels import ACT_CODE, CONFIDENTIALITY, is_labelled

SENSITIVE = "SPI SDV MST VIO ETH ETHUD OPIOIDUD SUD BH EMOTDIS MH PSY PSYTHPN HIV"


@pytest.mark.parametrize(
    ("system", "code", "labelled"),
    [
        *((CONFIDENTIALITY, code, code in "RV") for code in "ULMNRV"),
        *((ACT_CODE, code, True) for code in SENSITIVE.split()),
        *((ACT_CODE, code, False) for code in ("SICKLE", "SEX", "GDIS", "CEL", "EMP", "R")),
        ("http://example.org", "R", False),
    ],
)
def test_codes(system: str, code: str, labelled: bool) -> None:
    security = [{"system": "http://example.org", "code": "N"}, {"system": system, "code": code}]
    assert is_labelled({"resourceType": "Task", "meta": {"security": security}}) is labelled
    inside = {"resourceType": "Condition", "meta": {"security": security}}
    assert is_labelled({"resourceType": "Task", "contained": [{"resourceType": "Patient"}, inside]}) is labelled


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"meta": {}},
        {"meta": {"tag": [{"system": CONFIDENTIALITY, "code": "R"}]}},
        {"meta": {"security": [{"code": "R"}, {"system": CONFIDENTIALITY}]}},
        {"meta": None, "contained": [None, "text"]},
    ],
)
def test_not_labelled(resource: dict[str, object]) -> None:
    assert not is_labelled(resource)
