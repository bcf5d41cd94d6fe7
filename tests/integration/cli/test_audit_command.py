"""`handoff audit` searches the trail, and every command stands in it."""

import json
from pathlib import Path

from tests.api import World
from tests.integration.cli.conftest import Attempt, Command


async def test_the_trail_is_searched(world: World, handoff: Command, attempt: Attempt, tmp_path: Path) -> None:
    hospital = await world.caller("hospital")
    patient = f"Patient/{(await hospital.create({'resourceType': 'Patient', 'gender': 'female'}))['id']}"
    await hospital.read(patient)
    await hospital.find("Patient?gender=female")
    assert (await hospital.get("/Patient?nonsense=1")).status_code == 400
    emergency = await world.caller("er", scopes="system/Patient.rs break-glass")
    assert (await emergency.get(f"/{patient}", X_Break_Glass_Reason="Unconscious")).status_code == 200
    await world.hub.trail.flush()
    head, *lines = (await handoff("audit", "--entity", patient)).splitlines()
    assert head.split()[:3] == ["WHEN", "CLIENT", "ORGANIZATION"]
    assert [line.split()[6] for line in lines] == ["read", "search-type", "read", "create"]
    assert "glass broken: Unconscious" in lines[0]
    assert all("hospital" in line for line in lines[1:])
    assert len((await handoff("audit", "--patient", patient, "--limit", "2")).splitlines()) == 3
    refused = await handoff("audit", "--outcome", "refused", "--json", "--organization", "Organization/hospital")
    [row] = map(json.loads, refused.splitlines())
    assert (row["interaction"], row["status"], row["reason"]) == ("search-type", 400, "not-supported")
    assert "Nothing" in await handoff("audit", "--until", "2001-01-01")
    assert (await attempt("audit", "--since", "yesterday")).exit_code == 2
    assert (await attempt("client", "disable", "nobody")).exit_code == 1
    key = str(tmp_path / "key.json")
    told = ("--organization", "Organization/ngo", "--role", "provider", "--scope", "system/*.rs", "--generate-key", key)
    await handoff("client", "add", "ngo", *told)
    rows = (await handoff("audit", "--client", "operator", "--json")).splitlines()
    commands = {(each["interaction"], each["status"]) for each in map(json.loads, rows)}
    assert commands >= {("handoff audit", 200), ("handoff client disable", 404), ("handoff client add ngo", 201)}
    assert "handoff client disable" in await handoff("audit", "--what", "handoff client disable")
