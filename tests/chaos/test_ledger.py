"""The judge of the crash test must see what it is there to see."""

import pytest

from contracts.reasons import Reason
from tests.chaos.ledger import Arrival, Ledger, recovery_s


def prediction(event_id: str, patient: str = "p") -> bytes:
    return (
        f'{{"event_id":"{event_id}","patient_id":"{patient}","model":{{"digest":"sha256:0"}},'
        f'"observed_at":0,"scored_at":1,"more":1}}'
    ).encode()


def judged(*predictions: bytes, quarantined: tuple[tuple[str, str], ...] = (("1/7", "schema"),)) -> dict[str, int]:
    """Judge these outputs of events a, b (of one patient, in this order) and a malformed one at 1/7."""
    ledger = Ledger()
    ledger.sent(0, 1, "a", None)
    ledger.sent(0, 2, "b", None)
    ledger.sent(1, 7, "", Reason.SCHEMA)
    for value in predictions:
        ledger.predicted(0.0, value)
    for origin, reason in quarantined:
        ledger.quarantined(origin, reason)
    findings = ledger.judge()
    counts = {name: getattr(findings, name) for name in findings.__struct_fields__ if name != "samples"}
    assert findings.none == (not any(counts.values()))
    return {name: count for name, count in counts.items() if count}


A, B = prediction("a"), prediction("b")


@pytest.mark.parametrize(
    ("predictions", "quarantined", "found"),
    [
        pytest.param((A, B), (("1/7", "schema"),), {}, id="all is well"),
        pytest.param((A,), (("1/7", "schema"),), {"lost": 1}, id="an event is lost"),
        pytest.param((A, B), (), {"lost": 1}, id="a malformed record is lost"),
        pytest.param((A, B, A), (("1/7", "schema"),), {"doubled": 1}, id="an event comes twice"),
        pytest.param((A, B), (("1/7", "schema"),) * 2, {"doubled": 1}, id="a malformed record comes twice"),
        pytest.param((B, A), (("1/7", "schema"),), {"out_of_order": 1}, id="a patient's events change places"),
        pytest.param((A, B, prediction("c")), (("1/7", "schema"),), {"unexpected": 1}, id="nobody sent this event"),
        pytest.param((A, B), (("1/7", "schema"), ("0/1", "schema")), {"unexpected": 1}, id="a good record is refused"),
        pytest.param((A, B), (("1/7", "not_json"),), {"wrong_reason": 1}, id="the reason is another"),
    ],
)
def test_the_judge_finds_what_is_wrong(
    predictions: tuple[bytes, ...], quarantined: tuple[tuple[str, str], ...], found: dict[str, int]
) -> None:
    assert judged(*predictions, quarantined=quarantined) == found


def test_recovery_lasts_until_the_last_partition_shows_an_event_made_after_the_blow() -> None:
    arrivals = [Arrival(10.5, 9.9, 0), Arrival(11.0, 10.1, 1), Arrival(14.0, 10.2, 0), Arrival(15.0, 14.9, 1)]

    assert recovery_s(10.0, arrivals, 2) == 4.0
    assert recovery_s(10.0, arrivals, 3) is None


def test_recovery_leaves_out_the_time_without_a_broker() -> None:
    arrivals = [Arrival(20.0, 19.0, 0)]

    assert recovery_s(10.0, arrivals, 1, [(8.0, 12.0), (15.0, 18.0), (19.0, 25.0)]) == 10.0 - 2.0 - 3.0 - 1.0
