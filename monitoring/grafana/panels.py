"""What a dashboard is made of: panels of few kinds, all over one Prometheus, in the forms that Grafana reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, TypeAlias

from grafana_foundation_sdk.builders import bargauge, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, units
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Builder: TypeAlias = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel

_SOURCE = DataSourceRef("prometheus", "${datasource}")

UNITS = {
    "records/s": "recps",
    "seconds": units.Seconds,
    "share": units.PercentUnit,
    "records": units.Short,
    "number": units.Short,
    "bytes": units.BytesIEC,
    "cores": units.Short,
}


@dataclass(frozen=True)
class Panel:
    """One panel: `queries` are expressions and the legend of their series, `width` is of 24.

    From `alarm` on (or below, if `alarm_below`) a value is shown red.
    """

    title: str
    says: str
    queries: Sequence[tuple[str, str]]
    unit: str
    kind: Literal["time", "now", "bars", "table"] = "time"
    width: int = 8
    alarm: float | None = None
    alarm_below: bool = False


def dashboard_of(title: str, uid: str, says: str, rows: Sequence[tuple[str, Sequence[Panel]]]) -> str:
    """Return a dashboard of rows of panels as Grafana imports it."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(says)
        .tags(["cardiosentry"])
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_variable("job", "System", 'label_values(up{job=~"cardiosentry.*"}, job)'))
    )
    asked = [expression for _, panels in rows for panel in panels for expression, _ in panel.queries]
    if any("$group" in expression for expression in asked):
        groups = "label_values(cardiosentry_retrain_finished_timestamp_seconds, group)"
        made = made.with_variable(_variable("group", "Retrained", groups))
    identity = count(1)
    for name, panels in rows:
        made = made.with_row(dashboard.Row(name).id(next(identity)))
        for panel in panels:
            made = made.with_panel(_built(panel).id(next(identity)))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(_SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def _built(panel: Panel) -> Builder:
    made = _of_kind(panel).title(panel.title).description(panel.says).datasource(_SOURCE).span(panel.width)
    made = made.unit(UNITS[panel.unit]).height(4 if panel.kind == "now" else 8)
    if panel.unit == "share":
        made = made.min(0.0)
    made = made.thresholds(_thresholds(panel))
    for number, (expression, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id("ABCDEFGH"[number])
        if panel.kind == "table":
            query = query.format(PromQueryFormat.TABLE)
        made = made.with_target(query.range() if panel.kind == "time" else query.instant())
    return made


def _of_kind(panel: Panel) -> Builder:
    last = shared.ReduceDataOptions().calcs(["lastNotNull"])
    match panel.kind:
        case "now":
            return stat.Panel().graph_mode(common.BigValueGraphMode.NONE).reduce_options(last)
        case "bars":
            return bargauge.Panel().orientation(common.VizOrientation.HORIZONTAL).reduce_options(last)
        case "table":
            return table.Panel()
    made = timeseries.Panel().fill_opacity(10).line_width(1).show_points(common.VisibilityMode.NEVER)
    if panel.alarm is not None:
        lines = shared.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        made = made.thresholds_style(lines)
    return made


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    colours = ("red", "green") if panel.alarm_below else ("green", "red")
    steps = [Threshold(None, colours[0])]
    if panel.alarm is not None:
        steps.append(Threshold(panel.alarm, colours[1]))
    else:
        steps = [Threshold(None, "green")]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
