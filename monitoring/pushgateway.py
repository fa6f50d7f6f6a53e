"""What a retrain tells the Pushgateway: a run is over before anybody could scrape it."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

from contracts.metrics import METRICS, RetrainName

JOB = "cardiosentry-retrain"
_ANSWER_S = 5.0

Verdict = Literal["released", "refused", "broken"]


@dataclass(frozen=True, slots=True)
class RunFigures:
    """A run that ended at `ended_s` (seconds since 1970): each step's time in seconds and whether it passed."""

    verdict: Verdict
    ended_s: float
    steps: Mapping[str, tuple[float, bool]]


def registry_of(run: RunFigures) -> CollectorRegistry:
    """Return the metrics of a run; when one was last released is told by those alone that were."""
    registry = CollectorRegistry()

    def gauge(name: RetrainName) -> Gauge:
        return Gauge(name, METRICS[name].help, METRICS[name].labels, registry=registry)

    seconds, passed = gauge("cardiosentry_retrain_step_seconds"), gauge("cardiosentry_retrain_step_passed")
    for step, (took_s, good) in run.steps.items():
        seconds.labels(step).set(took_s)
        passed.labels(step).set(good)
    gauge("cardiosentry_retrain_finished_timestamp_seconds").labels(run.verdict).set(run.ended_s)
    if run.verdict == "released":
        gauge("cardiosentry_retrain_released_timestamp_seconds").set(run.ended_s)
    return registry


def push(gateway: str, group: str, run: RunFigures) -> str:
    """Replace what the gateway has of the group's last run; return why that could not be done, "" if it was.

    A metric that this run has nothing of stays as it was: when one was last released.
    """
    try:
        pushadd_to_gateway(gateway, JOB, registry_of(run), {"group": group}, _ANSWER_S)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error) or type(error).__name__
    return ""
