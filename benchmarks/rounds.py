"""Rounds: all contenders run in turn, again and again, so that what disturbs the machine disturbs all of them."""

import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def interleave(runs: Mapping[str, Callable[[], T]], rounds: int, told: Callable[[T], str]) -> list[dict[str, T]]:
    """Return what each of `runs`, by name, measured in each round; `told` says it in a few words."""
    # A broker just started runs uncompiled code, and new files are not in memory yet: the first contender of the first
    # round would pay for that.
    first = next(iter(runs))
    say(f"warming up with {first}, not counted …")
    runs[first]()
    done: list[dict[str, T]] = []
    for number in range(1, rounds + 1):
        this: dict[str, T] = {}
        for name, run in runs.items():
            this[name] = run()
            say(f"round {number}: {name} {told(this[name])}")
        done.append(this)
    return done


def say(text: str) -> None:
    """Tell who waits how far a benchmark is."""
    print(text, file=sys.stderr, flush=True)
