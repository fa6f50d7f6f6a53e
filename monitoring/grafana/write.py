"""Write the dashboards beside this file: `python -m monitoring.grafana.write`. A test says if they are not current."""

from pathlib import Path

from monitoring.grafana import model, stream
from monitoring.grafana.panels import dashboard_of


def dashboards() -> dict[str, str]:
    """Return each dashboard's JSON by the name of its file."""
    return {
        "stream-at-a-glance.json": dashboard_of(
            "CardioSentry: stream at a glance",
            "cardiosentry-stream",
            "Rate, latency, lag, quarantine and alerts of one system's workers.",
            stream.ROWS,
        ),
        "model-and-drift.json": dashboard_of(
            "CardioSentry: model and drift",
            "cardiosentry-model",
            "Which model scores, how good it is by scores and outcomes, how far its patients are from its reference.",
            model.ROWS,
        ),
    }


if __name__ == "__main__":
    for name, text in dashboards().items():
        Path(__file__).with_name(name).write_text(text, "utf-8")
