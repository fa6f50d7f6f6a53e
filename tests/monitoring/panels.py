"""The panels of the dashboards that are kept, as Grafana reads them."""

import json
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).parents[2] / "monitoring" / "grafana"
FILES = sorted(GRAFANA.glob("*.json"))


def panels() -> list[tuple[str, dict[str, Any]]]:
    """Return each panel that asks something, with a name for a test."""
    found = [(file.stem, panel) for file in FILES for panel in json.loads(file.read_text())["panels"]]
    return [(f"{dashboard}: {panel['title']}", panel) for dashboard, panel in found if panel["type"] != "row"]
