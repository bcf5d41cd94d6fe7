"""HEAD tells what GET would, and nothing of the content."""

import pytest

from tests.api import Caller
from tests.integration.interactions.samples import patient, reference


@pytest.mark.parametrize("path", ["/{}", "/{}/_history/1", "/{}/_history", "/Patient?gender=female", "/Patient/none"])
async def test_head_is_get_without_the_body(hospital: Caller, path: str) -> None:
    address = path.format(reference(await hospital.create(patient())))
    got, head = await hospital.get(address), await hospital.send("HEAD", address)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert {**head.headers} == {**got.headers}
    assert len(got.content) == int(head.headers["content-length"]) > 0


async def test_what_is_not_seen_looks_absent(hospital: Caller, ngo: Caller) -> None:
    who = reference(await hospital.create(patient()))
    assert (await ngo.send("HEAD", f"/{who}")).status_code == 404
    assert (await hospital.send("HEAD", f"/{who}")).status_code == 200
