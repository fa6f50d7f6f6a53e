"""The dashboards are what their program writes, and ask for what somebody writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from monitoring.grafana.write import dashboards
from tests.monitoring.panels import FILES, GRAFANA, panels
from tests.monitoring.series import assert_written


def test_the_dashboards_that_are_kept_are_those_that_are_written() -> None:
    written = dashboards()
    assert sorted(written) == [file.name for file in FILES]
    for name, text in written.items():
        assert (GRAFANA / name).read_text("utf-8") == text, "run make schemas"


@pytest.mark.parametrize("panel", [each for _, each in panels()], ids=[name for name, _ in panels()])
def test_a_panel_says_what_it_shows_in_a_unit_and_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        assert_written(target["expr"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_variable_that_a_panel_uses_is_one_that_can_be_chosen(file: Path) -> None:
    text = file.read_text()
    names = {variable["name"] for variable in json.loads(text)["templating"]["list"]}
    assert names >= {"datasource", "job"}
    assert ("$group" in text) == ("group" in names)
