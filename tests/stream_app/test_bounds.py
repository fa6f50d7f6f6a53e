"""Ten million patients, events and sources: what is remembered stays as large as it says."""

from collections.abc import Iterator

import numpy as np
import psutil

from stream_app.detectors.copies import CopyMemory
from stream_app.detectors.memories import IDS, PATIENTS, IdMemory, PatientMemory

_DISTINCT = 10_000_000
_BATCH = 4000


def batches() -> Iterator[list[int]]:
    for first in range(0, _DISTINCT, _BATCH):
        yield list(range(first, first + _BATCH))


def test_ten_million_distinct_ids_and_patients_take_no_more_memory_than_a_few_hundred_thousand() -> None:
    ids, patients, copies = IdMemory(), PatientMemory(), CopyMemory()
    most, values, rng = np.array([1.0, 0.0]), np.zeros((_BATCH, 2)), np.random.default_rng(1)
    full = 0
    for number, batch in enumerate(batches()):
        assert ids.add(batch, batch) == {}
        assert patients.add(batch, values, most) == (list(range(_BATCH)), [])
        if number % 25 == 0:  # random numbers cost more than what is tested
            copies.add(batch, rng.random((_BATCH, 4)))
        for memory in (ids, patients):
            memory.committed()
        if number == 100:
            full = psutil.Process().memory_info().rss
    assert psutil.Process().memory_info().rss - full < 20_000_000
    assert IDS <= len(ids) <= 2 * IDS + _BATCH
    assert len(patients) == PATIENTS
    assert ids.add([_DISTINCT - 1], [_DISTINCT - 1]) == {0: True}
    assert patients.add([_DISTINCT - 1], np.array([[5.0, 0.0]]), most) == ([], [0])
