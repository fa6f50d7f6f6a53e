"""The panels of the dashboards that are kept, as Grafana reads them."""

import json
from pathlib import Path
from typing import Any

from monitoring.grafana.stream import BESIDE

GRAFANA = Path(__file__).parents[2] / "monitoring" / "grafana"
FILES = sorted(GRAFANA.glob("*.json"))


def panels() -> list[tuple[str, dict[str, Any]]]:
    """Return each panel that asks something, with a name for a test."""
    found = [(file.stem, panel) for file in FILES for panel in json.loads(file.read_text())["panels"]]
    return [(f"{dashboard}: {panel['title']}", panel) for dashboard, panel in found if panel["type"] != "row"]


def queries(group: str = "", *, beside: bool = False) -> dict[str, str]:
    """Return what the panels ask Prometheus of the job `cardiosentry`, or of the processes beside the workers."""
    found: dict[str, str] = {}
    row = ""
    for file in FILES:
        for panel in json.loads(file.read_text())["panels"]:
            if panel["type"] == "row":
                row = panel["title"]
            elif (row == BESIDE) == beside:
                found |= {f"{file.stem}: {panel['title']} {each['refId']}": each["expr"] for each in panel["targets"]}
    filled = {"$__rate_interval": "10s", "$job": "cardiosentry", "$group": group}
    for variable, value in filled.items():
        found = {name: expression.replace(variable, value) for name, expression in found.items()}
    return found
