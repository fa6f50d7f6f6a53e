"""The loop closes by itself on a real Kafka: another hospital's patients, drift, outcomes, a retrain, a better model.

Patients are synthetic ones of Cleveland, then of Hungary. Sixty real patients of Hungary, from whom none of the
synthetic ones is made and of whom no outcome is ever sent, are scored by the champion before and by the one after.
"""

import csv
import io
import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cli.releasing import read_releases, release_bundle
from contracts.events import DecodedPrediction
from contracts.releases import Release
from contracts.settings import Settings
from contracts.topics import EVENTS, MODEL_ALERTS
from models.dataset import DATA_FILE
from models.metrics import figures, resample, summarise
from models.pipeline.run import all_runs, read_run
from models.roots import RETRAINING
from models.sign import PRIVATE_KEY_FILE
from models.train import train_bundle
from producers.replay import replay
from producers.sign import Signer
from producers.sources import SourceRecord
from producers.synthetic import SyntheticPatients
from tests.integration.stream import Stream
from tests.integration.test_retrain import champion_of, policy
from tests.support.broker import Broker
from tests.support.process import CommandProcess
from tests.support.reading import read_topic
from tests.support.repeating import repeating
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for

KEPT_BACK = 60
AT_HOME, AWAY = 650, 600
A_SECOND = 10
STEADILY_S, RETRAIN_S = 120.0, 420.0


def rows_of(path: Path, site: str, wanted: slice) -> Path:
    """Write the UCI rows of a site, every fourth of which comes first, as a file of their own."""
    rows = list(csv.reader(io.StringIO(DATA_FILE.read_text())))
    head, column = rows[0], rows[0].index("dataset")
    of_site = [row for row in rows[1:] if row[column] == site]
    mixed = of_site[::4] + [row for at, row in enumerate(of_site) if at % 4]
    with path.open("w") as file:
        csv.writer(file).writerows([head, *mixed[wanted]])
    return path


@dataclass
class Hospital:
    """What sends: each event and outcome once, signed."""

    site: Site
    stream: Stream
    sent: list[str]

    def send(self, records: Sequence[SourceRecord]) -> None:
        signer = Signer(self.site.keyring)
        self.stream.produce(
            [
                msgspec.structs.replace(each, headers=signer.headers(each.source, each.key, each.value), delay_s=0)
                for each in records
            ]
        )
        self.sent += [each.event_id for each in records if each.topic is EVENTS]

    def patients(self, path: Path, seed: int) -> SyntheticPatients:
        return SyntheticPatients(
            pseudonym_key=self.site.pseudonym_key, seed=seed, patients=900, outcome_delay_s=0, path=path
        )

    def known(self, path: Path, seed: int) -> tuple[list[SourceRecord], dict[str, int]]:
        """Return a visit of each patient in a file, and their diagnoses by event."""
        source = replay(pseudonym_key=self.site.pseudonym_key, path=path, outcome_delay_s=0, seed=seed)
        made = source.take(KEPT_BACK, now_ms())
        said = {each.event_id: json.loads(each.value or b"")["diagnosis"] for each in outcomes(made)}
        return events(made), said


def events(records: Iterable[SourceRecord]) -> list[SourceRecord]:
    return [each for each in records if each.topic is EVENTS]


def outcomes(records: Iterable[SourceRecord]) -> list[SourceRecord]:
    return [each for each in records if each.topic is not EVENTS]


def steadily(hospital: Hospital, source: SyntheticPatients, enough: Callable[[int], bool]) -> list[SourceRecord]:
    """Send `A_SECOND` events a second until as many as were sent are `enough`; return them with their outcomes."""
    taken: list[SourceRecord] = []
    deadline = time.monotonic() + STEADILY_S
    while not enough(len(taken) // 2):
        assert time.monotonic() < deadline, f"not enough for {STEADILY_S:g} s"
        records = source.take(1, now_ms())
        hospital.send(events(records))
        taken += records
        time.sleep(1 / A_SECOND)
    return taken


def under_load(hospital: Hospital, source: SyntheticPatients) -> AbstractContextManager[None]:
    """Send twenty events each fifth of a second meanwhile, without outcomes."""
    return repeating(lambda: hospital.send(events(source.take(20, now_ms()))), 0.2)


def triggers(settings: Settings, policy_file: Path, directory: Path) -> CommandProcess:
    (directory / "source").mkdir()
    (directory / "source" / "model.py").write_text("ANSWER = 42\n")
    arguments = {
        "--bootstrap": settings.bootstrap,
        "--topic-prefix": settings.topic_prefix,
        "--keys": settings.keys,
        "--store": settings.store,
        "--runs": str(directory / "runs"),
        "--source": str(directory / "source"),
        "--policy": str(policy_file),
        "--look-s": "1",
    }
    options = (part for option in arguments.items() for part in option)
    # A SIGKILL would leave the run that it began.
    return CommandProcess(directory / "triggers.log", "triggers", *options, leave=signal.SIGTERM)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_another_hospitals_patients_come_to_a_model_that_knows_them(
    kafka: Broker, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = kafka.topics("loop")
    own = Site(tmp_path / "bundle", site.keys, tmp_path / "store")
    cleveland = rows_of(tmp_path / "cleveland.csv", "Cleveland", slice(None))
    hungary = rows_of(tmp_path / "hungary.csv", "Hungary", slice(KEPT_BACK, None))
    kept_back = rows_of(tmp_path / "kept-back.csv", "Hungary", slice(KEPT_BACK))
    train_bundle(own.bundle, site.keys / PRIVATE_KEY_FILE, data=cleveland)
    settings = Settings(bootstrap=kafka.bootstrap, topic_prefix=prefix, keys=str(own.keys), store=str(own.store))
    stream = Stream(kafka, prefix)
    hospital = Hospital(own, stream, [])
    policy_file = policy(
        tmp_path / "policy.toml",
        every_days="0",
        outcomes="0",
        outcomes_after_alert=str(AT_HOME + AWAY - 50),
        least_hours_between="0",
        least_precision="0.5",  # of these patients 41% are ill, of those that the limit is for 55%
    )
    home, away = hospital.patients(cleveland, 1), hospital.patients(hungary, 2)

    with Serving(own, kafka.bootstrap, prefix, tmp_path / "log", workers=2) as serving:
        serving.start().wait_until_ready(2)
        with triggers(settings, policy_file, tmp_path) as triggering:
            visits = steadily(hospital, home, lambda sent: sent >= AT_HOME)
            stream.wait_until_worked_off(explain=serving.text)
            hospital.send(outcomes(visits))
            assert drift_alerts(settings) == 0

            before, diagnoses = hospital.known(kept_back, 3)
            hospital.send(before)
            visits = steadily(hospital, away, lambda sent: sent % A_SECOND == 0 and drift_alerts(settings) > 0)
            visits += (rest := away.take(AWAY - len(visits) // 2, now_ms()))
            hospital.send(events(rest))
            assert all_runs(tmp_path / "runs") == []  # nothing to learn the change from yet
            stream.wait_until_worked_off(explain=serving.text)
            hospital.send(outcomes(visits))

            with under_load(hospital, hospital.patients(hungary, 4)):
                run, digest = challenger(settings, tmp_path / "runs", triggering)
                release_bundle(settings, run / "bundle", role="champion", reason="it knows Hungary", days=30)
                wait_for(lambda: all(digest in champion_of(serving, slot) for slot in (0, 1)), 60, serving.text)
                after, more = hospital.known(kept_back, 5)
                hospital.send(after)
        out = stream.outputs(explain=serving.text)
        assert serving.exits() == []

    assert out.quarantined == []
    assert sorted(out.event_ids) == sorted(hospital.sent)
    scored = {prediction.event_id: prediction for prediction in out.predictions}
    old, new = ([scored[each.event_id] for each in visits] for visits in (before, after))
    assert {each.model.digest for each in new} == {digest}
    assert digest not in {each.model.digest for each in old}
    shown = comparison(old, new, diagnoses | more)
    with capsys.disabled():
        sys.stdout.write(f"\n{KEPT_BACK} real patients of Hungary, before and after; {begun_by(run)}\n{shown}\n")


def challenger(settings: Settings, runs: Path, triggering: CommandProcess) -> tuple[Path, str]:
    """Wait for the end of the run that began by itself; return it and the digest of what it released."""
    ended = re.compile(r"Z (released|a gate said no|broken)")
    wait_for(lambda: ended.search(triggering.text()) is not None, RETRAIN_S, triggering.text)
    assert "Z released" in triggering.text(), triggering.text()
    (run,) = all_runs(runs)
    entry = read_releases(settings).entries[-1]
    assert isinstance(entry.statement, Release)
    assert (entry.statement.role, entry.signed_by) == ("challenger", (RETRAINING,))
    return run, entry.statement.digest


def begun_by(run: Path) -> str:
    """Return the reason of a run, an alert of drift."""
    (trigger,) = read_run(run).triggers
    assert trigger.kind == "alert"
    return trigger.says


def drift_alerts(settings: Settings) -> int:
    records = read_topic(settings.bootstrap, settings.topic_prefix + MODEL_ALERTS.name, timeout_s=30)
    return sum(json.loads(record.value or b"")["rule"]["id"] == "drift" for record in records)


def comparison(old: list[DecodedPrediction], new: list[DecodedPrediction], diagnoses: dict[str, int]) -> str:
    """Return recall, AUC and Brier score of both with 95% intervals; whoever could not be scored was not found."""
    counts = resample(len(old), seed=0)
    lines = []
    for name, predictions in (("before", old), ("after", new)):
        y = np.array([diagnoses[each.event_id] for each in predictions])
        probability = np.array([each.probability or 0.0 for each in predictions])
        positive = np.array([each.decision == "positive" for each in predictions])
        found = figures(counts, y, probability, positive)
        intervals = {of: summarise(found[of]) for of in ("recall", "auc", "brier")}
        said = (f"{of} {each.value:.2f} ({each.low:.2f} to {each.high:.2f})" for of, each in intervals.items())
        lines.append(f"{name:6} {', '.join(said)}")
    return "\n".join(lines)
