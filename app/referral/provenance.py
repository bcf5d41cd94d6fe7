"""The Provenance of what the server did by itself, and of what one organisation did for another (R4 Provenance)."""

from typing import Any

OPERATIONS = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
PARTICIPANTS = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def provenance_of_change(
    *,
    targets: list[str],
    recorded: str,
    activity_code: str,
    agent_organization: str,
    reason: str,
    acting: str | None = None,
) -> dict[str, Any]:
    """``targets`` are versioned references, ``recorded`` an instant, ``activity_code`` CREATE, UPDATE or DELETE.

    The agent is this server, on behalf of the organisation whose act brought the change about; or that which was
    ``acting`` for it, as the one who performed it.
    """
    role, who = ("performer", {"reference": acting}) if acting else ("assembler", {"display": "Warm Handoff"})
    return {
        "resourceType": "Provenance",
        "target": [{"reference": target} for target in targets],
        "recorded": recorded,
        "reason": [{"text": reason}],
        "activity": {"coding": [{"system": OPERATIONS, "code": activity_code}]},
        "agent": [
            {
                "type": {"coding": [{"system": PARTICIPANTS, "code": role}]},
                "who": who,
                "onBehalfOf": {"reference": agent_organization},
            }
        ],
    }
