"""How long the steps of one batch take."""

from collections.abc import Callable

from contracts.metrics import Step


class Stopwatch:
    """Times what lies between two calls; a step that comes in parts has their sum.

    >>> clock = iter([0.0, 1.0, 1.5, 3.5])
    >>> watch = Stopwatch(lambda: next(clock))
    >>> for step in ("decode", "score", "decode"):
    ...     _ = watch.lap(step)
    >>> watch.seconds
    {'decode': 3.0, 'score': 0.5}
    """

    __slots__ = ("_clock_s", "_last_s", "seconds", "started_s")

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self.started_s = self._last_s = clock_s()
        self.seconds: dict[Step, float] = {}

    def lap(self, step: Step) -> float:
        """Count the time since the last call to `step`; return now, seconds of the clock."""
        now_s = self._clock_s()
        self.seconds[step] = self.seconds.get(step, 0.0) + now_s - self._last_s
        self._last_s = now_s
        return now_s
