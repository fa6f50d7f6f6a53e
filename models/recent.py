"""The last windows of a stream in buckets that double: every moment a change may have begun, at a logarithm's cost.

The newest windows stand alone, those before them in pairs, fours, eights: at most two buckets of a size, as in ADWIN's
exponential histogram (Bifet and Gavaldà, SIAM Conference on Data Mining, 2007). The sums of the newest buckets are what
happened since each of their beginnings, so a great change shows in the last window and a small one in the last hundred.
"""

from collections.abc import Callable
from operator import add
from typing import TypeVar

A = TypeVar("A")

LONGEST = 64
"""Windows that the sums cover at most, give or take one bucket. A longer memory would see smaller changes and, sooner,
that a hospital's patients are not those of the training data: the reference is an estimate from some hundreds of them.
Windows of more events than the least count as so many more."""


def push(
    buckets: list[tuple[int, A]], new: A, plus: Callable[[A, A], A], length: Callable[[A], float], longest: float
) -> None:
    """Add a window to `buckets` [(windows, their sum)], newest first.

    What is older than the newest `longest`, measured by `length`, goes.
    """
    buckets.insert(0, (1, new))
    at = 0
    while at + 2 < len(buckets) and buckets[at][0] == buckets[at + 2][0]:
        (size, later), (_, earlier) = buckets[at + 1 : at + 3]
        buckets[at + 1 : at + 3] = [(2 * size, plus(later, earlier))]
        at += 1
    lengths = [length(each) for _, each in buckets]
    while sum(lengths[:-1]) >= longest:
        buckets.pop()
        lengths.pop()


def suffix_lengths(windows: int) -> list[list[int]]:
    """Return for each of the first `windows` windows how many windows the sums of the newest buckets cover.

    >>> suffix_lengths(4)
    [[1], [1, 2], [1, 3], [1, 2, 4]]
    """
    buckets: list[tuple[int, int]] = []
    found = []
    for _ in range(windows):
        push(buckets, 1, add, float, LONGEST)
        found.append([sum(size for size, _ in buckets[: at + 1]) for at in range(len(buckets))])
    return found
