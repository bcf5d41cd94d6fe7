"""The Provenance of a change that the server made by itself (R4 Provenance)."""

from typing import Any

OPERATIONS = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
PARTICIPANTS = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def provenance_of_change(
    *, targets: list[str], recorded: str, activity_code: str, agent_organization: str, reason: str
) -> dict[str, Any]:
    """``targets`` are versioned references, ``recorded`` an instant, ``activity_code`` CREATE or UPDATE.

    The agent is this server, on behalf of the organisation whose act brought the change about.
    """
    return {
        "resourceType": "Provenance",
        "target": [{"reference": target} for target in targets],
        "recorded": recorded,
        "reason": [{"text": reason}],
        "activity": {"coding": [{"system": OPERATIONS, "code": activity_code}]},
        "agent": [
            {
                "type": {"coding": [{"system": PARTICIPANTS, "code": "assembler"}]},
                "who": {"display": "Warm Handoff"},
                "onBehalfOf": {"reference": agent_organization},
            }
        ],
    }
