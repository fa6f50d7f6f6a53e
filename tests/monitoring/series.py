"""Which series an expression asks for."""

import re
from collections.abc import Container
from typing import cast

from contracts.metrics import METRICS, MetricName

_SERIES = re.compile(r"\b((?:[a-z_]+:)?cardiosentry_[a-z_]+(?::[a-z0-9_]+)?)(?:\{([^}]*)\})?")
_OTHERS = re.compile(r"\b(up|process_[a-z_]+)\b")  # by Prometheus itself, and its client of every process


def assert_written(expression: str, recorded: Container[str] = ()) -> None:
    """Assert that each series that an expression names is of the catalogue, recorded, or of every process."""
    series = _SERIES.findall(expression)
    assert series or _OTHERS.search(expression), expression
    for name, matchers in series:
        if ":" in name:
            assert name in recorded, name
            continue
        plain = cast("MetricName", re.sub(r"_(bucket|sum|count)$", "", name))
        assert plain in METRICS, name
        assert bool(METRICS[plain].buckets) == (plain != name), name
        asked = set(re.findall(r"(\w+)\s*(?:=|!)", matchers))
        assert asked <= {*METRICS[plain].labels, "job", "instance", "group"}, name
