"""Brings released models into the slot: reads model-releases, verifies, loads beside the old model, swaps.

Nothing that goes wrong here touches the model that scores: a release that fails any check changes nothing and is
reported. Only a revocation takes a model away, and at once; until another one is loaded no event is scored and none is
lost.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from contracts.errors import ModelRejected, RetryableError
from contracts.releases import Release, Role
from contracts.topics import NEVER_JOINED
from models.release_log import ReleaseLog
from stream_app.model_slot import LoadedModel, Models, ModelSlot
from stream_app.release_alerts import ReleaseAlerts
from stream_app.release_memory import ReleaseMemory, Remembered

log = logging.getLogger("cardiosentry")

T = TypeVar("T")

_POLL_S = 0.2
_RETRY_S = 2.0  # a store that does not answer
_REJECTED_S = 60.0  # a store may have been mended
_ANSWER_S = 10.0
_ASK_AGAIN_S = 1.0

_PROPERTIES: dict[str, str | bool] = {
    "group.id": NEVER_JOINED,  # every worker reads every record
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": "100",
}


def alert_writer(properties: Mapping[str, str], topic: str) -> Callable[[bytes], None]:
    """Return what writes alerts with a producer of its own: they belong to no event and so to no transaction."""
    producer = Producer({"enable.idempotence": True, "acks": "all", **properties})

    def write(alert: bytes) -> None:
        producer.produce(topic, alert, b"model-releases")
        producer.poll(0)

    return write


class ReleaseWatcher(threading.Thread):
    """Keeps the champion, the challenger and the newest `shadows` shadows loaded.

    `load` makes a model of a release, raising `ModelRejected` or `RetryableError`.

    `failed` brings the releases that raised while they were on trial, and the error's type. `memory` gives the memory
    for a cluster, by its id: what was released on one says nothing about another.
    """

    def __init__(
        self,
        properties: Mapping[str, str],
        topic: str,
        releases: ReleaseLog,
        load: Callable[[Release], LoadedModel],
        slot: ModelSlot,
        alerts: ReleaseAlerts,
        on_error: Callable[[BaseException], None],
        clock_ms: Callable[[], int],
        memory: Callable[[str], ReleaseMemory],
        shadows: int,
        failed: SimpleQueue[tuple[Release, str]],
    ) -> None:
        super().__init__(name="releases", daemon=True)
        self._consumer = Consumer({**_PROPERTIES, **properties, "group.id": _PROPERTIES["group.id"]})
        self._topic = topic
        self._memory_of = memory
        self._remembered: list[Remembered] = []
        self._releases = releases
        self._load = load
        self._slot = slot
        self._alerts = alerts
        self._on_error = on_error
        self._clock_ms = clock_ms
        self._rejected: dict[tuple[Role, int], float] = {}  # what failed a check here, and until when it is left alone
        self._retry_at = 0.0
        self._shadows = shadows
        self._failed = failed

    def catch_up(self) -> None:
        """Read what is remembered and what stands in the topic; load what is live. Blocks until the broker answers."""
        self._memory = self._memory_of(_ask(lambda: self._consumer.list_topics(timeout=_ANSWER_S)).cluster_id or "")
        for remembered in self._memory.read():
            with suppress(ModelRejected):  # the trust root that this worker is given now may be a later one
                self._releases.read(remembered.content)
                self._remembered.append(remembered)
        self._begin()
        while not self._at_end(self._poll(report=False)):
            pass
        self._memory.replace(self._remembered)
        self._settle()

    def run(self) -> None:
        try:
            while True:
                message = self._poll(report=True)
                if (message is not None and message.error() is None) or time.monotonic() > self._retry_at:
                    self._settle()
        except BaseException as error:  # without releases a revocation would go unheard
            self._on_error(error)

    def _begin(self) -> None:
        """Read on after the last record that is remembered, or from the beginning where records are missing."""
        wanted = self._remembered[-1].offset + 1 if self._remembered else 0
        place = TopicPartition(self._topic, 0)
        first, end = _ask(lambda: self._consumer.get_watermark_offsets(place, timeout=_ANSWER_S))
        if first > 0 or end < wanted:
            why = f"expected every record up to {wanted}, got those from {first} to {end}: some were deleted"
            log.warning("release log cut why=%r", why)
            self._alerts.cut(why)
        start = wanted if first <= wanted <= end else first
        self._consumer.assign([TopicPartition(self._topic, 0, start)])

    def _poll(self, *, report: bool) -> Message | None:
        message = self._consumer.poll(_POLL_S)
        if message is not None and message.error() is None:
            self._read(message.value() or b"", message.offset() or 0, report=report)
        return message

    @staticmethod
    def _at_end(message: Message | None) -> bool:
        error = message.error() if message is not None else None
        return error is not None and error.code() == KafkaError._PARTITION_EOF

    def _read(self, content: bytes, offset: int, *, report: bool) -> None:
        try:
            entry = self._releases.read(content)
        except ModelRejected as error:
            log.warning("release refused offset=%d why=%r", offset, str(error))
            if report:  # what stood there before this worker began was reported by those who saw it come
                self._alerts.refused(str(error), f"{self._topic}/0/{offset}")
            return
        if entry is not None:
            self._remembered.append(Remembered(offset, content))
            if report:  # `catch_up` writes once for all
                self._memory.replace(self._remembered)
            log.info("release log offset=%d what=%r signed_by=%s", offset, entry.what, ",".join(entry.signed_by))

    def _settle(self) -> None:
        """Bring the slot to what is live."""
        self._retry_at = time.monotonic() + _RETRY_S
        self._drop()
        self._settle_champion()
        self._settle_shadows()
        self._alerts.state(self._releases, self._slot.models.champion, self._clock_ms())

    def _drop(self) -> None:
        """Take away what was revoked, and trials that failed."""
        while not self._failed.empty():
            release, error = self._failed.get()
            self._alerts.shadow_failed(release, error)
            self._reject(release, float("inf"))  # until it is released again
        models, revoked = self._slot.models, self._releases.revoked
        champion = models.champion
        if champion is not None and champion.release.digest in revoked:
            log.warning("champion revoked digest=%s", champion.release.digest)
            champion = None
        kept = tuple(
            shadow
            for shadow in models.shadows
            if shadow.release.digest not in revoked and not self._is_rejected(shadow.release)
        )
        if (champion, kept) != (models.champion, models.shadows):
            self._slot.put(Models(champion, kept))

    def _settle_champion(self) -> None:
        current = self._slot.models.champion
        for release in self._releases.candidates("champion", now_ms=self._clock_ms()):
            # One that has ended goes on where it runs: nothing below it takes its place.
            if current is not None and release.version <= current.release.version:
                break
            loaded = self._try(release)
            if loaded is not None:
                current = loaded
            if loaded is not None or not self._is_rejected(release):
                break
        if current is not None:
            current = self._with_baseline(current)
        if current is not self._slot.models.champion:
            self._slot.put(replace(self._slot.models, champion=current))

    def _with_baseline(self, model: LoadedModel) -> LoadedModel:
        """Return the model with what its stream is to be compared with; itself where that has not changed."""
        baseline = self._releases.baseline(model.release.digest)
        own = model.bundle.manifest.reference_statistics
        if baseline and baseline.statistics and not (own and baseline.statistics.replaces(own)):
            name = f"baseline {baseline.version} of {baseline.digest}"
            self._alerts.refused(f"{name}: expected the features and score of the bundle's reference, got others", name)
            baseline = None
        return model if baseline == model.baseline else replace(model, baseline=baseline)

    def _settle_shadows(self) -> None:
        models, now_ms = self._slot.models, self._clock_ms()
        wanted: dict[str, Release] = {}
        trials: tuple[tuple[Role, int], ...] = (("challenger", 1), ("shadow", self._shadows))
        for role, count in trials:
            distinct: dict[str, Release] = {}
            for release in self._releases.candidates(role, now_ms=now_ms):
                distinct.setdefault(release.digest, release)  # an older release of one that failed is no way around it
            wanted |= dict(islice(((d, each) for d, each in distinct.items() if not self._is_rejected(each)), count))
        have = {shadow.release.digest: shadow for shadow in models.shadows}
        made = [have.get(digest) or self._try(release) for digest, release in wanted.items()]
        shadows = tuple(shadow for shadow in made if shadow is not None)
        if shadows != models.shadows:
            self._slot.put(replace(models, shadows=shadows))

    def _try(self, release: Release) -> LoadedModel | None:
        """Load a release unless it was refused a moment ago; report what keeps it from being loaded."""
        if self._is_rejected(release):
            return None
        try:
            return self._load(release)
        except ModelRejected as error:
            self._reject(release, _REJECTED_S)
            log.warning("release refused role=%s version=%d why=%r", release.role, release.version, str(error))
            self._alerts.refused(str(error), f"{release.role} {release.version}")
        except RetryableError as error:
            log.warning("release waits role=%s version=%d why=%r", release.role, release.version, str(error))
            self._alerts.unavailable(str(error), release)
        return None

    def _reject(self, release: Release, for_s: float) -> None:
        self._rejected[release.role, release.version] = time.monotonic() + for_s

    def _is_rejected(self, release: Release) -> bool:
        return time.monotonic() < self._rejected.get((release.role, release.version), 0.0)


def _ask(call: Callable[[], T | None]) -> T:
    """Ask the broker until it answers."""
    while True:
        try:
            answer = call()
        except KafkaException as exception:
            log.warning("waiting for the broker to hand out releases error=%s", exception.args[0].str())
        else:
            if answer is not None:
                return answer
        time.sleep(_ASK_AGAIN_S)
