"""The live view in the terminal: rate, latency, risks, the last predictions, what is in quarantine and why."""

import time
from collections import deque

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contracts.topics import EVENTS, PREDICTIONS
from monitoring.tally import Tally

_RATE_WINDOW_S = 3.0
_STYLES = {"positive": "bold red", "negative": "green", "insufficient_data": "yellow"}


class LiveView:
    """Draws a tally; give `render()` to `rich.live.Live`."""

    def __init__(self, tally: Tally, bootstrap: str, console: str | None = None) -> None:
        self._tally = tally
        self._bootstrap, self._console = bootstrap, console
        self._samples: deque[tuple[float, int]] = deque()
        self.phase = ""

    def render(self) -> RenderableType:
        layout = Layout()
        layout.split_column(Layout(self._head(), size=6), Layout(name="middle", size=13), Layout(self._quarantine()))
        layout["middle"].split_row(Layout(self._risks(), ratio=2), Layout(self._predictions(), ratio=3))
        return layout

    def rate(self) -> float:
        """Return the predictions a second over the last three seconds."""
        now = time.monotonic()
        self._samples.append((now, self._tally.predictions))
        while now - self._samples[0][0] > _RATE_WINDOW_S:
            self._samples.popleft()
        first_at, first = self._samples[0]
        return (self._tally.predictions - first) / (now - first_at) if now > first_at else 0.0

    def line(self) -> str:
        """Return what the head shows as one line."""
        tally = self._tally
        return (
            f"{self.phase}: {self.rate():,.0f} predictions/s, p50 {_ms(tally.latency_ms(0.5))}, "
            f"p99 {_ms(tally.latency_ms(0.99))}, {tally.predictions:,} predicted, "
            f"{tally.quarantined.total():,} quarantined"
        )

    def _head(self) -> Panel:
        tally = self._tally
        numbers = Table.grid(padding=(0, 3))
        numbers.add_row(
            f"[bold]{self.rate():,.0f}[/] predictions/s",
            f"latency p50 [bold]{_ms(tally.latency_ms(0.5))}[/] p99 [bold]{_ms(tally.latency_ms(0.99))}[/]",
            f"sent {tally.events_sent:,}",
            f"predicted {tally.predictions:,}",
            f"quarantined {tally.quarantined.total():,}",
            f"alerts {sum(told.count for told in tally.alerts.values()):,}",
        )
        page = f"   console {self._console}" if self._console else ""
        topics = f"topics {EVENTS.name} → {PREDICTIONS.name}"
        where = Text(f"broker {self._bootstrap}   {topics}{page}", style="dim", no_wrap=True, overflow="ellipsis")
        model = Text(f"model {tally.model_digest or '…'}", style="dim", no_wrap=True, overflow="ellipsis")
        return Panel(Group(numbers, where, model, Text(self.phase)), title="CardioSentry", subtitle="Ctrl-C ends")

    def _risks(self) -> Panel:
        bins = self._tally.bins
        highest = max(1, *bins)
        rows = Table.grid(padding=(0, 1), expand=True)
        rows.add_column(justify="right", no_wrap=True)
        rows.add_column(ratio=1)
        rows.add_column(justify="right")
        for place, count in enumerate(bins):
            colour = "green" if place < 4 else "yellow" if place < 7 else "red"
            rows.add_row(f"{place / 10:.1f}-{(place + 1) / 10:.1f}", Bar(highest, 0, count, color=colour), f"{count:,}")
        return Panel(rows, title="Probability of heart disease")

    def _predictions(self) -> Panel:
        rows = Table(expand=True, box=None, header_style="dim")
        for name in ("patient", "probability", "decision", "missing", "signed"):
            rows.add_column(name, no_wrap=True, overflow="ellipsis")
        for prediction in reversed(self._tally.last_predictions):
            rows.add_row(
                prediction.patient_id[:14] + "…",
                "-" if prediction.probability is None else f"{prediction.probability:.2f}",
                Text(prediction.decision.replace("_", " "), style=_STYLES[prediction.decision]),
                str(prediction.missing),
                "yes" if prediction.authenticated else "no",
            )
        return Panel(rows, title="Last predictions")

    def _quarantine(self) -> Panel:
        counts = Table.grid(padding=(0, 2))
        for reason, count in self._tally.quarantined.most_common(12):
            counts.add_row(f"{count:,}", reason)
        last = Table.grid(padding=(0, 2))
        for shown in reversed(self._tally.last_quarantined):
            last.add_row(Text(shown.text, style="yellow"), Text(shown.detail, style="dim"))
        sides = Table.grid(padding=(0, 4))
        sides.add_row(counts, last)
        return Panel(sides, title="Quarantine: count by reason, and the last ones")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
