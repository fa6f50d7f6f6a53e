"""The Faust app: agents, timers and pages around the processor; with transport.py the only code that knows Faust."""

import asyncio
import gc
import logging
import os
import socket
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import faust
from faust.types.transports import TransportT
from faust.web import Request, Response, View

from contracts.alerts import Alert
from contracts.codec import encode
from contracts.events import Outcome
from contracts.releases import Release
from contracts.settings import Settings
from contracts.topics import EVENTS, OUTCOMES, RELEASES, SECURITY_ALERTS, SIGNALS
from models.release_log import ReleaseLog
from models.roots import read_root
from models.sealing import load_public_key
from models.store import open_store
from stream_app.configuration import read_keyring
from stream_app.decode import Decoder
from stream_app.detectors.known import Known
from stream_app.detectors.outcomes import Outcomes
from stream_app.detectors.rules import load_rules
from stream_app.detectors.watch import Watch
from stream_app.history import kafka_history
from stream_app.loading import Loader
from stream_app.model_slot import ModelSlot
from stream_app.output import AtLeastOnceOutput, Output, TransactionalOutput
from stream_app.pipeline import EventPipeline, OutcomePipeline
from stream_app.processor import Processor
from stream_app.quarantine import PUBLIC_KEY_FILE as REVIEWERS_FILE
from stream_app.quarantine import Sealer
from stream_app.release_alerts import RULES as RELEASE_RULES
from stream_app.release_alerts import ReleaseAlerts
from stream_app.release_memory import ReleaseMemory
from stream_app.releases import ReleaseWatcher, alert_writer
from stream_app.shadows import Shadows
from stream_app.slot import EXIT_FENCED, Fenced, slot_name
from stream_app.telemetry import Telemetry
from stream_app.transport import Consumer, Transport
from stream_app.watching import SignalPipeline

log = logging.getLogger("cardiosentry")

_STUCK_S = 120.0  # the poller polls every second; after so long without it the worker says that it is not alive
_UNREADY_S = 60.0
_EXIT_DEFECT = 70  # sysexits.h EX_SOFTWARE: the supervisor starts the worker again


class CardioSentryApp(faust.App):
    """A Faust app whose messages are polls (`stream_app.batch.Poll`)."""

    def __init__(self, settings: Settings, processor: Processor, telemetry: Telemetry, slot: int) -> None:
        self.processor = processor
        self.telemetry = telemetry
        self.consumer_properties = kafka_properties(settings) | {
            "group.id": settings.group,
            # A static member (KIP-345): started again after a crash it has its partitions back at once, and the others
            # never stop. A dynamic one would stall the whole group until the dead one's session times out.
            "group.instance.id": slot_name(settings, slot),
        }
        super().__init__(
            settings.group,
            broker=f"cardiosentry://{settings.bootstrap}",
            stream_recovery_delay=0.0,
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_bind=settings.web_host,
            web_host=settings.web_host,
            web_port=settings.web_port + slot if settings.web_port else free_port(settings.web_host),
            datadir=Path(tempfile.gettempdir()) / f"cardiosentry-{os.getpid()}",  # unused
        )

    def _new_transport(self) -> TransportT:
        return Transport(self.conf.broker, self)

    _new_producer_transport = _new_transport

    def _create_directories(self) -> None:
        """Faust keeps tables on disk; this app keeps nothing there."""

    def die(self, error: BaseException) -> None:
        """End the process at once: what is not committed is not done, and whoever comes next does it again."""
        # Not the error's text: one of a codec may hold what it could not decode.
        log.critical("worker ends error=%s at=%s", type(error).__name__, traceback.format_tb(error.__traceback__))
        logging.shutdown()
        os._exit(EXIT_FENCED if isinstance(error, Fenced) else _EXIT_DEFECT)


def create_app(settings: Settings, slot: int = 0) -> CardioSentryApp:
    """Compose a worker: keys, trust root, released model, output, pipelines, agents, pages.

    Raises `UserError` (with it `ModelRejected`) for anything wrong with files and settings. Blocks until the broker
    answers: model-releases is read to its end, and the output ends its dead predecessor's transaction first.
    """
    keys = Path(settings.keys)
    releases = ReleaseLog(read_root(keys))
    sealer = Sealer(load_public_key(keys / REVIEWERS_FILE, "reviewers'"))
    checks: dict[str, Any] = {
        "keyring": read_keyring(keys, required=settings.require_mac),
        "require_mac": settings.require_mac,
        "max_future_ms": settings.max_future_s * 1000,
        "contained": lambda: releases.contained,
    }
    events_topic, outcomes_topic, signals_topic = (
        settings.topic_prefix + topic.name for topic in (EVENTS, OUTCOMES, SIGNALS)
    )
    rules = load_rules()
    telemetry = Telemetry([*(rule.id for rule in rules.all), *(rule.id for rule in RELEASE_RULES)])
    models = ModelSlot(telemetry.models)
    failed: SimpleQueue[tuple[Release, str]] = SimpleQueue()
    shadows = Shadows(settings.shadow_share, time.perf_counter, failed)
    history = kafka_history(kafka_properties(settings))
    known = Known(history)
    outcome_decoder = Decoder(Outcome, "recorded_at", **checks)
    outcomes = Outcomes(known.predicted, outcome_decoder, history)
    watching = SignalPipeline(
        lambda: Watch(rules, lambda: models.models.champion, settings.false_alarm_days), history, time.perf_counter
    )
    processor = Processor(
        {
            events_topic: EventPipeline(models, shadows, sealer, known, time.perf_counter),
            outcomes_topic: OutcomePipeline(outcome_decoder, sealer, outcomes, time.perf_counter),
            signals_topic: watching,
        },
        _output(settings, slot),
        telemetry,
        memories=[known, outcomes, watching],
        may_wait={signals_topic},
        prefix=settings.topic_prefix,
        commit_interval_s=settings.commit_interval_ms / 1000,
        clock_ms=_now_ms,
    )
    app = CardioSentryApp(settings, processor, telemetry, slot)
    load = Loader(open_store(settings.store), releases, lambda event: Decoder(event, "observed_at", **checks))
    write_alert = alert_writer(kafka_properties(settings), settings.topic_prefix + SECURITY_ALERTS.name)

    def tell(alert: Alert) -> None:
        if not alert.is_end:
            telemetry.alerted(alert.rule.id)
        write_alert(encode(alert))

    watcher = ReleaseWatcher(
        kafka_properties(settings),
        settings.topic_prefix + RELEASES.name,
        releases,
        load,
        models,
        ReleaseAlerts(tell, slot_name(settings, slot), _now_ms),
        app.die,
        _now_ms,
        lambda cluster: ReleaseMemory(Path(settings.state) / f"{cluster}-{slot_name(settings, slot)}.releases"),
        settings.shadows,
        failed,
    )
    watcher.catch_up()
    watcher.start()
    _add_agent(app, events_topic, outcomes_topic, signals_topic)
    _add_pages(app, models, watching, signals_topic)
    tune_interpreter()
    return app


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _add_agent(app: CardioSentryApp, *topics: str) -> None:
    # One thread for all work on batches, so that the event loop answers health checks while a commit waits.
    pipeline = ThreadPoolExecutor(1, "pipeline")

    def work(call: Callable[..., None], *args: object) -> None:
        try:
            call(*args)
        except Exception as error:  # a defect must end the worker, not be restarted over
            app.die(error)

    # acks=False: offsets belong to the output's transaction, Faust commits none.
    @app.agent(app.topic(*topics, value_serializer="raw", key_serializer="raw", acks=False))
    async def score(stream: Any) -> None:
        async for poll in stream:
            pipeline.submit(work, app.processor.process, poll)  # not waited for: `InFlight` bounds what is under way

    @app.timer(0.2)
    async def commit_what_waits() -> None:
        await asyncio.get_running_loop().run_in_executor(pipeline, work, app.processor.commit_if_due)

    @app.task
    async def freeze_start_up() -> None:
        gc.freeze()  # what start-up made lives for ever: the collector need not walk it


def consumer_of(app: CardioSentryApp) -> Consumer:
    """Return the app's consumer as what `Transport` made it."""
    return cast("Consumer", app.consumer)


def _add_pages(app: CardioSentryApp, models: ModelSlot, watching: SignalPipeline, signals_topic: str) -> None:
    @app.page("/health/live")
    async def live(view: View, _request: Request) -> Response:
        # Waiting for a broker is no reason to be killed: that is what `ready` tells.
        stuck = consumer_of(app).silent_s() > _STUCK_S
        return view.text("stuck" if stuck else "ok", status=503 if stuck else 200)

    @app.page("/health/ready")
    async def ready(view: View, _request: Request) -> Response:
        if not app.consumer.assignment():
            return view.text("no partition assigned", status=503)
        if models.models.champion is None:
            return view.text("no champion released", status=503)
        if app.processor.waits_s() > _UNREADY_S:
            return view.text("work waits, and nothing could be committed for a minute", status=503)
        return view.text("ok", status=200)

    @app.page("/metrics")
    async def metrics(view: View, _request: Request) -> Response:
        consumer = consumer_of(app)
        watches = any(place.topic == signals_topic for place in consumer.assignment())
        app.telemetry.measured(consumer.lag(), watching.figures(), watches=watches)
        return view.text(app.telemetry.exposition().decode(), content_type="text/plain; version=0.0.4")


def kafka_properties(settings: Settings) -> dict[str, str]:
    """Return the librdkafka properties that every client of this process shares."""
    return {"bootstrap.servers": settings.bootstrap, **settings.kafka}


def _output(settings: Settings, slot: int) -> Output:
    properties: Mapping[str, str] = kafka_properties(settings)
    if settings.delivery == "at-least-once":
        return AtLeastOnceOutput(properties)
    return TransactionalOutput(properties, slot_name(settings, slot))


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def tune_interpreter() -> None:
    """Set what the rate needs of the interpreter; measured, see docs/performance.md."""
    gc.set_threshold(100_000, 50, 100)  # records wait in batches: young collections find nothing to free
