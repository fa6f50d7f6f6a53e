"""Attacks on the stream, rehearsed: which are seen, after how many events, and how often a calm stream raises an alert.

The pipelines and rules of a worker, without a broker and by a clock of their own: so many events a second, a batch a
second. Beside them the rule that Elastic ships for AML.T0024.000, 500 calls of one principal within 60 minutes, with
the pseudonym and with the source as the principal.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from rich.console import Console
from rich.table import Table

from benchmarks.options import model, parser
from benchmarks.report import WIDTH, caption, context, write_json
from benchmarks.rounds import say
from contracts.detection import Signals
from contracts.events import Outcome, event_type
from contracts.mac import KEYRING_FILE, Headers, Keyring
from contracts.topics import EVENTS, SIGNALS
from models.scorer import Scorer
from models.sign import PUBLIC_KEY_FILE
from models.verify import VerifiedBundle, verify_bundle
from producers.attacks.catalogue import ATTACKS
from producers.attacks.source import WithAttack
from producers.sign import Signer
from producers.sources import Source, SourceRecord
from producers.synthetic import SyntheticPatients
from stream_app.batch import UNKNOWN_START, Batch, Span
from stream_app.decode import Decoder
from stream_app.detectors.known import Known
from stream_app.detectors.outcomes import Outcomes
from stream_app.detectors.rules import load_rules
from stream_app.detectors.watch import Watch
from stream_app.model_slot import LoadedModel, Models, ModelSlot
from stream_app.pipeline import EventPipeline, OutcomePipeline
from stream_app.quarantine import Sealer
from stream_app.score import ScoreStage
from stream_app.shadows import Shadows

_START_MS = 1_790_000_000_000
_PATIENTS = 10_000
_CALLS, _CALLS_MS = 500, 3_600_000  # Elastic's rule


class Told(msgspec.Struct, frozen=True):
    """One run. `events` is how many patient events passed, `attacked` how many records were the attack's.

    `rules` are the rules that fired after the attack began (all, on a calm stream), each with the number of events and
    of seconds from its first record; `by_calls` is the same for Elastic's rule, by principal.
    """

    events: int
    attacked: int
    rules: dict[str, tuple[int, float]]
    by_calls: dict[str, tuple[int, float]]
    alerts: int


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.detection_attacks --seeds 1 --events 20000", broker=False)
    arguments.add_argument("--seeds", type=int, default=5, help="runs of each attack (default: %(default)s)")
    arguments.add_argument("--events", type=int, default=60_000, help="of a run (default: %(default)s)")
    arguments.add_argument("--after", type=int, default=20_000, help="clean ones first (default: %(default)s)")
    arguments.add_argument("--clean", type=int, default=1_000_000, help="events of the calm run (default: %(default)s)")
    arguments.add_argument("--rate", type=int, default=100, help="events a second (default: %(default)s)")
    arguments.add_argument("--only", default=",".join(ATTACKS), help="attacks (default: all)")
    options = arguments.parse_args()

    made = context(None)
    found: dict[str, list[Told]] = {}
    with model(options) as (bundle, keys, _):
        rehearsal = Rehearsal(bundle, keys, options.rate)
        for name in options.only.split(","):
            found[name] = [rehearsal.attack(name, seed, options.events, options.after) for seed in range(options.seeds)]
            say(f"{name}: {found[name][0].rules or 'not seen'}")
        calm = rehearsal.calm(options.clean)
    rows = [summarise(name, runs) for name, runs in found.items()]
    console = Console(width=WIDTH)
    console.print(table(rows))
    console.print(
        f"calm: {calm.alerts} alerts in {calm.events:,} events: {calm.alerts / calm.events * 1e6:.1f} a million"
    )
    console.print(caption(made), style="dim")
    settings = {name: getattr(options, name) for name in ("seeds", "events", "after", "clean", "rate")}
    document = {"benchmark": "detection_attacks", **made, "settings": settings, "attacks": rows, "calm": calm}
    console.print(write_json(options.results, "detection_attacks", document))


class Rehearsal:
    """Runs streams through the pipelines of a worker whose champion is the model of `bundle`."""

    def __init__(self, bundle: Path, keys: Path, rate: int) -> None:
        self._bundle: VerifiedBundle = verify_bundle(bundle, keys / PUBLIC_KEY_FILE)
        self._keyring = Keyring.from_toml((keys / KEYRING_FILE).read_text(), origin="keyring")
        self._signer = Signer(self._keyring)
        self._rate = rate

    def attack(self, name: str, seed: int, events: int, after: int) -> Told:
        """Return what was told of an attack that begins after so many events; it may ask the model itself."""
        clean = self._clean(1000 + seed)
        scorer = Scorer(self._bundle)
        attacked = WithAttack(
            clean,
            ATTACKS[name],
            after=after,
            seed=seed,
            signer=self._signer,
            score=scorer.score,
            threshold=self._bundle.manifest.threshold,
        )
        return self._run(attacked, events)

    def calm(self, events: int) -> Told:
        """Return what was told of a stream without an attack."""
        return self._run(self._clean(77), events)

    def _clean(self, seed: int) -> Source:
        return SyntheticPatients(pseudonym_key=bytes(32), seed=seed, patients=_PATIENTS, outcome_delay_s=60)

    def _run(self, source: Source, events: int) -> Told:
        pipelines, watch = self._pipelines(), Watch(load_rules(), lambda: self._champion, 30)
        calls = {"pseudonym": Calls(lambda record: (record.key or b"").decode()), "source": Calls(_source)}
        passed = attacked = alerts = 0
        began: tuple[int, int] | None = None
        rules: dict[str, tuple[int, float]] = {}
        by_calls: dict[str, tuple[int, float]] = {}
        at_ms = _START_MS
        while passed < events:
            records = source.take(self._rate, at_ms)
            labelled = [record for record in records if record.attack]
            if labelled and began is None:
                began = (passed, at_ms)
            attacked += len(labelled)
            sent = [record for record in records if record.attack != "withheld"]
            passed += sum(record.topic is EVENTS for record in sent)
            since = (passed - began[0], (at_ms - began[1]) / 1000) if began else (0, 0.0)
            for signals in self._signals(pipelines, sent, at_ms):
                for alert in watch.see(signals):
                    alerts += not alert.is_end
                    if began or not isinstance(source, WithAttack):
                        rules.setdefault(alert.rule.id, since)
            for principal, rule in calls.items():
                if rule.exceeded(sent, at_ms) and began:
                    by_calls.setdefault(principal, since)
            at_ms += 1000
        return Told(passed, attacked, rules, by_calls, alerts)

    def _pipelines(self) -> dict[str, EventPipeline | OutcomePipeline]:
        checks: dict[str, Any] = {"keyring": self._keyring, "require_mac": True, "max_future_ms": 300_000}
        decoder = Decoder(event_type(self._bundle.manifest.feature_table), "observed_at", **checks)
        slot = ModelSlot()
        release: Any = None  # of a model that nobody announced
        self._champion = LoadedModel(release, self._bundle, decoder, ScoreStage(Scorer(self._bundle), "champion"))
        slot.put(Models(self._champion))
        sealer = Sealer(X25519PrivateKey.generate().public_key())
        shadows = Shadows(0.0, lambda: 0.0, SimpleQueue())
        known = Known(lambda *_: ())
        events = EventPipeline(slot, shadows, sealer, known, lambda: 0.0)
        outcome_decoder = Decoder(Outcome, "recorded_at", **checks)
        outcomes = OutcomePipeline(
            outcome_decoder, sealer, Outcomes(known.predicted, outcome_decoder, lambda *_: ()), lambda: 0.0
        )
        return {EVENTS.name: events, "patient-outcomes": outcomes}

    def _signals(
        self, pipelines: dict[str, EventPipeline | OutcomePipeline], records: Sequence[SourceRecord], at_ms: int
    ) -> Iterator[Signals]:
        for topic, pipeline in pipelines.items():
            batch = self._batch(topic, [record for record in records if record.topic.name == topic])
            if len(batch):
                for _, value in pipeline(batch, at_ms).outputs.get(SIGNALS.name, []):
                    yield msgspec.json.decode(value, type=Signals)
                memory = pipeline.known if isinstance(pipeline, EventPipeline) else pipeline.outcomes
                memory.committed()

    def _batch(self, topic: str, records: Sequence[SourceRecord]) -> Batch:
        return Batch(
            topic=topic,
            spans=[Span(0, 0, UNKNOWN_START, range(len(records)))] if records else [],
            keys=[record.key for record in records],
            values=[record.value for record in records],
            headers=[self._headers(record) for record in records],
        )

    def _headers(self, record: SourceRecord) -> Headers:
        headers: Any = record.headers
        if headers is None:
            headers = self._signer.headers(record.source, record.key, record.value)
        return headers  # type: ignore[no-any-return]


class Calls:
    """Elastic's rule: more than `_CALLS` calls of one principal within `_CALLS_MS`, here a tumbling hour."""

    def __init__(self, principal: Callable[[SourceRecord], str]) -> None:
        self._principal = principal
        self._hour = -1
        self._calls: Counter[str] = Counter()
        self._known: set[str] = set()

    def exceeded(self, records: Sequence[SourceRecord], at_ms: int) -> bool:
        """Whether a principal now exceeds it that did not when all was calm."""
        hour = at_ms // _CALLS_MS
        if hour > self._hour:
            self._hour = hour
            self._calls.clear()
        self._calls.update(self._principal(record) for record in records if record.topic is EVENTS)
        calm = not any(record.attack for record in records)
        over = {principal for principal, count in self._calls.items() if count > _CALLS} - self._known
        if calm:
            self._known |= over
            return False
        return bool(over)


def _source(record: SourceRecord) -> str:
    return record.source


def summarise(name: str, runs: Sequence[Told]) -> dict[str, Any]:
    """Return an attack's row: in how many runs it was seen, by which rules, and the median delays."""
    firsts = [min(run.rules.values()) for run in runs if run.rules]
    return {
        "attack": name,
        "technique": ATTACKS[name].technique[0],
        "runs": len(runs),
        "seen": len(firsts),
        "rules": sorted({rule for run in runs for rule in run.rules}),
        "delay_events": median(first[0] for first in firsts) if firsts else None,
        "delay_s": median(first[1] for first in firsts) if firsts else None,
        "records": median(run.attacked for run in runs),
        "seen_by_calls": {
            principal: sum(principal in run.by_calls for run in runs) for principal in ("pseudonym", "source")
        },
    }


def table(rows: Sequence[dict[str, Any]]) -> Table:
    made = Table(box=None, pad_edge=False)
    for column in ("attack", "seen", "delay, events", "delay, s", "rules", "500 calls an hour: pseudonym, source"):
        made.add_column(column)
    for row in rows:
        made.add_row(
            row["attack"],
            f"{row['seen']}/{row['runs']}",
            "" if row["delay_events"] is None else f"{row['delay_events']:,.0f}",
            "" if row["delay_s"] is None else f"{row['delay_s']:.0f}",
            " ".join(row["rules"]),
            ", ".join(f"{count}/{row['runs']}" for count in row["seen_by_calls"].values()),
        )
    return made


if __name__ == "__main__":
    main()
