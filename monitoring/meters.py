"""Metrics of the processes beside the workers: read from what they count anyway, when somebody asks."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contracts.errors import UserError
from contracts.metrics import METRICS, CounterName, GaugeName

Values = Mapping[str, float]
"""By the value of the metric's label; of a metric without one, by ""."""


class Meters:
    """The metrics of one process, by the names of the catalogue."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    def add(self, name: CounterName | GaugeName, read: Callable[[], Values]) -> None:
        """Show a metric with what `read` returns, which is called in another thread and must not block."""
        self._registry.register(_Read(name, read))

    def serve(self, host: str, port: int) -> None:
        """Serve `/metrics` in a thread until the process ends; nothing for port 0.

        Raises `UserError` where it cannot listen.
        """
        if not port:
            return
        try:
            start_http_server(port, host, self._registry)
        except OSError as error:
            raise UserError(
                f"setting metrics_port: expected to listen at {host}:{port}, got: {error.strerror}"
            ) from None


class _Read(Collector):
    def __init__(self, name: CounterName | GaugeName, read: Callable[[], Values]) -> None:
        self._name, self._read = name, read

    def collect(self) -> Iterable[Metric]:
        metric = METRICS[self._name]
        family = CounterMetricFamily if self._name.endswith("_total") else GaugeMetricFamily
        made = family(self._name, metric.help, labels=metric.labels)
        for label, value in self._read().items():
            made.add_metric([label] if metric.labels else [], value)
        yield made
