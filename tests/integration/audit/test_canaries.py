"""Nothing of a patient gets into the trail beyond references, by whatever field or fault it comes."""

from typing import Any

from tests.api import World
from tests.integration.audit.conftest import Reader

CANARY = "Zwyxcanary"


def marked(number: int) -> str:
    return f"{CANARY}{number}"


PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"family": marked(1), "given": [marked(2)], "text": marked(3)}],
    "identifier": [{"system": f"http://x/{marked(4)}", "value": marked(5)}],
    "telecom": [{"system": "phone", "value": marked(6)}],
    "address": [{"line": [marked(7)], "city": marked(8), "postalCode": marked(9)}],
    "contact": [{"name": {"family": marked(10)}}],
    "extension": [{"url": f"http://x/{marked(11)}", "valueString": marked(12)}],
}
OTHERS = [
    {**PATIENT, "gender": marked(13)},
    {**PATIENT, "birthDate": marked(14)},
    {**PATIENT, marked(15): 1},
    {"resourceType": marked(16)},
    {"resourceType": "Patient", "id": marked(17)},
]
REQUESTS = [
    ("GET", f"/Patient?family={marked(20)}"),
    ("GET", f"/Patient?{marked(21)}=1"),
    ("GET", f"/Patient?name:{marked(22)}=1"),
    ("GET", f"/Patient?_sort={marked(23)}"),
    ("GET", f"/Patient?_cursor={marked(24)}"),
    ("GET", f"/Patient?birthdate={marked(25)}"),
    ("GET", f"/Patient/{marked(26)}"),
    ("GET", f"/Patient/{marked(27)}/_history"),
    ("GET", f"/Patient/{marked(28)}/_history/{marked(29)}"),
    ("GET", f"/{marked(30)}/1"),
    ("GET", f"/Patient/{marked(31)}/{marked(32)}/{marked(33)}"),
    ("GET", f"/Patient/x/${marked(34)}"),
    ("GET", f"/${marked(35)}"),
    ("GET", f"/_history?_since={marked(36)}"),
    ("DELETE", f"/Patient/{marked(37)}"),
    ("DELETE", f"/Patient?name={marked(38)}"),
    ("GET", f"/metadata/{marked(39)}"),
    ("HEAD", f"/Patient/{marked(40)}"),
    ("OPTIONS", f"/Patient/{marked(41)}"),
]


async def test_no_canary_gets_into_the_trail(world: World, trail: Reader) -> None:
    hospital, other = await world.caller("hospital"), await world.caller("ngo", "provider")
    for caller in (hospital, other):
        for body in (PATIENT, *OTHERS):
            await caller.send("POST", "/Patient", body, If_None_Exist=f"name={marked(50)}")
            await caller.send("PUT", f"/Patient/{marked(51)}", body, If_Match=marked(52))
            await caller.send("PUT", f"/Patient?identifier={marked(53)}", body)
            for kind in ("batch", "transaction"):
                asked = {"method": "POST", "url": "Patient", "ifNoneExist": f"name={marked(54)}"}
                entries = [
                    {"fullUrl": f"urn:x:{marked(55)}", "resource": body, "request": asked},
                    {"request": {"method": "GET", "url": f"Patient?family={marked(56)}"}},
                    {"request": {"method": "GET", "url": f"Patient/{marked(57)}"}},
                    {"request": {"method": "DELETE", "url": f"{marked(58)}/{marked(59)}"}},
                ]
                for several in (entries, entries[:2]):
                    await caller.send("POST", "", {"resourceType": "Bundle", "type": kind, "entry": several})
        for method, path in REQUESTS:
            await caller.send(method, path)
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        await caller.send("POST", "/Patient/_search", f"family={marked(60)}&{marked(61)}=1", **form)
        token = f"grant_type={marked(62)}&client_assertion={marked(63)}&scope={marked(64)}"
        await caller.http.post("/oauth/token", content=token, headers={"Content-Type": form["Content_Type"]})
        await caller.http.get(f"/{marked(65)}", headers={"Authorization": f"Bearer {marked(66)}"})
        await caller.http.get("/fhir/Patient", headers={"X-Forwarded-For": marked(67), "Authorization": marked(68)})
    rows = await trail.take()
    assert {row["status"] for row in rows} >= {200, 201, 400, 401, 404, 405, 422}
    assert [dict(row) for row in rows if CANARY.lower() in str(dict(row)).lower()] == []
