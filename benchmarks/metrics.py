"""What metrics cost a worker: counting a batch, and answering a scrape. `make bench-metrics`"""

import time
import timeit
from collections.abc import Callable
from typing import get_args

from contracts.metrics import Step
from contracts.topics import EVENTS, OUTCOMES, SIGNALS
from models.outcomes import Performance
from stream_app.batch import Batch, Span
from stream_app.detectors.figures import Compared, Figures
from stream_app.detectors.rules import load_rules
from stream_app.pipeline import Result
from stream_app.release_alerts import RULES
from stream_app.stopwatch import Stopwatch
from stream_app.telemetry import Telemetry

RECORDS = 1000
_ROUNDS = 200
_LAPS: tuple[Step, ...] = ("decode", "detect", "score", "detect", "seal", "detect")


def best_us(call: Callable[[], object], number: int) -> float:
    """Return the shortest time of a call, microseconds: what is longer is what else the machine did."""
    return min(timeit.repeat(call, number=number, repeat=_ROUNDS)) / number * 1e6


def main() -> None:
    telemetry = Telemetry([*(rule.id for rule in load_rules().all), *(rule.id for rule in RULES)])
    nothing = [None] * RECORDS
    batch = Batch(EVENTS.name, [Span(0, 0, 0, range(RECORDS))], nothing, nothing, nothing)
    good = Performance(brier=0.1, sensitivity=0.9, specificity=0.7, precision=0.8)
    drift = Compared(1500, dict.fromkeys(map(str, range(18)), 0.5), good)
    figures = Figures(drift, Compared(1500, dict.fromkeys(map(str, range(6)), 0.5), good), good)

    def count() -> None:
        watch = Stopwatch(time.perf_counter)
        for step in _LAPS:
            watch.lap(step)
        result = Result(decisions={"negative": 600, "positive": 400}, newest_ms=0, seconds=watch.seconds)
        result.seconds["write"] = 0.001
        telemetry.processed(batch, result, 40)
        telemetry.committed(0.01)

    def scrape() -> bytes:
        telemetry.measured({topic.name: 0 for topic in (EVENTS, OUTCOMES, SIGNALS)}, figures, watches=True)
        return telemetry.exposition()

    for step in get_args(Step):
        telemetry.processed(batch, Result(seconds={step: 0.001}), 40)
    print(f"count a batch of {RECORDS} records, {len(_LAPS) + 1} steps timed: {best_us(count, 100):.0f} µs")
    print(f"answer a scrape of {scrape().count(b'cardiosentry_')} lines: {best_us(scrape, 5) / 1000:.1f} ms")


if __name__ == "__main__":
    main()
