"""Which resources carry a confidentiality or sensitivity label (access.md, Confidentiality)."""

from typing import Any

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

SENSITIVE = {
    "any of these, and left open which": ("SPI",),
    "sexual and domestic violence": ("SDV", "MST", "VIO"),
    "substance use": ("ETH", "ETHUD", "OPIOIDUD", "SUD"),
    "mental health": ("BH", "EMOTDIS", "MH", "PSY", "PSYTHPN"),
    "HIV": ("HIV",),
}
"""Codes of ActInformationSensitivityPolicy (v3-ActCode) by what they protect."""

LABELS = frozenset(
    [
        (CONFIDENTIALITY, "R"),
        (CONFIDENTIALITY, "V"),
        *((ACT_CODE, code) for codes in SENSITIVE.values() for code in codes),
    ]
)


def is_labelled(resource: dict[str, Any]) -> bool:
    """Whether the resource, or one that it contains, is labelled R or V or with a sensitivity code."""
    meta = resource.get("meta")
    labels = meta.get("security", ()) if isinstance(meta, dict) else ()
    if any(isinstance(each, dict) and (each.get("system"), each.get("code")) in LABELS for each in labels):
        return True
    return any(isinstance(each, dict) and is_labelled(each) for each in resource.get("contained", ()))
