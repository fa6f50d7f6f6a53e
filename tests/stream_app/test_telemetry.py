"""Everything in the catalogue of metrics is exposed, and counts what happened."""

from prometheus_client.parser import text_string_to_metric_families

from contracts.metrics import METRICS
from models.verify import VerifiedBundle
from stream_app.model_slot import Models
from stream_app.pipeline import Result
from stream_app.telemetry import Telemetry
from tests.stream_app.support import NOW_MS, Wire, batch_of, loaded


def samples(telemetry: Telemetry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(telemetry.exposition().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_every_metric_of_the_catalogue_is_exposed_and_no_other() -> None:
    lines = Telemetry().exposition().decode().splitlines()
    exposed = {line.split()[2] for line in lines if line.startswith("# HELP cardiosentry_")}
    created = {name for name in exposed if name.endswith("_created")}
    assert exposed - created == set(METRICS)


def test_a_batch_counts_its_records_decisions_and_reasons() -> None:
    telemetry = Telemetry()
    result = Result(decisions={"positive": 2, "negative": 1}, reasons={"schema": 1}, newest_ms=NOW_MS - 40)
    result.shadows, result.shadow_skipped = {"shadow": 3}, 2
    telemetry.processed(batch_of([Wire(None, b"")] * 4), result, NOW_MS)
    telemetry.committed(0.02)
    telemetry.rewound("why")
    telemetry.assigned(3)
    telemetry.lag(7)
    found = samples(telemetry)
    assert found["cardiosentry_records_total", (("topic", "patient-events"),)] == 4
    assert found["cardiosentry_predictions_total", (("decision", "positive"),)] == 2
    assert found["cardiosentry_quarantined_total", (("reason", "schema"),)] == 1
    assert found["cardiosentry_shadow_predictions_total", (("role", "shadow"),)] == 3
    assert found["cardiosentry_shadow_skipped_total", ()] == 2
    assert found["cardiosentry_commits_total", ()] == 1
    assert found["cardiosentry_commit_seconds_sum", ()] == 0.02
    assert found["cardiosentry_rewinds_total", ()] == 1
    assert found["cardiosentry_assigned_partitions", ()] == 3
    assert found["cardiosentry_lag_records", ()] == 7
    assert found["cardiosentry_batch_records_sum", ()] == 4
    assert found["cardiosentry_event_age_seconds_sum", ()] == 0.04


def test_the_champion_is_the_one_that_scores_now_or_none(verified: VerifiedBundle) -> None:
    telemetry = Telemetry()
    model, manifest = loaded(verified), verified.manifest
    telemetry.models(Models(model))
    labels = {"digest": verified.digest, "name": manifest.name, "role": "champion", "version": manifest.version}
    assert samples(telemetry)["cardiosentry_model_info", tuple(labels.items())] == 1
    telemetry.models(Models())
    assert not any(name == "cardiosentry_model_info" for name, _ in samples(telemetry))


def test_two_workers_in_one_process_count_apart() -> None:
    one, other = Telemetry(), Telemetry()
    one.committed(1)
    assert samples(other)["cardiosentry_commits_total", ()] == 0


def test_an_event_observed_ahead_of_the_clock_has_no_negative_age() -> None:
    telemetry = Telemetry()
    telemetry.processed(batch_of([]), Result(newest_ms=NOW_MS + 1000), NOW_MS)
    assert samples(telemetry)["cardiosentry_event_age_seconds_sum", ()] == 0
