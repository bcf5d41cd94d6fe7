"""Which resources carry a confidentiality or sensitivity label (access.md, Confidentiality)."""

from typing import Any

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

LABELS = frozenset(
    [
        (CONFIDENTIALITY, "R"),
        (CONFIDENTIALITY, "V"),
        # Sexual and domestic violence; substance use; mental health; HIV.
        *((ACT_CODE, code) for code in ("SDV", "MST", "VIO")),
        *((ACT_CODE, code) for code in ("ETH", "ETHUD", "OPIOIDUD", "SUD")),
        *((ACT_CODE, code) for code in ("BH", "MH", "PSY", "PSYTHPN")),
        (ACT_CODE, "HIV"),
    ]
)


def is_labelled(resource: dict[str, Any]) -> bool:
    """Whether the resource, or one that it contains, is labelled R or V or with a sensitivity code."""
    meta = resource.get("meta")
    labels = meta.get("security", ()) if isinstance(meta, dict) else ()
    if any(isinstance(each, dict) and (each.get("system"), each.get("code")) in LABELS for each in labels):
        return True
    return any(isinstance(each, dict) and is_labelled(each) for each in resource.get("contained", ()))
