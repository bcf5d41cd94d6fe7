"""Which resources carry a confidentiality or sensitivity label, and what each covers (access.md, Confidentiality)."""

from dataclasses import dataclass
from typing import Any

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

LEVELS = "ULMNRV"
"""v3-Confidentiality, from unrestricted to very restricted."""
ORDINARY = "N"
RESTRICTED = frozenset("RV")

SENSITIVE = {
    "any of these, and left open which": ("SPI",),
    "sexual and domestic violence": ("SDV", "MST", "VIO"),
    "substance use": ("ETH", "ETHUD", "OPIOIDUD", "SUD"),
    "mental health": ("BH", "EMOTDIS", "MH", "PSY", "PSYTHPN"),
    "HIV": ("HIV",),
}
"""Codes of ActInformationSensitivityPolicy (v3-ActCode) by what they protect."""
SENSITIVE_CODES = frozenset(code for codes in SENSITIVE.values() for code in codes)
LABELS = frozenset(
    {*((CONFIDENTIALITY, level) for level in RESTRICTED), *((ACT_CODE, code) for code in SENSITIVE_CODES)}
)
"""(system, code) of each label without which a resource is not labelled."""

BROADER = {
    "ETHUD": "SUD",
    "OPIOIDUD": "SUD",
    "SUD": "BH",
    "PSYTHPN": "PSY",
    "PSY": "MH",
    "MH": "BH",
    "EMOTDIS": "BH",
    "BH": "SPI",
}
"""The code that each is a kind of (v3-ActCode)."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The highest confidentiality of a resource and of what it contains, and their sensitivity codes."""

    level: str = ORDINARY
    codes: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether a Consent is needed to share what carries them."""
        return self.level in RESTRICTED or bool(self.codes)

    def __str__(self) -> str:
        return ", ".join([*([self.level] if self.level in RESTRICTED else []), *sorted(self.codes)])


UNLABELLED = Labels()


def read_labels(resource: dict[str, Any]) -> Labels:
    """The labels of a resource and of those that it contains, whatever shape they have."""
    meta = resource.get("meta")
    security = meta.get("security", ()) if isinstance(meta, dict) else ()
    if not security and "contained" not in resource:
        return UNLABELLED
    found = [(each.get("system"), each.get("code")) for each in security if isinstance(each, dict)]
    levels = [code for system, code in found if system == CONFIDENTIALITY and isinstance(code, str) and code in LEVELS]
    codes = {str(code) for system, code in found if system == ACT_CODE and code in SENSITIVE_CODES}
    for each in resource.get("contained", ()):
        if isinstance(each, dict) and (inner := read_labels(each)):
            levels.append(inner.level)
            codes |= inner.codes
    return Labels(max(levels, key=LEVELS.index, default=ORDINARY), frozenset(codes))


def is_labelled(resource: dict[str, Any]) -> bool:
    """Whether the resource, or one that it contains, is labelled R or V or with a sensitivity code."""
    return bool(read_labels(resource))


def widen_code(code: str) -> list[str]:
    """A sensitivity code, then what it is a kind of, outwards."""
    found = [code]
    while found[-1] in BROADER:
        found.append(BROADER[found[-1]])
    return found
