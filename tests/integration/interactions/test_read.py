"""read and vread, whole or conditional (R4 http, read and vread)."""

from tests.api import Caller
from tests.integration.interactions.samples import patient, reference, refused


async def test_read(hospital: Caller) -> None:
    made = await hospital.send("POST", "/Patient", patient())
    answer = await hospital.get(f"/Patient/{made.json()['id']}")
    assert answer.status_code == 200
    assert answer.text == made.text
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["last-modified"] == made.headers["last-modified"]
    assert "no-cache" in answer.headers["cache-control"]


async def test_vread(hospital: Caller) -> None:
    made = await hospital.create(patient("1"))
    about = reference(made)
    second = (await hospital.update({**made, "active": True})).json()
    for version, text in ((1, made), (2, second)):
        answer = await hospital.get(f"/{about}/_history/{version}")
        assert answer.status_code == 200
        assert answer.json() == text
        assert answer.headers["etag"] == f'W/"{version}"'
    assert second["meta"]["lastUpdated"] > made["meta"]["lastUpdated"]
    refused(await hospital.get(f"/{about}/_history/3"), 404)
    await hospital.send("DELETE", f"/{about}")
    refused(await hospital.get(f"/{about}/_history/3"), 410, "deleted")
    assert (await hospital.read(f"{about}/_history/1")) == made
    assert (await hospital.read(f"{about}/_history/2")) == second
    refused(await hospital.get(f"/{about}/_history/4"), 404)


async def test_if_none_match(hospital: Caller) -> None:
    made = await hospital.create(patient())
    path = f"/{reference(made)}"
    for tags in ('W/"1"', '"1"', 'W/"7", W/"1"', "*"):
        answer = await hospital.get(path, If_None_Match=tags)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == 'W/"1"'
    await hospital.update(made)
    for tags in ('W/"1"', "", "x"):
        assert (await hospital.get(path, If_None_Match=tags)).status_code == 200
    refused(await hospital.get("/Patient/none", If_None_Match="*"), 404)


async def test_if_modified_since(hospital: Caller) -> None:
    made = await hospital.send("POST", "/Patient", patient())
    path = f"/Patient/{made.json()['id']}"
    stamp = made.headers["last-modified"]
    assert (await hospital.get(path, If_Modified_Since=stamp)).status_code == 304
    assert (await hospital.get(path, If_Modified_Since="Fri, 01 Jan 2100 00:00:00 -0000")).status_code == 304
    for since in (
        "Wed, 01 Jan 2020 00:00:00 GMT",
        "yesterday",
        "",
        "Mon, 01 Jan 0001 00:00:00 +1400",
        "Fri, 31 Dec 9999 23:59:59 -1400",
    ):
        assert (await hospital.get(path, If_Modified_Since=since)).status_code == 200, since
    # If-None-Match comes before If-Modified-Since (RFC 9110, 13.1.3).
    answer = await hospital.get(path, If_Modified_Since=stamp, If_None_Match='W/"2"')
    assert answer.status_code == 200


async def test_what_was_deleted_is_410(hospital: Caller) -> None:
    made = await hospital.create(patient())
    await hospital.send("DELETE", f"/{reference(made)}")
    refused(await hospital.get(f"/{reference(made)}"), 410, "deleted")
    refused(await hospital.get(f"/{reference(made)}", If_None_Match='W/"2"'), 410, "deleted")


async def test_capabilities_need_no_token(hospital: Caller) -> None:
    answer = await hospital.get("/metadata", Authorization="")
    assert answer.status_code == 200
    assert answer.json()["resourceType"] == "CapabilityStatement"
    assert answer.json()["fhirVersion"] == "4.0.1"
