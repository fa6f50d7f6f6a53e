"""Small worlds of events, outcomes and predictions, and the snapshot that is collected of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from contracts.alerts import Alert, Rule, alert
from contracts.events import Event, Outcome
from contracts.heart_disease import HEART_DISEASE
from contracts.topics import EVENTS, OUTCOMES
from models.pipeline.check import Report
from models.pipeline.collect import Collector, CollectPolicy, Scored
from models.pipeline.groups import Groups
from models.pipeline.snapshot import MANIFEST_FILE, Snapshot
from models.pipeline.touched import Touched
from models.sealing import PrivateKey

NOW_MS = 1_800_000_000_000
PRIVATE = X25519PrivateKey.generate()
KEY = PrivateKey(PRIVATE)
GROUPS = Groups(bytes(32))
COLUMNS = len(HEART_DISEASE.names)
SMALL = CollectPolicy(least_rows=0, least_of_each=0, settle_s=60, before_s=60, after_s=60)


@dataclass(frozen=True)
class SeenEvent:
    """An event as it was read; `content` stands for its bytes, its features are all `content` or missing."""

    event: Event
    content: int = 1
    quarantined: bool = False


@dataclass(frozen=True)
class SeenOutcome:
    outcome: Outcome
    at_ms: int
    quarantined: bool = False


def event_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def patient(number: int) -> str:
    return "pp1_" + chr(ord("a") + number) * 26


def event(number: int, *, who: int = 0, source: str = "uci/cleveland", at_ms: int = NOW_MS) -> Event:
    return Event(event_id(number), patient(who), source, at_ms)


def outcome(number: int, *, diagnosis: int = 1, who: int = 0, source: str = "uci/lab") -> Outcome:
    return Outcome(event_id(number), patient(who), source, 1 if diagnosis else 0, NOW_MS)


def told(source: str, first_ms: int, last_ms: int, *, rule: str = "replayed-events", samples: str = "") -> Alert:
    labels = {"source": source, "samples": samples}
    return alert(
        Rule(rule, rule, "1", "x"),
        "a test",
        at_ms=last_ms,
        dataset="security",
        severity="high",
        labels=labels,
        first_ms=first_ms,
    )


def collect(
    directory: Path,
    events: list[SeenEvent],
    outcomes: list[SeenOutcome],
    scored: list[Scored],
    alerts: list[Alert] | None = None,
    *,
    policy: CollectPolicy = SMALL,
    records: int = 0,
    batch: int = 3,
) -> tuple[Snapshot, Report]:
    """Collect in batches of `batch`; `records` decides into how many files they are divided."""
    collector = Collector(directory, HEART_DISEASE, records, GROUPS)
    for start in range(0, len(events), batch):
        part = events[start : start + batch]
        x = np.array([[np.nan] + [each.content] * (COLUMNS - 1) for each in part], dtype=np.float64)
        collector.read(EVENTS.name, len(part))
        collector.add_events(
            [each.event for each in part], x, [each.content for each in part], [each.quarantined for each in part]
        )
    for start in range(0, len(outcomes), batch):
        told_of = outcomes[start : start + batch]
        collector.read(OUTCOMES.name, len(told_of))
        collector.add_outcomes(
            [each.outcome for each in told_of],
            [each.at_ms for each in told_of],
            [each.quarantined for each in told_of],
        )
    collector.add_scored(scored)
    touched = Touched(alerts or [], before_s=policy.before_s, after_s=policy.after_s, untouching=policy.untouching)
    target = directory / "snapshot"
    target.mkdir()
    report = collector.finish(target, PRIVATE.public_key(), policy, touched, now_ms=NOW_MS)
    collector.close()
    return opened(target, report), report


def opened(directory: Path, report: Report) -> Snapshot:
    return Snapshot.open(directory, "sha256:" + report.files[MANIFEST_FILE], KEY, HEART_DISEASE)
