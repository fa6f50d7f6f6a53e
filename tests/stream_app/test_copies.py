"""Values that many patients have to the last digit are found, whoever sends them, and chance is not taken for it."""

import numpy as np

from stream_app.detectors.copies import COPIES, CopyMemory

STAMP = np.array([[118.0, 234.0, 151.0, 1.7]])


def test_the_fifth_patient_with_the_same_values_is_a_copy_and_so_is_who_comes_after() -> None:
    memory = CopyMemory()
    found = [memory.add([patient], STAMP) for patient in range(COPIES + 2)]
    assert found == [[]] * (COPIES - 1) + [[0]] * 3


def test_a_batch_is_its_events_one_by_one_but_for_those_of_the_batch_that_came_first() -> None:
    memory = CopyMemory()
    assert memory.add(list(range(20)), np.repeat(STAMP, 20, axis=0)) == list(range(20))


def test_a_patient_who_comes_again_with_his_values_is_one_patient() -> None:
    memory = CopyMemory()
    assert memory.add([7] * 50, np.repeat(STAMP, 50, axis=0)) == []
    assert all(memory.add([7], STAMP) == [] for _ in range(50))
    assert memory.add([1, 2, 3], np.repeat(STAMP, 3, axis=0)) == []


def test_three_values_that_agree_are_enough_and_two_are_not() -> None:
    three, two = STAMP.copy(), STAMP.copy()
    three[0, 1] = np.nan
    two[0, :2] = np.nan
    for values, expected in ((three, [0]), (two, [])):
        memory = CopyMemory()
        for patient in range(COPIES):
            found = memory.add([patient], values)
        assert found == expected


def test_what_came_again_after_an_abort_counts_once() -> None:
    memory = CopyMemory()
    for _ in range(3):
        assert memory.add([1, 2, 3, 4], np.repeat(STAMP, 4, axis=0)) == []


def test_patients_who_differ_by_a_digit_are_no_copies_however_many_come() -> None:
    memory, rng = CopyMemory(), np.random.default_rng(3)
    for _ in range(100):
        patients = rng.integers(1 << 62, size=2000)
        values = np.column_stack([rng.normal(mean, sd, 2000).round() for mean, sd in ((132, 19), (247, 52), (138, 26))])
        assert len(memory.add(patients.tolist(), values)) <= 2


def test_a_stamp_is_forgotten_once_enough_others_came() -> None:
    memory, rng = CopyMemory(), np.random.default_rng(4)
    for patient in range(COPIES):
        memory.add([patient], STAMP)
    for _ in range(200):
        memory.add(rng.integers(1 << 62, size=2000).tolist(), rng.normal(size=(2000, 4)))
    assert memory.add([99], STAMP) == []
