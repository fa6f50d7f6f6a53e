"""Alerts about releases: each thing once, a flood counted, and nothing that ECS does not have."""

import json
from typing import Any

import pytest

from contracts.codec import encode
from contracts.releases import DAY_MS
from models.release_log import ReleaseLog
from models.trust import first_root
from models.verify import VerifiedBundle
from stream_app.release_alerts import ReleaseAlerts
from tests.models.signers import NOW_MS, root
from tests.producers.support import AT_MS
from tests.stream_app.support import loaded


@pytest.fixture
def written() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def alerts(written: list[dict[str, Any]]) -> ReleaseAlerts:
    return ReleaseAlerts(lambda alert: written.append(json.loads(encode(alert))), "worker-0", lambda: NOW_MS)


def test_a_refusal_is_reported_once_with_where_and_why(alerts: ReleaseAlerts, written: list[dict[str, Any]]) -> None:
    for _ in range(3):
        alerts.refused("expected a signed envelope", "0/17")
    (alert,) = written
    assert (alert["rule"]["id"], alert["message"]) == ("release-refused", "expected a signed envelope")
    assert alert["labels"] == {"origin": "0/17", "worker": "worker-0"}
    assert alert["threat"]["technique"]["id"] == ["AML.T0018"]


def test_a_flood_of_refusals_is_counted(
    alerts: ReleaseAlerts, written: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("stream_app.release_alerts.time.monotonic", lambda: now)
    for number in range(1000):
        alerts.refused("junk", f"0/{number}")
    assert len(written) == 6
    now += 61
    alerts.refused("junk", "0/1000")
    assert written[-1]["labels"]["refused_before_unreported"] == "994"


def test_no_champion_is_reported_each_time_that_there_is_none(
    alerts: ReleaseAlerts, written: list[dict[str, Any]], verified: VerifiedBundle
) -> None:
    log = ReleaseLog(first_root(root(created_at=AT_MS, expires_at=AT_MS + 400 * DAY_MS)))
    for _ in range(3):
        alerts.state(log, None, AT_MS)
    alerts.state(log, loaded(verified), AT_MS)
    alerts.state(log, None, AT_MS)
    told = [alert for alert in written if alert["rule"]["id"] != "release-ending"]
    assert [alert["rule"]["id"] for alert in told] == ["no-champion"] * 3
    assert [alert["event"].get("action") for alert in told] == [None, "ended", None]


def test_that_there_is_no_champion_is_told_again_every_ten_minutes_while_it_lasts(
    alerts: ReleaseAlerts, written: list[dict[str, Any]]
) -> None:
    log = ReleaseLog(first_root(root(created_at=AT_MS, expires_at=AT_MS + 400 * DAY_MS)))
    for second in range(0, 3600, 2):
        alerts.state(log, None, AT_MS + second * 1000)
    assert len(written) == 6


def test_an_end_is_reported_a_week_before_and_when_it_comes(
    alerts: ReleaseAlerts, written: list[dict[str, Any]], verified: VerifiedBundle
) -> None:
    end = AT_MS + DAY_MS  # of the loaded release
    log = ReleaseLog(first_root(root(created_at=AT_MS, expires_at=AT_MS + 400 * DAY_MS)))
    champion = loaded(verified)
    for at in (end - 8 * DAY_MS, end - 6 * DAY_MS, end - 5 * DAY_MS, end + DAY_MS, end + 2 * DAY_MS):
        alerts.state(log, champion, at)
    assert [alert["message"] for alert in written] == ["champion 1: it ends in 144 h", "champion 1: it ended 24 h ago"]
