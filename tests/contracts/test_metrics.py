"""The catalogue of metrics is complete, and each entry is one that Prometheus takes."""

import re
from typing import get_args

import pytest

from contracts.metrics import METRICS, STEPS, CounterName, GaugeName, HistogramName, MetricName, RetrainName, Step

COUNTERS, HISTOGRAMS = map(get_args, (CounterName, HistogramName))
GAUGES = [*get_args(GaugeName), *get_args(RetrainName)]


def test_every_step_is_described() -> None:
    assert list(STEPS) == list(get_args(Step))


def test_every_name_has_an_entry_and_every_entry_a_name() -> None:
    assert sorted(METRICS) == sorted([*COUNTERS, *GAUGES, *HISTOGRAMS])


@pytest.mark.parametrize("name", METRICS)
def test_an_entry_says_what_it_counts_in_which_unit(name: MetricName) -> None:
    metric = METRICS[name]
    assert re.fullmatch(r"cardiosentry_[a-z_]+[a-z]", name)
    assert name.endswith("_total") == (name in COUNTERS)  # https://prometheus.io/docs/practices/naming/
    assert metric.help.endswith(".")
    assert "second" in metric.help.lower() or not name.endswith("_seconds")
    assert all(re.fullmatch(r"[a-z_]+", label) for label in metric.labels)
    # A patient, an event or a device as a label would make a series of each, and show who is treated.
    assert not {"patient_id", "event_id", "source", "key"} & set(metric.labels)


@pytest.mark.parametrize("name", METRICS)
def test_a_histogram_and_nothing_else_has_rising_buckets(name: MetricName) -> None:
    buckets = METRICS[name].buckets
    assert bool(buckets) == (name in HISTOGRAMS)
    assert list(buckets) == sorted(set(buckets))
