"""Everything in the catalogue of metrics is exposed, and counts what happened."""

from prometheus_client.parser import text_string_to_metric_families

from contracts.metrics import METRICS
from contracts.reasons import Reason
from models.outcomes import Performance
from models.verify import VerifiedBundle
from stream_app.detectors.figures import Compared, Figures
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
    assert exposed == {name for name, metric in METRICS.items() if metric.by in ("worker", "watching worker")}


def test_a_batch_counts_its_records_decisions_and_reasons() -> None:
    telemetry = Telemetry()
    result = Result(decisions={"positive": 2, "negative": 1}, reasons={"schema": 1}, newest_ms=NOW_MS - 40)
    result.shadows, result.shadow_skipped = {"shadow": 3}, 2
    result.seconds = {"decode": 0.25, "score": 0.5}
    telemetry.processed(batch_of([Wire(None, b"")] * 4), result, NOW_MS)
    telemetry.committed(0.02)
    telemetry.rewound("why")
    telemetry.assigned(3)
    telemetry.alerted("no-champion")
    telemetry.measured({"patient-events": 7}, Figures(), watches=True)
    found = samples(telemetry)
    assert found["cardiosentry_records_total", (("topic", "patient-events"),)] == 4
    assert found["cardiosentry_predictions_total", (("decision", "positive"),)] == 2
    assert found["cardiosentry_quarantined_total", (("reason", "schema"),)] == 1
    assert found["cardiosentry_shadow_predictions_total", (("role", "shadow"),)] == 3
    assert found["cardiosentry_shadow_skipped_total", ()] == 2
    assert found["cardiosentry_commits_total", ()] == 1
    assert found["cardiosentry_step_seconds_sum", (("step", "commit"),)] == 0.02
    assert found["cardiosentry_step_seconds_sum", (("step", "score"),)] == 0.5
    assert found["cardiosentry_alerts_total", (("rule", "no-champion"),)] == 1
    assert found["cardiosentry_watching", ()] == 1
    assert found["cardiosentry_rewinds_total", ()] == 1
    assert found["cardiosentry_assigned_partitions", ()] == 3
    assert found["cardiosentry_lag_records", (("topic", "patient-events"),)] == 7
    assert found["cardiosentry_batch_records_sum", ()] == 4
    assert found["cardiosentry_event_age_seconds_sum", ()] == 0.04


def test_the_champion_is_the_one_that_scores_now_or_none(verified: VerifiedBundle) -> None:
    telemetry = Telemetry()
    model, manifest = loaded(verified), verified.manifest
    telemetry.models(Models(model))
    digest, role = ("digest", verified.digest), ("role", "champion")
    labels = (("name", manifest.name), ("release", "1"), role, ("version", manifest.version))
    found = samples(telemetry)
    assert found["cardiosentry_model_info", (("baseline", "0"), digest, *labels)] == 1
    assert found["cardiosentry_model_released_timestamp_seconds", (digest, role)] == model.release.created_at / 1000
    assert found["cardiosentry_model_ends_timestamp_seconds", (digest, role)] == model.release.expires_at / 1000
    telemetry.models(Models())
    assert not any(name.startswith("cardiosentry_model_") for name, _ in samples(telemetry))


def test_a_counter_is_there_before_what_it_counts_so_that_a_first_time_shows_as_a_rise() -> None:
    found = samples(Telemetry(["drift"]))
    assert found["cardiosentry_alerts_total", (("rule", "drift"),)] == 0
    assert found["cardiosentry_predictions_total", (("decision", "positive"),)] == 0
    assert all(found["cardiosentry_quarantined_total", (("reason", reason),)] == 0 for reason in Reason)


def test_what_is_watched_is_shown_as_long_as_this_worker_watches() -> None:
    telemetry = Telemetry()
    good = Performance(brier=0.1, sensitivity=float("nan"), specificity=0.7, precision=0.8)
    figures = Figures(Compared(1200, {"age": 0.5}, good), Compared(1000, {"slope": 2.0}, good), good)
    telemetry.measured({}, figures, watches=True)
    found = samples(telemetry)
    assert found["cardiosentry_drift_distance", (("statistic", "age"),)] == 0.5
    assert found["cardiosentry_drift_events", ()] == 1200
    assert found["cardiosentry_quality_distance", (("statistic", "slope"),)] == 2
    assert found["cardiosentry_performance", (("by", "scores"), ("measure", "specificity"))] == 0.7
    measures = {dict(labels)["measure"] for name, labels in found if name == "cardiosentry_performance"}
    assert measures == {"brier", "specificity", "precision"}  # of nobody who is ill there is no sensitivity
    telemetry.measured({}, Figures(), watches=False)
    found = samples(telemetry)
    assert not {name for name, labels in found if "distance" in name or "performance" in name}
    assert (found["cardiosentry_watching", ()], found["cardiosentry_drift_events", ()]) == (0, 0)


def test_two_workers_in_one_process_count_apart() -> None:
    one, other = Telemetry(), Telemetry()
    one.committed(1)
    assert samples(other)["cardiosentry_commits_total", ()] == 0


def test_an_event_observed_ahead_of_the_clock_has_no_negative_age() -> None:
    telemetry = Telemetry()
    telemetry.processed(batch_of([]), Result(newest_ms=NOW_MS + 1000), NOW_MS)
    assert samples(telemetry)["cardiosentry_event_age_seconds_sum", ()] == 0
