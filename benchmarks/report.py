"""What every benchmark says with its figures: the machine, the versions, the settings; as JSON, table and plot."""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import confluent_kafka
import msgspec
import psutil

from benchmarks.environments import ROOT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = ROOT / "benchmarks" / "results"
WIDTH = 120  # of tables, also where nobody watches
PLOTS = ROOT / "docs" / "benchmarks"

_LIBRARIES = (
    *("cardiosentry", "faust-streaming", "confluent-kafka", "msgspec", "numpy", "onnxruntime"),
    *("model-signing", "cryptography"),
)


def context(broker_version: str | None) -> dict[str, Any]:
    """Return where and with what the figures were made; `broker_version` is None where no broker was needed."""
    broker = {"kafka": broker_version, "librdkafka": confluent_kafka.libversion()[0]} if broker_version else {}
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([f"python -m {_module()}", *sys.argv[1:]]),
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.release()}",
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": {
            "python": platform.python_version(),
            **broker,
            **{name: version(name) for name in _LIBRARIES},
        },
    }


def caption(made: dict[str, Any]) -> str:
    """Return the one line under a table or plot."""
    machine, versions = made["machine"], made["versions"]
    where = f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB"
    if "kafka" not in versions:
        return f"{where}; Python {versions['python']}, model-signing {versions['model-signing']}; {made['at']}"
    return (
        f"{where}, broker on the same machine; "
        f"Kafka {versions['kafka']}, Python {versions['python']}, librdkafka {versions['librdkafka']}; {made['at']}"
    )


def write_json(directory: Path, name: str, document: dict[str, Any]) -> Path:
    """Write the figures as `name`.json and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return path


def write_plot(directory: Path, name: str, figure: "Figure", made: dict[str, Any]) -> Path:
    """Write the figure as `name`.svg, its circumstances below, and return its path."""
    import matplotlib

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.svg"
    figure.text(0.01, 0.01, caption(made), fontsize=6, color="#555555")
    # Text stays text and ids stay the same, so that two versions of a plot can be compared.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(path, metadata={"Date": None})
    return path


def bars(
    labels: Sequence[str],
    middle: Sequence[float],
    lowest: Sequence[float],
    highest: Sequence[float],
    *,
    ours: Sequence[bool],
    what: str,
    form: str = ",.0f",
) -> "Figure":
    """Return a bar a label, from top to bottom, with whiskers from `lowest` to `highest`; those of `ours` in colour.

    `what` names the axis, `form` formats the figure at the end of a bar.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(8, 0.55 * len(labels) + 1.2), layout=ConstrainedLayoutEngine(rect=(0, 0.06, 1, 0.94)))
    axes = figure.subplots()
    spread = [[m - low for m, low in zip(middle, lowest, strict=True)]]
    spread.append([high - m for m, high in zip(middle, highest, strict=True)])
    colours = ["#1f77b4" if each else "#aaaaaa" for each in ours]
    drawn = axes.barh(labels, middle, xerr=spread, color=colours, ecolor="#333333", capsize=2)
    axes.invert_yaxis()
    axes.bar_label(drawn, [f" {value:{form}}" for value in middle], padding=6, fontsize=8)
    axes.set_xlabel(what)
    axes.margins(x=0.15)
    axes.tick_params(axis="y", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else Path(sys.argv[0]).stem


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
