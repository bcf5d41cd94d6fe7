"""Malformed requests: each is refused with an OperationOutcome and the right status, and none breaks the server."""

from tests.api import Caller, World
from tests.integration.interactions.samples import patient, refused

MALFORMED = {
    "no JSON": "{",
    "empty": "",
    "not UTF-8": b'{"resourceType":"Patient","id":"\xff"}',
    "a key twice": '{"resourceType":"Patient","active":true,"active":false}',
    "NUL": '{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}',
    "half a surrogate": '{"resourceType":"Patient","name":[{"family":"\\ud800"}]}',
    "NaN": '{"resourceType":"Patient","multipleBirthInteger":NaN}',
    "infinity": '{"resourceType":"Patient","multipleBirthInteger":-Infinity}',
    "array": "[]",
    "text": '"Patient"',
    "null": "null",
    "no type": "{}",
    "type of another kind": '{"resourceType":["Patient"]}',
    "another type": '{"resourceType":"Task"}',
    "too deep": '{"resourceType":"Patient","extension":' + '[{"extension":' * 70 + "[]" + "}]" * 70 + "}",
    "far too deep": '{"resourceType":"Patient","x":' + "[" * 100_000 + "]" * 100_000 + "}",
    "huge number": '{"resourceType":"Patient","multipleBirthInteger":' + "9" * 5000 + "}",
    "huge exponent": '{"resourceType":"Patient","multipleBirthInteger":1e999999999}',
}


async def test_a_malformed_body_is_refused(hospital: Caller) -> None:
    for name, body in MALFORMED.items():
        for method, path in (("POST", "/Patient"), ("PUT", "/Patient/x"), ("POST", "")):
            answer = await hospital.send(method, path, body)
            assert answer.status_code == 400, (name, method, path, answer.text)
            assert refused(answer, 400)["code"] in ("invalid", "structure")
    assert await hospital.find("Patient") == []


INVALID = {
    "unknown element": ('{"resourceType":"Patient","nom":"x"}', "Patient.nom"),
    "null": ('{"resourceType":"Patient","name":null}', "Patient.name"),
    "empty array": ('{"resourceType":"Patient","name":[]}', "Patient.name"),
    "empty string": ('{"resourceType":"Patient","name":[{"family":""}]}', "Patient.name[0].family"),
    "code outside its binding": ('{"resourceType":"Patient","gender":"x"}', "Patient.gender"),
    "text for boolean": ('{"resourceType":"Patient","active":"true"}', "Patient.active"),
    "object for text": ('{"resourceType":"Patient","name":[{"family":{}}]}', "Patient.name[0].family"),
}


async def test_invalid_fhir_is_refused_with_its_place(hospital: Caller) -> None:
    for body, expression in INVALID.values():
        issue = refused(await hospital.send("POST", "/Patient", body), 422)
        assert issue["expression"] == [expression]


async def test_all_issues_are_told_at_once(hospital: Caller) -> None:
    body = {"resourceType": "Task", "status": "bogus", "intent": "bogus", "nom": 1}
    answer = await hospital.send("POST", "/Task", body)
    refused(answer, 422)
    places = {each for issue in answer.json()["issue"] for each in issue["expression"]}
    assert {"Task.status", "Task.intent", "Task.nom"} <= places


async def test_another_content_type_is_415(hospital: Caller) -> None:
    body = '{"resourceType":"Patient"}'
    for media in ("text/plain", "application/fhir+xml", "application/x-www-form-urlencoded", ""):
        refused(await hospital.send("POST", "/Patient", body, Content_Type=media), 415)
        refused(await hospital.send("PUT", "/Patient/x", body, Content_Type=media), 415)
        refused(await hospital.send("POST", "", body, Content_Type=media), 415)


async def test_json_by_any_of_its_names_is_taken(hospital: Caller) -> None:
    for media in ("application/json", "application/fhir+json; charset=UTF-8", "APPLICATION/FHIR+JSON"):
        answer = await hospital.send("POST", "/Patient", '{"resourceType":"Patient"}', Content_Type=media, Accept=media)
        assert answer.status_code == 201, answer.text
        assert answer.headers["content-type"] == "application/fhir+json"


async def test_xml_is_406(hospital: Caller) -> None:
    refused(await hospital.get("/Patient", Accept="application/fhir+xml"), 406)
    refused(await hospital.get("/Patient?_format=xml"), 406)
    refused(await hospital.get("/metadata?_format=application/fhir%2Bxml"), 406)
    refused(await hospital.send("POST", "/Patient", patient(), Accept="application/fhir+xml"), 406)
    assert await hospital.find("Patient") == []


async def test_json_is_given_where_it_will_do(hospital: Caller) -> None:
    for accept in ("application/fhir+xml, application/fhir+json;q=0.5", "*/*", "text/html"):
        assert (await hospital.get("/Patient", Accept=accept)).status_code == 200
    for wanted in ("json", "application/json", "application/fhir+json", "application/fhir%2Bjson"):
        answer = await hospital.get(f"/Patient?_format={wanted}", Accept="application/fhir+xml")
        assert answer.status_code == 200


async def test_pretty(hospital: Caller) -> None:
    made = await hospital.create(patient())
    plain = await hospital.get(f"/Patient/{made['id']}")
    pretty = await hospital.get(f"/Patient/{made['id']}?_pretty=true")
    assert "\n  " in pretty.text
    assert "\n" not in plain.text
    assert pretty.json() == plain.json()
    refused(await hospital.get(f"/Patient/{made['id']}?_pretty=maybe"), 400)


async def test_a_body_too_long_is_413(hospital: Caller) -> None:
    body = b'{"resourceType":"Patient","name":[{"family":"' + b"a" * 1_048_576 + b'"}]}'
    refused(await hospital.send("POST", "/Patient", body), 413, "too-long")
    refused(await hospital.send("PUT", "/Patient/x", body), 413, "too-long")
    refused(await hospital.send("POST", "", b" " * 5_242_881), 413, "too-long")
    form = b"name=" + b"a" * 1_048_576
    refused(
        await hospital.send("POST", "/Patient/_search", form, Content_Type="application/x-www-form-urlencoded"), 413
    )


ADDRESSES = (
    "/Nothing",
    "/Nothing/1",
    "/Nothing/_history",
    "/patient/1",
    "/Patient/1/2/3/4",
    "/Patient/%00",
    "/Patient/%FF",
    "/Patient/a%2Fb",
    "/Patient/" + "a" * 5000,
    "/Patient/%F0%9F%98%80",
    "/Patient/x/_history/0",
    "/Patient/x/_history/%C2%B2",
    "/Patient/x/_history/abc",
    "/Patient/x/_history/999999999999999999",
    "/Patient/x/_history/9999999999999999999999",
    "/Patient/%00/_history",
    "/Patient/%00/_history/1",
    "/Patient/x/$everything",
)


async def test_an_address_of_nothing_is_404(hospital: Caller) -> None:
    for path in ADDRESSES:
        assert (await hospital.get(path)).status_code == 404, path
        refused(await hospital.get(path), 404)
    for path in ("/Patient/%00", "/Patient/a_b", "/Nothing/1"):
        refused(await hospital.send("DELETE", path), 404)


async def test_a_method_not_offered_is_405(hospital: Caller) -> None:
    for method in ("PATCH", "OPTIONS", "TRACE", "POST"):
        answer = await hospital.send(method, "/Patient/x")
        refused(answer, 405)
        assert {each.strip() for each in answer.headers["allow"].split(",")} == {"GET", "PUT", "DELETE"}


async def test_without_a_token(world: World, hospital: Caller) -> None:
    for header in ("", "Bearer", "Bearer x.y.z", "Basic YTpi", "Bearer a b"):
        answer = await hospital.get("/Patient", Authorization=header)
        refused(answer, 401, "login")
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_without_the_scope(world: World) -> None:
    caller = await world.caller("hospital", scopes="system/Patient.rs")
    refused(await caller.send("POST", "/Patient", patient()), 403, "forbidden")
    refused(await caller.get("/Task"), 403, "forbidden")
    refused(await caller.get("/_history"), 403, "forbidden")
    assert await caller.find("Patient") == []


async def test_a_malformed_if_match_is_400(hospital: Caller) -> None:
    made = await hospital.create(patient())
    for header in ("1", "*", "W/1", 'W/"x"', 'W/"1", W/"2"', 'W/"' + "9" * 30 + '"', "", 'W/"-1"'):
        refused(await hospital.send("PUT", f"/Patient/{made['id']}", made, If_Match=header), 400)
        refused(await hospital.send("DELETE", f"/Patient/{made['id']}", None, If_Match=header), 400)
