"""What is collected is what a loop over everything in memory would collect, and every record is accounted for."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.alerts import Alert
from contracts.heart_disease import HEART_DISEASE
from contracts.topics import EVENTS, OUTCOMES
from models.pipeline.collect import Collector, CollectPolicy, Scored, policy_text
from models.pipeline.snapshot import SnapshotWriter
from models.pipeline.touched import row_id
from tests.models.pipeline.collecting import (
    COLUMNS,
    GROUPS,
    NOW_MS,
    SMALL,
    SeenEvent,
    SeenOutcome,
    collect,
    event,
    event_id,
    outcome,
    patient,
    told,
)

SOURCES = ["uci/cleveland", "uci/hungary", "st-mary/icu"]
MINUTE_MS = 60_000
OLD_MS = NOW_MS - 60 * MINUTE_MS

times = st.integers(OLD_MS - 10 * MINUTE_MS, NOW_MS)
events = st.builds(
    SeenEvent,
    event=st.builds(
        event,
        st.integers(0, 5),
        who=st.integers(0, 1),
        source=st.sampled_from(SOURCES),
        at_ms=st.just(OLD_MS),
    ),
    content=st.integers(1, 2),
    quarantined=st.sampled_from([False, False, False, True]),
)
outcomes = st.builds(
    SeenOutcome,
    outcome=st.builds(
        outcome,
        st.integers(0, 6),
        diagnosis=st.integers(0, 1),
        who=st.integers(0, 1),
        source=st.sampled_from(SOURCES),
    ),
    at_ms=times,
    quarantined=st.sampled_from([False, False, False, True]),
)
scored = st.builds(Scored, st.integers(0, 5).map(event_id), times)
alerts = st.builds(
    told,
    st.sampled_from([*SOURCES, "*"]),
    times,
    times,
    rule=st.sampled_from(["replayed-events", "forged-records", "unheard-of"]),
    samples=st.sampled_from(["", event_id(1), "patient-events/0/7"]),
)


class Naive:
    """What alerts touch, one by one as the tables of collect.py say."""

    def __init__(self, told_of: Sequence[Alert]) -> None:
        counting = [alert for alert in told_of if alert.rule.id not in SMALL.untouching]
        self.samples = {sample for alert in counting for sample in alert.labels["samples"].split()}
        self.spans = [
            (
                alert.labels["source"],
                _ms(str(alert.event.start)) - SMALL.before_s * 1000,
                _ms(alert.timestamp) + SMALL.after_s * 1000,
            )
            for alert in counting
        ]

    def touched(self, source: str, at_ms: int) -> bool:
        return any(of in ("*", source) and start <= at_ms <= end for of, start, end in self.spans)

    def events(
        self, seen: Sequence[SeenEvent], answered: Sequence[Scored]
    ) -> tuple[dict[str, SeenEvent], Counter[str]]:
        """Return the events that are kept until outcomes are asked for, by id, and the count of others."""
        contents: dict[str, set[int]] = {}
        for each in seen:
            contents.setdefault(each.event.event_id, set()).add(each.content)
        left: Counter[str] = Counter()
        kept: dict[str, SeenEvent] = {}
        met: set[str] = set()
        for each in seen:
            name = each.event.event_id
            at = [one.scored_at for one in answered if one.event_id == name]
            if each.quarantined:
                left["quarantined"] += 1
            elif len(contents[name]) > 1:
                left["changed"] += 1
            elif name in met:
                left["repeated"] += 1
            elif not at:
                left["unscored"] += 1
            elif max(at) > NOW_MS - SMALL.settle_s * 1000:
                left["recent"] += 1
            elif name in self.samples or any(self.touched(each.event.source, one) for one in (min(at), max(at))):
                left["alerted"] += 1
            else:
                kept[name] = each
            if not each.quarantined:
                met.add(name)
        return kept, left

    def outcomes(
        self, known: Sequence[SeenOutcome], kept: dict[str, SeenEvent]
    ) -> tuple[dict[str, list[int]], Counter[str]]:
        """Return what was said of each event, by id, and the count of what was left out of outcomes."""
        left: Counter[str] = Counter()
        said: dict[str, list[int]] = {}
        for one in known:
            of = kept.get(one.outcome.event_id)
            if one.quarantined:
                left["quarantined"] += 1
            elif self.touched(one.outcome.source, one.at_ms):
                left["alerted"] += 1
            elif of is None:
                left["no_event"] += 1
            elif (of.event.patient_id, _site(of.event.source)) != (one.outcome.patient_id, _site(one.outcome.source)):
                left["foreign"] += 1
            else:
                said.setdefault(one.outcome.event_id, []).append(one.outcome.diagnosis)
        return said, left


def naive(
    seen: Sequence[SeenEvent], known: Sequence[SeenOutcome], answered: Sequence[Scored], told_of: Sequence[Alert]
) -> tuple[dict[str, int], Counter[str], Counter[str]]:
    """Return {row id: diagnosis} and what was left out of events and of outcomes."""
    world = Naive(told_of)
    kept, left = world.events(seen, answered)
    said, without = world.outcomes(known, kept)
    rows = {}
    for name in kept:
        found = said.get(name, [])
        if len(set(found)) > 1:
            left["conflicting_outcomes"] += 1
            without["conflicting"] += len(found)
        elif not found:
            left["no_outcome"] += 1
        else:
            rows[row_id(name)] = found[0]
            without["repeated"] += len(found) - 1
    return rows, +left, +without


def _ms(at: str) -> int:
    return round(np.datetime64(at.rstrip("Z"), "ms").astype(np.int64))


def _site(source: str) -> str:
    return source.partition("/")[0]


@given(
    st.lists(events, max_size=12),
    st.lists(outcomes, max_size=10),
    st.lists(scored, max_size=8),
    st.lists(alerts, max_size=2),
    st.sampled_from([0, 100_000]),
)
@settings(max_examples=40, deadline=None)
def test_it_is_what_a_loop_over_everything_would_collect(
    seen: list[SeenEvent], known: list[SeenOutcome], answered: list[Scored], told_of: list[Alert], records: int
) -> None:
    with TemporaryDirectory() as directory:
        snapshot, _ = collect(Path(directory), seen, known, answered, told_of, records=records)
        rows = snapshot.rows()
    expected, left, without = naive(seen, known, answered, told_of)
    assert dict(zip(rows.row_id.tolist(), rows.y.tolist(), strict=True)) == expected
    assert rows.row_id.tolist() == sorted(expected)
    manifest = snapshot.manifest
    assert manifest.left_out == {EVENTS.name: dict(left), OUTCOMES.name: dict(without)}
    assert manifest.read[EVENTS.name] == manifest.rows + left.total() == len(seen)
    assert manifest.read[OUTCOMES.name] == manifest.rows + without.total() == len(known)


def good(number: int, **changes: object) -> tuple[SeenEvent, SeenOutcome, Scored]:
    """Return an event of an hour ago with its outcome and prediction."""
    return (
        SeenEvent(event(number, at_ms=OLD_MS, **changes)),  # type: ignore[arg-type]
        SeenOutcome(outcome(number), OLD_MS),
        Scored(event_id(number), OLD_MS),
    )


def test_a_row_has_no_more_of_a_patient_than_training_needs(tmp_path: Path) -> None:
    seen, known, answered = good(7)
    snapshot, _ = collect(tmp_path, [seen], [known], [answered])
    rows = snapshot.rows()
    assert rows.site.tolist() == ["uci"]
    assert rows.group.tolist() == GROUPS.of([patient(0)])
    assert rows.observed_on.tolist() == [np.datetime64("2027-01-11").item()], "the Monday of that Friday"
    assert np.isnan(rows.x[0, 0])
    assert (rows.x[0, 1:] == 1).all()
    files = b"".join(path.read_bytes() for path in (tmp_path / "snapshot").iterdir())
    for secret in (patient(0), event_id(7), row_id(event_id(7)), GROUPS.of([patient(0)])[0]):
        assert secret.encode() not in files


def test_what_is_spilled_cannot_be_read_and_is_gone_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spilled: list[bytes] = []
    monkeypatch.setattr(
        SnapshotWriter,
        "add",
        lambda *_: spilled.extend(path.read_bytes() for path in tmp_path.rglob("*-*") if path.is_file()),
    )
    worlds = [good(number) for number in range(50)]
    collect(tmp_path, *(list(part) for part in zip(*worlds, strict=True)), records=200_000)
    assert sum(map(len, spilled)) > 10_000
    assert not any(b"uci/cleveland" in content or b"row_id" in content for content in spilled)
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot"]


def test_a_number_of_a_quarantined_record_that_no_row_can_hold_warns_nobody(tmp_path: Path) -> None:
    collector = Collector(tmp_path, HEART_DISEASE, 0, GROUPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        collector.add_events([event(1)], np.full((1, COLUMNS), 1e300), [1], [True])
    collector.close()


def test_alerts_that_were_not_written_touch_everything_since_the_last_one_that_was(tmp_path: Path) -> None:
    seen, known, answered = good(1)
    before = told("st-mary/icu", OLD_MS - 20 * MINUTE_MS, OLD_MS - 20 * MINUTE_MS)
    after = told("st-mary/icu", OLD_MS + 20 * MINUTE_MS, OLD_MS + 20 * MINUTE_MS)
    snapshot, _ = collect(tmp_path, [seen], [known], [answered], [before, after])
    assert snapshot.manifest.rows == 1
    after.labels["alerts_not_written_before"] = "3"
    (tmp_path / "again").mkdir()
    snapshot, _ = collect(tmp_path / "again", [seen], [known], [answered], [after, before])
    assert snapshot.manifest.left_out[EVENTS.name] == {"alerted": 1}


def test_that_something_ended_touches_nothing(tmp_path: Path) -> None:
    seen, known, answered = good(1)
    over = told("st-mary/icu", OLD_MS, OLD_MS)
    over = msgspec.structs.replace(over, event=msgspec.structs.replace(over.event, action="ended"))
    snapshot, _ = collect(tmp_path, [seen], [known], [answered], [over])
    assert snapshot.manifest.rows == 1


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("rows", CollectPolicy(least_rows=4, least_of_each=0, settle_s=0)),
        ("rows of each diagnosis", CollectPolicy(least_rows=0, least_of_each=1, settle_s=0)),
        ("events that alerts touch", CollectPolicy(least_rows=0, least_of_each=0, settle_s=0, most_alerted=0.2)),
        ("outcomes that contradict each other", CollectPolicy(least_rows=0, least_of_each=0, settle_s=0)),
    ],
)
def test_a_snapshot_that_is_too_little_or_fought_over_fails_that_check_alone(
    name: str, policy: CollectPolicy, tmp_path: Path
) -> None:
    worlds = [good(number) for number in range(4)]
    seen, known, answered = (list(part) for part in zip(*worlds, strict=True))
    alerts = []
    if "alerts" in name:
        alerts = [told("st-mary/icu", OLD_MS, OLD_MS, samples=event_id(2))]
    if "contradict" in name:
        known.append(SeenOutcome(outcome(2, diagnosis=0), OLD_MS))
    if name == "rows":
        known.pop()
    _, report = collect(tmp_path, seen, known, answered, alerts, policy=policy)
    assert [check.name for check in report.checks if check.verdict == "fail"] == [name]
    assert all(check.advice for check in report.checks if check.verdict == "fail")
    assert not report.passed


def test_the_policy_that_comes_with_the_program_says_the_defaults() -> None:
    found = msgspec.toml.decode(policy_text(), type=dict[str, CollectPolicy])
    assert found == {"collect": CollectPolicy()}
    assert msgspec.toml.decode(policy_text())["collect"].keys() == msgspec.structs.asdict(CollectPolicy()).keys()
