"""The floor's material: what one request ran, made into what another would have run."""

from app.core.ids import new_id
from bench.recording import rename


def test_every_id_that_the_server_made_becomes_a_new_one() -> None:
    task, row = new_id(), new_id()
    unit = [("INSERT", (task, ["Patient/p-1", task], 1)), ("INSERT INTO audit", (row, f"Task/{task}"))]
    (_, (first, (patient, again), one)), (_, (audit, reference)) = rename(unit, [("p-1", "p-2")])
    assert (patient, one) == ("Patient/p-2", 1)
    assert first == again == reference.removeprefix("Task/") != task
    assert audit not in (row, first)
