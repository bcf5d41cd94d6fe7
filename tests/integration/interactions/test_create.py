"""create: status, headers, preferences, and that what was sent is kept (R4 http, create)."""

import json
from email.utils import parsedate_to_datetime

from tests.api import Caller
from tests.integration.interactions.samples import patient, reference, refused, service_request

BASE = "http://handoff.test/fhir"

EXACT = (
    '{"extension":[{"valueDecimal":1.10,"url":"http://x.example/one"},{"url":"http://x.example/two",'
    '"valueDecimal":0.00},{"url":"http://x.example/three","valueDecimal":1E+2},'
    '{"url":"http://x.example/four","valueDecimal":12345678901234567890.123456789}],'
    '"birthDate":"1990","resourceType":"Patient","_birthDate":{"extension":[{"url":"http://x.example/time",'
    '"valueString":"ân \\u2028/\\n\\t<&>"}]},"name":[{"given":["A",null],"_given":[null,{"extension":[{"url":"http://x.example/n","valueBoolean":true}]}],'
    '"family":"Nguyễn Thị 😀 ចាន់"}],"active":false,"multipleBirthInteger":0}'
)


async def test_created(hospital: Caller) -> None:
    answer = await hospital.send("POST", "/Patient", {**patient(), "id": "mine", "meta": {"versionId": "7"}})
    assert answer.status_code == 201
    body = answer.json()
    assert body["id"] != "mine"
    assert body["meta"]["versionId"] == "1"
    assert answer.headers["location"] == f"{BASE}/Patient/{body['id']}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["content-type"] == "application/fhir+json"
    stamp = body["meta"]["lastUpdated"]
    assert parsedate_to_datetime(answer.headers["last-modified"]).isoformat()[:19] == stamp[:19]
    refused(await hospital.get("/Patient/mine"), 404)


async def test_preferences(hospital: Caller) -> None:
    minimal = await hospital.send("POST", "/Patient", patient(), Prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"")
    assert minimal.headers["location"].startswith(f"{BASE}/Patient/")
    outcome = await hospital.send("POST", "/Patient", patient(), Prefer="handling=strict, return=OperationOutcome")
    assert outcome.status_code == 201
    assert outcome.json()["resourceType"] == "OperationOutcome"
    assert outcome.json()["issue"][0]["severity"] == "information"
    for prefer in ('Return = "representation"', "return=nothing", "respond-async", ""):
        whole = await hospital.send("POST", "/Patient", patient(), Prefer=prefer)
        assert whole.json()["resourceType"] == "Patient"


async def test_a_reference_to_nothing_is_a_warning(hospital: Caller) -> None:
    lost = service_request("Patient/nobody")
    answer = await hospital.send("POST", "/ServiceRequest", lost, Prefer="return=OperationOutcome")
    assert answer.status_code == 201
    [issue] = answer.json()["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "not-found")
    assert issue["expression"] == ["ServiceRequest.subject.reference"]


async def test_every_digit_and_the_order_are_kept(hospital: Caller) -> None:
    answer = await hospital.send("POST", "/Patient", EXACT)
    assert answer.status_code == 201, answer.text
    stored = json.loads(answer.text)
    meta = f'{{"versionId":"1","lastUpdated":"{stored["meta"]["lastUpdated"]}"}}'
    # id and meta, which were not sent, stand behind resourceType, and that where the sender had it or first.
    head = f'{{"resourceType":"Patient","id":"{stored["id"]}","meta":{meta},'
    moved = head + EXACT[1:].replace("\\u2028", "\u2028").replace('"resourceType":"Patient",', "")
    assert answer.text == moved
    for path in ("", "/_history/1"):
        assert (await hospital.get(f"/Patient/{stored['id']}{path}")).text == answer.text
    assert answer.text in (await hospital.get("/Patient")).text
    assert answer.text in (await hospital.get(f"/Patient/{stored['id']}/_history")).text
    replaced = await hospital.send("PUT", f"/Patient/{stored['id']}", answer.text)
    assert replaced.text.replace('"versionId":"2"', '"versionId":"1"').replace(
        replaced.json()["meta"]["lastUpdated"], stored["meta"]["lastUpdated"]
    ) == (answer.text)


async def test_the_senders_meta_is_kept(hospital: Caller) -> None:
    meta = {"profile": ["http://x.example/profile"], "tag": [{"system": "http://x.example", "code": "a"}], "id": "m"}
    made = await hospital.create({**patient(), "meta": {"lastUpdated": "2020-01-01T00:00:00Z", **meta}})
    assert {key: made["meta"][key] for key in meta} == meta
    assert made["meta"]["lastUpdated"] > "2026"


async def test_pretty_keeps_every_digit(hospital: Caller) -> None:
    answer = await hospital.send("POST", "/Patient?_pretty=true", EXACT)
    assert '"valueDecimal": 12345678901234567890.123456789' in answer.text
    assert '"valueDecimal": 1.10' in answer.text


async def test_resources_of_every_size(hospital: Caller) -> None:
    long = "Ă" * 300_000
    made = await hospital.create({**patient(), "name": [{"family": long, "text": "x" * 100_000}]})
    assert (await hospital.read(reference(made)))["name"][0]["family"] == long
    many = [{"system": f"http://x.example/{n}", "value": "v" * 3000} for n in range(100)]
    made = await hospital.create({**patient(), "identifier": many})
    assert await hospital.find(f"Patient?identifier=http://x.example/7|{'v' * 3000}") == [reference(made)]
