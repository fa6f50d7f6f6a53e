"""Doing something again and again beside what a test does."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def repeating(work: Callable[[], object], every_s: float) -> Iterator[None]:
    """Do some work every so often meanwhile, in a thread; an error of it ends that and is raised at the end."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(every_s):
            work()

    with ThreadPoolExecutor(1) as thread:
        repeated = thread.submit(repeat)
        try:
            yield
        finally:
            done.set()
            repeated.result()
