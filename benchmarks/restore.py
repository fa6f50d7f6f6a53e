"""Taking a partition over: its last events are read and scored again, beside reading as many records alone."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.cluster import cluster
from benchmarks.load import events, preload
from benchmarks.options import model, parser
from benchmarks.report import WIDTH, caption, context, write_json
from contracts.events import event_type
from contracts.heart_disease import HEART_DISEASE
from contracts.mac import Keyring
from contracts.topics import EVENTS
from models.scorer import Scorer
from models.sign import PUBLIC_KEY_FILE
from models.verify import VerifiedBundle, verify_bundle
from stream_app.decode import Decoder
from stream_app.detectors.known import Known
from stream_app.detectors.memories import IDS
from stream_app.history import kafka_history
from stream_app.model_slot import LoadedModel
from stream_app.score import ScoreStage
from tests.support.broker import end_offsets


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.restore --rounds 3")
    arguments.add_argument("--rounds", type=int, default=9, help="(default: %(default)s)")
    options = arguments.parse_args()
    count = 2 * IDS
    with model(options) as (bundle, keys, _), cluster(options.bootstrap) as broker, broker.topics() as prefix:
        made = context(broker.version)
        topic = prefix + EVENTS.name
        ends = end_offsets(broker.admin, topic)
        preload(broker.bootstrap, topic, 2 * count * len(ends), events(None))
        history = kafka_history({"bootstrap.servers": broker.bootstrap})
        champion = _champion(verify_bundle(bundle, keys / PUBLIC_KEY_FILE))
        end = end_offsets(broker.admin, topic)[0]
        alone, restored = [], []
        for _ in range(options.rounds):
            alone.append(_seconds(lambda: sum(len(batch) for batch in history(topic, 0, end, count))))
            restore = partial(Known(history).restore, topic, 0, end, champion, time.time_ns() // 1_000_000)
            restored.append(_seconds(restore))
    summary = {"records": count, "read_s": median(alone), "restore_s": median(restored), "worst_s": max(restored)}
    console = Console(width=WIDTH)
    console.print(
        f"{count:,} records of a partition: {summary['restore_s']:.2f} s to restore (worst {summary['worst_s']:.2f}), "
        f"{summary['read_s']:.2f} s to read alone"
    )
    console.print(caption(made), style="dim")
    document = {"benchmark": "restore", **made, "summary": summary, "restore_s": restored, "read_s": alone}
    console.print(write_json(options.results, "restore", document))


def _champion(bundle: VerifiedBundle) -> LoadedModel:
    decoder = Decoder(event_type(HEART_DISEASE), "observed_at", Keyring({}), require_mac=False, max_future_ms=300_000)
    release: Any = None  # of a model that nobody announced
    return LoadedModel(release, bundle, decoder, ScoreStage(Scorer(bundle), "champion"))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
