"""Work beside a test is done again and again, and does not fail unseen."""

import threading

import pytest

from tests.support.repeating import repeating


def test_work_is_repeated_until_the_end_and_not_after() -> None:
    thrice = threading.Semaphore(0)
    before = threading.active_count()
    with repeating(thrice.release, 0.001):
        assert all(thrice.acquire(timeout=30) for _ in range(3))
    assert threading.active_count() == before


def test_its_error_is_raised_at_the_end() -> None:
    failed = threading.Event()

    def work() -> None:
        failed.set()
        raise OSError("no load")

    with pytest.raises(OSError, match="no load"), repeating(work, 0.001):
        assert failed.wait(30)
