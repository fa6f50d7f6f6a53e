"""What a process beside the workers counts is on their page, under the names of the catalogue."""

import pytest

from contracts.errors import UserError
from monitoring.meters import Meters
from tests.support.ports import free_ports
from tests.support.serving import get


def test_a_page_shows_what_is_counted_when_it_is_asked() -> None:
    (port,) = free_ports(1)
    shipped = {"alerts": 3, "records": 0}
    meters = Meters()
    meters.add("cardiosentry_ship_records_total", lambda: shipped)
    meters.add("cardiosentry_notify_watchdog", lambda: {"": True})
    meters.serve("127.0.0.1", port)
    shipped["records"] = 7
    status, page = get(f"http://127.0.0.1:{port}/metrics")
    assert status == 200
    assert 'cardiosentry_ship_records_total{lane="alerts"} 3.0' in page
    assert 'cardiosentry_ship_records_total{lane="records"} 7.0' in page
    assert "cardiosentry_notify_watchdog 1.0" in page
    with pytest.raises(UserError, match="setting metrics_port: expected to listen at"):
        Meters().serve("127.0.0.1", port)


def test_no_port_is_no_page() -> None:
    Meters().serve("256.256.256.256", 0)
