"""Follows the alert topics and keeps Alertmanager told: the process of `cardiosentry notify`.

Offsets are committed when Alertmanager has taken what was read up to them. What stands is kept nowhere else than in the
topics: whoever takes one over reads back as long as an alert may stand. Posting the same alert twice changes nothing,
so two of these processes do no harm, nor does one that dies between posting and committing.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from contracts.alerts import STANDS_AT_MOST_S
from contracts.errors import RetryableError
from contracts.topics import EVENTS, MODEL_ALERTS, OUTCOMES, SECURITY_ALERTS, SIGNALS
from monitoring.meters import Meters
from monitoring.notify import Links, OpenAlerts, watchdog
from monitoring.notify_alertmanager import Alertmanager
from monitoring.notify_alive import Place, Stream
from monitoring.reader import TopicReader, good

log = logging.getLogger("cardiosentry.notify")

_POLL_S = 0.2
_KAFKA_S = 10.0
_RETRY_S = 1.0
_SESSION_MS = 10_000  # whoever is killed is followed after so long
_MISSED = 3  # so many posts of the watchdog may fail before it ends


class Notifier:
    """Reads the alerts of the system under `prefix`, whose workers are in `group`.

    What stands, and the watchdog, are posted every `every_s` seconds; what is new at once. `beat` is called while it
    works, several times a second.
    """

    def __init__(
        self,
        properties: Mapping[str, object],
        admin: AdminClient,
        alertmanager: Alertmanager,
        links: Links,
        *,
        prefix: str,
        group: str,
        every_s: float,
        meters: Meters,
        beat: Callable[[], None],
    ) -> None:
        self._beat = beat
        self._properties, self._alertmanager, self._links = properties, alertmanager, links
        self._group, self._every_s = group, every_s
        self._topics = [prefix + topic.name for topic in (SECURITY_ALERTS, MODEL_ALERTS)]
        self._stream = Stream(admin, group, [prefix + topic.name for topic in (EVENTS, OUTCOMES, SIGNALS)])
        self._open: dict[Place, OpenAlerts] = {}
        self._read: dict[Place, int] = {}
        self._untaken = False
        self._full = False
        self._why = ""  # Alertmanager or Kafka did not take them last
        self._retry_at = self._post_at = 0.0
        self._dead = "it has just begun"
        meters.add("cardiosentry_notify_alerts", lambda: {"": sum(map(len, list(self._open.values())))})
        meters.add("cardiosentry_notify_waiting", lambda: {"": self._untaken})
        meters.add("cardiosentry_notify_watchdog", lambda: {"": not self._dead})

    def run(self, done: threading.Event) -> None:
        """Work until `done`; raise `UserError` where the broker refuses for good."""
        consumer = Consumer(
            {
                "session.timeout.ms": _SESSION_MS,
                **self._properties,
                "group.id": f"{self._group}-notify",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        try:
            while not done.is_set():
                self._beat()
                self._take(_next(consumer))
                self._hold(consumer)
                now = time.monotonic()
                if now >= (self._retry_at if self._untaken else self._post_at):
                    self._post(consumer)
                if now >= self._post_at:
                    self._post_at = now + self._every_s
                    self._watch(consumer)
        finally:
            consumer.close()

    def _take(self, messages: Sequence[Message]) -> None:
        rules: Counter[str] = Counter()
        for message in good(messages):
            place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
            if offset < self._read.get(place, offset + 1):
                continue  # fetched before a rebalance that gave the partition away, or gave it again
            rules[_take(self._open[place], message, taken=False)] += 1
            self._read[place] = offset + 1
            self._untaken = True
        for rule, count in rules.items():
            log.info("records rule=%s count=%d", rule or "none, left out", count)

    def _hold(self, consumer: Consumer) -> None:
        """Read no further while no more can be kept: Kafka keeps it."""
        full = any(topic.is_full for topic in self._open.values())
        if full != self._full:
            (consumer.pause if full else consumer.resume)(consumer.assignment())
            self._full = full

    def _post(self, consumer: Consumer) -> None:
        """Post what stands, and commit what was read; on failure both are done again."""
        now_ms = _now_ms()
        try:
            self._alertmanager.post([alert for topic in self._open.values() for alert in topic.posted(now_ms)])
            for topic in self._open.values():
                topic.were_taken(now_ms)
            if self._untaken and self._read:
                places = [TopicPartition(*place, offset) for place, offset in self._read.items()]
                consumer.commit(offsets=places, asynchronous=False)
            self._untaken = False
            if self._why:
                log.info("alerts taken")
                self._why = ""
        except (RetryableError, KafkaException) as error:
            if self._why != str(error):  # it is tried every second
                self._why = str(error)
                log.warning("alerts wait why=%r", self._why)
            self._untaken = True
            self._retry_at = time.monotonic() + _RETRY_S

    def _watch(self, consumer: Consumer) -> None:
        """Post the watchdog if this process and the stream are alive."""
        if not self._open:
            dead = "no topic of alerts is assigned to this process"
        elif self._untaken:
            dead = "Alertmanager or Kafka does not take what was read"
        else:
            # Where the reader stands is beyond the last record it got: what was aborted is passed over.
            found = consumer.position([TopicPartition(*place) for place in self._read])
            own = {
                (each.topic, each.partition): max(each.offset, self._read[each.topic, each.partition]) for each in found
            }
            dead = self._stream.dead(own, time.monotonic())
        if not dead:
            try:
                self._alertmanager.post([watchdog(self._group, _now_ms(), round(_MISSED * self._every_s * 1000))])
            except RetryableError as error:
                dead = str(error)
        if dead != self._dead:
            log.info("watchdog posted" if not dead else "watchdog not posted why=%r", *([dead] if dead else []))
            self._dead = dead

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for each, committed in zip(partitions, consumer.committed(partitions, timeout=_KAFKA_S), strict=True):
            place = each.topic, each.partition
            self._open[place] = OpenAlerts(self._group, self._links)
            each.offset = self._read[place] = self._look_back(place, committed.offset)
        consumer.assign(partitions)
        self._full, self._untaken, self._retry_at, self._post_at = False, True, 0.0, 0.0
        log.info("assigned partitions=%d standing=%d", len(partitions), sum(map(len, self._open.values())))

    def _look_back(self, place: Place, committed: int) -> int:
        """Take what stands from before the committed offset, or from before now where there is none; return the place.

        At the very first start there is a history: what stands of it is told, what is over is not.
        """
        with TopicReader(self._properties, [place[0]]) as reader:
            start, end = reader.places(since_ms=_now_ms() - STANDS_AT_MOST_S * 1000)[place]
            until = end if committed < 0 else committed
            for message in reader.between({place: (start, until)}):
                _take(self._open[place], message, taken=True)
        return until

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            self._open.pop((each.topic, each.partition), None)
            self._read.pop((each.topic, each.partition), None)


def _next(consumer: Consumer) -> list[Message]:
    first = consumer.poll(_POLL_S)
    return [] if first is None else [first, *consumer.consume(499, 0)]


def _take(topic: OpenAlerts, message: Message, *, taken: bool) -> str:
    """Return the rule of a record, empty for one that is none of ours."""
    try:
        return topic.take(message.value() or b"", _now_ms(), taken=taken)
    except ValueError:
        return ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
